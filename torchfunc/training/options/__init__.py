"""Options: what a training may have besides an optimizer, a loss and metrics, each switched on by one argument."""
