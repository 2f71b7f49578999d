"""What Keras publishes: files of arrays and words, found, downloaded and read."""
