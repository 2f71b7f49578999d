"""Images made ready."""

from torchfunc.utils.files.pixels import array_to_img as array_to_img
from torchfunc.utils.files.pixels import img_to_array as img_to_array
from torchfunc.utils.files.pixels import load_img as load_img
from torchfunc.utils.files.pixels import save_img as save_img
from torchfunc.utils.files.pixels import smart_resize as smart_resize
