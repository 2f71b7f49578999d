"""California housing: 20,640 districts and the prices of their houses in 1990."""

from torchfunc.datasets.published import houses

load_data = houses.load_california
