"""Looking at models: a summary as a table, a plot as a picture; both read a Graph and change nothing."""
