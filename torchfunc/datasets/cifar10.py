"""CIFAR-10: 60,000 colour photographs in 10 classes.

Images (50000, 32, 32, 3) and labels (50000, 1) to train on, and 10,000 to test.
"""

from torchfunc.datasets.images import Images

load_data = Images("CIFAR10", is_column=True).load_data
