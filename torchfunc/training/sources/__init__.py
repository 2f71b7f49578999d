"""Sources: data that say by names what they hold, or that are read part by part."""
