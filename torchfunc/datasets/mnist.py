"""MNIST: 70,000 handwritten digits in 10 classes.

Images (60000, 28, 28) and labels (60000,) to train on, and 10,000 to test.
"""

from torchfunc.datasets.published import numerals

load_data = numerals.load_mnist
