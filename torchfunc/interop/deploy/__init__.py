"""Deploy: models made ready to leave: for inference, for other processes, for the hub."""
