"""The core: symbolic calls, the graph that they form, and the forward that it is written out as."""
