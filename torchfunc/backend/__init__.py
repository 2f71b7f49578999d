"""What Keras code asks of its backend."""

from torchfunc.backend.asked import get_uid as get_uid
from torchfunc.backend.asked import is_float_dtype as is_float_dtype
from torchfunc.backend.asked import is_int_dtype as is_int_dtype
from torchfunc.backend.asked import is_keras_tensor as is_keras_tensor
from torchfunc.backend.asked import result_type as result_type
from torchfunc.backend.asked import standardize_dtype as standardize_dtype
from torchfunc.backend.session import clear_session as clear_session
from torchfunc.settings import backend as backend
from torchfunc.settings import epsilon as epsilon
from torchfunc.settings import floatx as floatx
from torchfunc.settings import image_data_format as image_data_format
from torchfunc.settings import set_epsilon as set_epsilon
from torchfunc.settings import set_floatx as set_floatx
from torchfunc.settings import set_image_data_format as set_image_data_format
