"""What comes in: the layer that stands for an input, and what a layer says of its own."""
