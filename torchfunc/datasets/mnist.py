"""MNIST: 70,000 handwritten digits in 10 classes.

Images (60000, 28, 28) and labels (60000,) to train on, and 10,000 to test.
"""

from torchfunc.datasets.images import Images

load_data = Images("MNIST").load_data
