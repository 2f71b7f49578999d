"""Layers by Keras's names, with Keras's arguments, defaults and mathematics."""

import typing as _typing

from torchfunc.graph.symbolic import Input as Input
from torchfunc.layers.activation import ELU as ELU
from torchfunc.layers.activation import LeakyReLU as LeakyReLU
from torchfunc.layers.activation import PReLU as PReLU
from torchfunc.layers.activation import ReLU as ReLU
from torchfunc.layers.activation import Softmax as Softmax
from torchfunc.layers.arguments import image_data_format as image_data_format
from torchfunc.layers.arguments import set_image_data_format as set_image_data_format
from torchfunc.layers.attention.einsum import EinsumDense as EinsumDense
from torchfunc.layers.attention.heads import GroupQueryAttention as GroupQueryAttention
from torchfunc.layers.attention.heads import MultiHeadAttention as MultiHeadAttention
from torchfunc.layers.attention.unprojected import AdditiveAttention as AdditiveAttention
from torchfunc.layers.attention.unprojected import Attention as Attention
from torchfunc.layers.augmentation.coloring import RandomBrightness as RandomBrightness
from torchfunc.layers.augmentation.coloring import RandomColorDegeneration as RandomColorDegeneration
from torchfunc.layers.augmentation.coloring import RandomContrast as RandomContrast
from torchfunc.layers.augmentation.coloring import RandomGrayscale as RandomGrayscale
from torchfunc.layers.augmentation.coloring import RandomHue as RandomHue
from torchfunc.layers.augmentation.coloring import RandomInvert as RandomInvert
from torchfunc.layers.augmentation.coloring import RandomPosterization as RandomPosterization
from torchfunc.layers.augmentation.coloring import RandomSaturation as RandomSaturation
from torchfunc.layers.augmentation.coloring import Solarization as Solarization
from torchfunc.layers.augmentation.filtering import RandomErasing as RandomErasing
from torchfunc.layers.augmentation.filtering import RandomGaussianBlur as RandomGaussianBlur
from torchfunc.layers.augmentation.filtering import RandomSharpness as RandomSharpness
from torchfunc.layers.augmentation.geometry import RandomElasticTransform as RandomElasticTransform
from torchfunc.layers.augmentation.geometry import RandomFlip as RandomFlip
from torchfunc.layers.augmentation.geometry import RandomPerspective as RandomPerspective
from torchfunc.layers.augmentation.geometry import RandomRotation as RandomRotation
from torchfunc.layers.augmentation.geometry import RandomShear as RandomShear
from torchfunc.layers.augmentation.geometry import RandomTranslation as RandomTranslation
from torchfunc.layers.augmentation.geometry import RandomZoom as RandomZoom
from torchfunc.layers.augmentation.histograms import AutoContrast as AutoContrast
from torchfunc.layers.augmentation.histograms import Equalization as Equalization
from torchfunc.layers.augmentation.mixing import CutMix as CutMix
from torchfunc.layers.augmentation.mixing import MixUp as MixUp
from torchfunc.layers.augmentation.pipelines import MaxNumBoundingBoxes as MaxNumBoundingBoxes
from torchfunc.layers.augmentation.pipelines import Pipeline as Pipeline
from torchfunc.layers.augmentation.policies import AugMix as AugMix
from torchfunc.layers.augmentation.policies import RandAugment as RandAugment
from torchfunc.layers.augmentation.policies import RandomColorJitter as RandomColorJitter
from torchfunc.layers.augmentation.sizing import CenterCrop as CenterCrop
from torchfunc.layers.augmentation.sizing import RandomCrop as RandomCrop
from torchfunc.layers.augmentation.sizing import Resizing as Resizing
from torchfunc.layers.convolution.depthwise import DepthwiseConv1D as DepthwiseConv1D
from torchfunc.layers.convolution.depthwise import DepthwiseConv2D as DepthwiseConv2D
from torchfunc.layers.convolution.depthwise import SeparableConv1D as SeparableConv1D
from torchfunc.layers.convolution.depthwise import SeparableConv2D as SeparableConv2D
from torchfunc.layers.convolution.plain import Conv1D as Conv1D
from torchfunc.layers.convolution.plain import Conv1DTranspose as Conv1DTranspose
from torchfunc.layers.convolution.plain import Conv2D as Conv2D
from torchfunc.layers.convolution.plain import Conv2DTranspose as Conv2DTranspose
from torchfunc.layers.convolution.plain import Conv3D as Conv3D
from torchfunc.layers.convolution.plain import Conv3DTranspose as Conv3DTranspose
from torchfunc.layers.core import Activation as Activation
from torchfunc.layers.core import Dense as Dense
from torchfunc.layers.core import Embedding as Embedding
from torchfunc.layers.core import Identity as Identity
from torchfunc.layers.core import Lambda as Lambda
from torchfunc.layers.core import Masking as Masking
from torchfunc.layers.core import ReversibleEmbedding as ReversibleEmbedding
from torchfunc.layers.inputs.input_layer import InputLayer as InputLayer
from torchfunc.layers.inputs.input_spec import InputSpec as InputSpec
from torchfunc.layers.layer import Layer as Layer
from torchfunc.layers.layer import deserialize as deserialize
from torchfunc.layers.layer import serialize as serialize
from torchfunc.layers.merging import Add as Add
from torchfunc.layers.merging import Average as Average
from torchfunc.layers.merging import Concatenate as Concatenate
from torchfunc.layers.merging import Dot as Dot
from torchfunc.layers.merging import Maximum as Maximum
from torchfunc.layers.merging import Minimum as Minimum
from torchfunc.layers.merging import Multiply as Multiply
from torchfunc.layers.merging import Subtract as Subtract
from torchfunc.layers.merging import add as add
from torchfunc.layers.merging import average as average
from torchfunc.layers.merging import concatenate as concatenate
from torchfunc.layers.merging import dot as dot
from torchfunc.layers.merging import maximum as maximum
from torchfunc.layers.merging import minimum as minimum
from torchfunc.layers.merging import multiply as multiply
from torchfunc.layers.merging import subtract as subtract
from torchfunc.layers.normalization import BatchNormalization as BatchNormalization
from torchfunc.layers.normalization import GroupNormalization as GroupNormalization
from torchfunc.layers.normalization import LayerNormalization as LayerNormalization
from torchfunc.layers.normalization import Rescaling as Rescaling
from torchfunc.layers.normalization import RMSNormalization as RMSNormalization
from torchfunc.layers.normalization import UnitNormalization as UnitNormalization
from torchfunc.layers.pooling import AdaptiveAveragePooling1D as AdaptiveAveragePooling1D
from torchfunc.layers.pooling import AdaptiveAveragePooling2D as AdaptiveAveragePooling2D
from torchfunc.layers.pooling import AdaptiveAveragePooling3D as AdaptiveAveragePooling3D
from torchfunc.layers.pooling import AdaptiveMaxPooling1D as AdaptiveMaxPooling1D
from torchfunc.layers.pooling import AdaptiveMaxPooling2D as AdaptiveMaxPooling2D
from torchfunc.layers.pooling import AdaptiveMaxPooling3D as AdaptiveMaxPooling3D
from torchfunc.layers.pooling import AveragePooling1D as AveragePooling1D
from torchfunc.layers.pooling import AveragePooling2D as AveragePooling2D
from torchfunc.layers.pooling import AveragePooling3D as AveragePooling3D
from torchfunc.layers.pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from torchfunc.layers.pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from torchfunc.layers.pooling import GlobalAveragePooling3D as GlobalAveragePooling3D
from torchfunc.layers.pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from torchfunc.layers.pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from torchfunc.layers.pooling import GlobalMaxPooling3D as GlobalMaxPooling3D
from torchfunc.layers.pooling import MaxPooling1D as MaxPooling1D
from torchfunc.layers.pooling import MaxPooling2D as MaxPooling2D
from torchfunc.layers.pooling import MaxPooling3D as MaxPooling3D
from torchfunc.layers.preprocessing.binning import Discretization as Discretization
from torchfunc.layers.preprocessing.encoding import CategoryEncoding as CategoryEncoding
from torchfunc.layers.preprocessing.hashing import HashedCrossing as HashedCrossing
from torchfunc.layers.preprocessing.hashing import Hashing as Hashing
from torchfunc.layers.preprocessing.lookup import IndexLookup as IndexLookup
from torchfunc.layers.preprocessing.lookup import IntegerLookup as IntegerLookup
from torchfunc.layers.preprocessing.lookup import StringLookup as StringLookup
from torchfunc.layers.preprocessing.spectrograms import MelSpectrogram as MelSpectrogram
from torchfunc.layers.preprocessing.spectrograms import STFTSpectrogram as STFTSpectrogram
from torchfunc.layers.preprocessing.standardizing import Normalization as Normalization
from torchfunc.layers.preprocessing.vectorization import TextVectorization as TextVectorization
from torchfunc.layers.recurrent.cell import StackedRNNCells as StackedRNNCells
from torchfunc.layers.recurrent.conv_lstm import ConvLSTM1D as ConvLSTM1D
from torchfunc.layers.recurrent.conv_lstm import ConvLSTM2D as ConvLSTM2D
from torchfunc.layers.recurrent.conv_lstm import ConvLSTM3D as ConvLSTM3D
from torchfunc.layers.recurrent.gates import GRUCell as GRUCell
from torchfunc.layers.recurrent.gates import LSTMCell as LSTMCell
from torchfunc.layers.recurrent.gates import SimpleRNNCell as SimpleRNNCell
from torchfunc.layers.recurrent.rnn import GRU as GRU
from torchfunc.layers.recurrent.rnn import LSTM as LSTM
from torchfunc.layers.recurrent.rnn import RNN as RNN
from torchfunc.layers.recurrent.rnn import SimpleRNN as SimpleRNN
from torchfunc.layers.regularization import ActivityRegularization as ActivityRegularization
from torchfunc.layers.regularization import AlphaDropout as AlphaDropout
from torchfunc.layers.regularization import Dropout as Dropout
from torchfunc.layers.regularization import GaussianDropout as GaussianDropout
from torchfunc.layers.regularization import GaussianNoise as GaussianNoise
from torchfunc.layers.regularization import SpatialDropout1D as SpatialDropout1D
from torchfunc.layers.regularization import SpatialDropout2D as SpatialDropout2D
from torchfunc.layers.regularization import SpatialDropout3D as SpatialDropout3D
from torchfunc.layers.reshaping import Cropping1D as Cropping1D
from torchfunc.layers.reshaping import Cropping2D as Cropping2D
from torchfunc.layers.reshaping import Cropping3D as Cropping3D
from torchfunc.layers.reshaping import Flatten as Flatten
from torchfunc.layers.reshaping import Permute as Permute
from torchfunc.layers.reshaping import RepeatVector as RepeatVector
from torchfunc.layers.reshaping import Reshape as Reshape
from torchfunc.layers.reshaping import UpSampling1D as UpSampling1D
from torchfunc.layers.reshaping import UpSampling2D as UpSampling2D
from torchfunc.layers.reshaping import UpSampling3D as UpSampling3D
from torchfunc.layers.reshaping import ZeroPadding1D as ZeroPadding1D
from torchfunc.layers.reshaping import ZeroPadding2D as ZeroPadding2D
from torchfunc.layers.reshaping import ZeroPadding3D as ZeroPadding3D
from torchfunc.layers.wrappers import Bidirectional as Bidirectional
from torchfunc.layers.wrappers import SpectralNormalization as SpectralNormalization
from torchfunc.layers.wrappers import TimeDistributed as TimeDistributed
from torchfunc.layers.wrappers import Torch as Torch
from torchfunc.layers.wrappers import TorchModuleWrapper as TorchModuleWrapper
from torchfunc.layers.wrappers import Wrapper as Wrapper

from torchfunc.layers.augmentation.histograms import ContrastLimitedAdaptiveHistogramEqualization as ContrastLimitedAdaptiveHistogramEqualization  # isort: skip  # fmt: skip  # noqa: E501
from torchfunc.layers.augmentation.image_layer import BaseImagePreprocessingLayer as BaseImagePreprocessingLayer  # isort: skip  # fmt: skip

AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
Convolution1D = Conv1D
Convolution1DTranspose = Conv1DTranspose
Convolution2D = Conv2D
Convolution2DTranspose = Conv2DTranspose
Convolution3D = Conv3D
Convolution3DTranspose = Conv3DTranspose
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
GroupedQueryAttention = GroupQueryAttention
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D

if not _typing.TYPE_CHECKING:
    from torchfunc.rooms import asking as _asking

    __getattr__ = _asking(__name__)
