"""The core: symbolic calls, the graph that they form, and the forward that it is written out as."""

# whichever file comes first: an Input has calls of modules recorded
from torchfunc.graph import interception as interception
