"""CIFAR-100: 60,000 colour photographs in 100 classes.

Images (50000, 32, 32, 3) and labels (50000, 1) to train on, and 10,000 to test.
"""

from torchfunc.datasets.images import Images

load_data = Images("CIFAR100", is_column=True).load_data
