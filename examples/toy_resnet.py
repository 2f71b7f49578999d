"""A graph that is no chain: the guide's toy ResNet, with its emitted forward."""

import torch
from resnet_cifar import toy_resnet

model = toy_resnet()
model.summary()
print(model.code)
print("One batch:", model(torch.rand(2, 32, 32, 3)).shape)
