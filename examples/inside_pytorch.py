"""Inside PyTorch: native modules and functions in the graph, and the model inside a hand-written loop."""

import torch
from torch import nn

import torchfunc as keras
from torchfunc import layers

torch.manual_seed(0)
inputs = keras.Input(shape=(20, 16), name="sequence")
x, _ = nn.MultiheadAttention(16, num_heads=4, batch_first=True)(inputs, inputs, inputs)
x = nn.LayerNorm(16)(x + inputs)
x = nn.functional.gelu(layers.Dense(32)(x)).mean(dim=1)
encoder = keras.Model(inputs, x, name="encoder")
print(encoder.code)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(32, 2)

    def forward(self, sequence):
        return self.head(self.encoder(sequence))


model = Classifier()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
sequences, labels = torch.randn(64, 20, 16), torch.randint(0, 2, (64,))
for _ in range(20):
    loss = nn.functional.cross_entropy(model(sequences), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"Loss after 20 steps: {loss.item():.4f}")
print([name for name, _ in model.named_parameters()][:4])
