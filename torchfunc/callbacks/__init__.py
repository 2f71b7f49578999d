"""Callbacks: what happens beside the training, at the begin and end of a run, an epoch or a batch."""

from torchfunc.callbacks.callback import Callback, CallbackList, History
from torchfunc.callbacks.checkpoint import ModelCheckpoint
from torchfunc.callbacks.csv_logger import CSVLogger
from torchfunc.callbacks.early_stopping import EarlyStopping
from torchfunc.callbacks.lambda_callback import LambdaCallback
from torchfunc.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from torchfunc.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
