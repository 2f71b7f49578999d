"""Utilities: pictures of models, one-hot labels, unit vectors, seeds."""

from torchfunc.utils.arrays import normalize as normalize
from torchfunc.utils.arrays import to_categorical as to_categorical
from torchfunc.utils.pictures import model_to_dot as model_to_dot
from torchfunc.utils.pictures import plot_model as plot_model
from torchfunc.utils.seeds import set_random_seed as set_random_seed
