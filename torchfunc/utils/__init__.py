"""Utilities: files fetched and read, data sets, pictures of models, one-hot labels, unit vectors, seeds."""

import typing as _typing

from torchfunc.backend.asked import is_keras_tensor as is_keras_tensor
from torchfunc.backend.asked import standardize_dtype as standardize_dtype
from torchfunc.backend.session import clear_session as clear_session
from torchfunc.registry import custom_object_scope as custom_object_scope
from torchfunc.saving.objects import CustomObjectScope as CustomObjectScope
from torchfunc.saving.objects import deserialize_keras_object as deserialize_keras_object
from torchfunc.saving.objects import get_custom_objects as get_custom_objects
from torchfunc.saving.objects import get_registered_name as get_registered_name
from torchfunc.saving.objects import get_registered_object as get_registered_object
from torchfunc.saving.objects import register_keras_serializable as register_keras_serializable
from torchfunc.saving.objects import serialize_keras_object as serialize_keras_object
from torchfunc.settings import disable_interactive_logging as disable_interactive_logging
from torchfunc.settings import enable_interactive_logging as enable_interactive_logging
from torchfunc.settings import is_interactive_logging_enabled as is_interactive_logging_enabled
from torchfunc.utils import bounding_boxes as bounding_boxes
from torchfunc.utils.arrays import normalize as normalize
from torchfunc.utils.arrays import to_categorical as to_categorical
from torchfunc.utils.data_sets import PyDataset as PyDataset
from torchfunc.utils.data_sets import Sequence as Sequence
from torchfunc.utils.data_sets import split_dataset as split_dataset
from torchfunc.utils.feature_space import FeatureSpace as FeatureSpace
from torchfunc.utils.files.downloads import get_file as get_file
from torchfunc.utils.files.image_arrays import array_to_img as array_to_img
from torchfunc.utils.files.image_arrays import img_to_array as img_to_array
from torchfunc.utils.files.image_arrays import load_img as load_img
from torchfunc.utils.files.image_arrays import save_img as save_img
from torchfunc.utils.files.loaders import audio_dataset_from_directory as audio_dataset_from_directory
from torchfunc.utils.files.loaders import image_dataset_from_directory as image_dataset_from_directory
from torchfunc.utils.files.loaders import text_dataset_from_directory as text_dataset_from_directory
from torchfunc.utils.padding import pad_sequences as pad_sequences
from torchfunc.utils.pictures import model_to_dot as model_to_dot
from torchfunc.utils.pictures import plot_model as plot_model
from torchfunc.utils.seeds import set_random_seed as set_random_seed
from torchfunc.utils.sources import get_source_inputs as get_source_inputs
from torchfunc.utils.timeseries import timeseries_dataset_from_array as timeseries_dataset_from_array
from torchfunc.utils.told import Progbar as Progbar
from torchfunc.utils.told import ask_to_proceed_with_overwrite as ask_to_proceed_with_overwrite
from torchfunc.utils.told import pack_x_y_sample_weight as pack_x_y_sample_weight
from torchfunc.utils.told import unpack_x_y_sample_weight as unpack_x_y_sample_weight

if not _typing.TYPE_CHECKING:
    from torchfunc.rooms import asking as _asking

    __getattr__ = _asking(__name__)
