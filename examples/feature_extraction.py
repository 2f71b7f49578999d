"""Features from inside a network: torchvision's VGG19 as a graph, and a model of all its activations."""

import numpy as np

import torchfunc as keras
from torchfunc.applications import VGG19

# weights="imagenet" has torchvision download the trained ones
vgg19 = VGG19(weights=None)
features_list = [layer.output for layer in vgg19.layers]
feat_extraction_model = keras.Model(inputs=vgg19.input, outputs=features_list)

img = np.random.default_rng(0).random((1, 224, 224, 3)).astype("float32")
extracted_features = feat_extraction_model(img)
for layer, feature in list(zip(vgg19.layers, extracted_features, strict=True))[:8]:
    print(f"{layer.name:12} {tuple(feature.shape)}")
print(f"{len(extracted_features)} activations, {vgg19.count_params():,} parameters")
