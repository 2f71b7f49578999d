"""The `preprocess_input` of the families of networks: four forms of images."""
