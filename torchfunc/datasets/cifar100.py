"""CIFAR-100: 60,000 colour photographs in 100 classes, which 20 coarse ones hold by fives.

Images (50000, 32, 32, 3) and labels (50000, 1) to train on, and 10,000 to test.
"""

from torchfunc.datasets.coarse_classes import load_data as load_data
