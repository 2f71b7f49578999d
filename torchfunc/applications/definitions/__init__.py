"""Networks that torchvision does not have, on our own layers and by Keras's definition."""
