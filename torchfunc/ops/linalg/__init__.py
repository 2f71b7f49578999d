"""`keras.ops.linalg`: matrices."""

from torchfunc.ops.linalg.linear_algebra import cholesky as cholesky
from torchfunc.ops.linalg.linear_algebra import cholesky_inverse as cholesky_inverse
from torchfunc.ops.linalg.linear_algebra import det as det
from torchfunc.ops.linalg.linear_algebra import eig as eig
from torchfunc.ops.linalg.linear_algebra import eigh as eigh
from torchfunc.ops.linalg.linear_algebra import inv as inv
from torchfunc.ops.linalg.linear_algebra import jvp as jvp
from torchfunc.ops.linalg.linear_algebra import lstsq as lstsq
from torchfunc.ops.linalg.linear_algebra import lu_factor as lu_factor
from torchfunc.ops.linalg.linear_algebra import matrix_rank as matrix_rank
from torchfunc.ops.linalg.linear_algebra import norm as norm
from torchfunc.ops.linalg.linear_algebra import pinv as pinv
from torchfunc.ops.linalg.linear_algebra import qr as qr
from torchfunc.ops.linalg.linear_algebra import solve as solve
from torchfunc.ops.linalg.linear_algebra import solve_triangular as solve_triangular
from torchfunc.ops.linalg.linear_algebra import svd as svd
