"""Boston housing: 506 districts and the prices of their houses in 1978, with a column that should not be there."""

from torchfunc.datasets.published import houses

load_data = houses.load_boston
