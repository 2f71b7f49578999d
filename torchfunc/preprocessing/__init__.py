"""Data made ready, by Keras's older names."""

from torchfunc.preprocessing import image as image
from torchfunc.preprocessing import sequence as sequence
from torchfunc.utils.files.loaders import image_dataset_from_directory as image_dataset_from_directory
from torchfunc.utils.files.loaders import text_dataset_from_directory as text_dataset_from_directory
from torchfunc.utils.timeseries import timeseries_dataset_from_array as timeseries_dataset_from_array
