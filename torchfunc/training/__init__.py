"""Training: the loop that fits a module to data. It knows `nn.Module`, and no graph."""

from torchfunc.training.trainer import Trainer as Trainer
