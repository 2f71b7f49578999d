"""`keras.ops.image`: images, and batches of them."""

from torchfunc.ops.image.color_spaces import gaussian_blur as gaussian_blur
from torchfunc.ops.image.color_spaces import hsv_to_rgb as hsv_to_rgb
from torchfunc.ops.image.color_spaces import rgb_to_grayscale as rgb_to_grayscale
from torchfunc.ops.image.color_spaces import rgb_to_hsv as rgb_to_hsv
from torchfunc.ops.image.color_spaces import sobel_edges as sobel_edges
from torchfunc.ops.image.color_spaces import ssim as ssim
from torchfunc.ops.image.resampling import affine_transform as affine_transform
from torchfunc.ops.image.resampling import crop_images as crop_images
from torchfunc.ops.image.resampling import elastic_transform as elastic_transform
from torchfunc.ops.image.resampling import extract_patches as extract_patches
from torchfunc.ops.image.resampling import extract_patches_3d as extract_patches_3d
from torchfunc.ops.image.resampling import map_coordinates as map_coordinates
from torchfunc.ops.image.resampling import pad_images as pad_images
from torchfunc.ops.image.resampling import perspective_transform as perspective_transform
from torchfunc.ops.image.resampling import resize as resize
from torchfunc.ops.image.resampling import scale_and_translate as scale_and_translate
