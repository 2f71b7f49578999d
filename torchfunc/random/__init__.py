"""`keras.random`: random numbers by distribution, with seeds that repeat them."""

from torchfunc.ops.seeding import SeedGenerator as SeedGenerator
from torchfunc.random.distributions import beta as beta
from torchfunc.random.distributions import binomial as binomial
from torchfunc.random.distributions import categorical as categorical
from torchfunc.random.distributions import dropout as dropout
from torchfunc.random.distributions import gamma as gamma
from torchfunc.random.distributions import normal as normal
from torchfunc.random.distributions import randint as randint
from torchfunc.random.distributions import shuffle as shuffle
from torchfunc.random.distributions import truncated_normal as truncated_normal
from torchfunc.random.distributions import uniform as uniform
