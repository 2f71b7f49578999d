"""Callbacks: what happens beside the training, at the begin and end of a run, an epoch or a batch."""

import typing as _typing

from torchfunc.callbacks.averaging.stochastic import SWA as SWA
from torchfunc.callbacks.backup import BackupAndRestore as BackupAndRestore
from torchfunc.callbacks.callback import Callback as Callback
from torchfunc.callbacks.callback import CallbackList as CallbackList
from torchfunc.callbacks.callback import History as History
from torchfunc.callbacks.checkpoint import ModelCheckpoint as ModelCheckpoint
from torchfunc.callbacks.csv_logger import CSVLogger as CSVLogger
from torchfunc.callbacks.early_stopping import EarlyStopping as EarlyStopping
from torchfunc.callbacks.lambda_callback import LambdaCallback as LambdaCallback
from torchfunc.callbacks.learning_rate import LearningRateScheduler as LearningRateScheduler
from torchfunc.callbacks.learning_rate import ReduceLROnPlateau as ReduceLROnPlateau
from torchfunc.callbacks.loggers.rate_finder import LearningRateFinder as LearningRateFinder
from torchfunc.callbacks.loggers.remote import RemoteMonitor as RemoteMonitor
from torchfunc.callbacks.loggers.trackers import MLflowLogger as MLflowLogger
from torchfunc.callbacks.loggers.trackers import WandbLogger as WandbLogger
from torchfunc.callbacks.progbar_logger import ProgbarLogger as ProgbarLogger
from torchfunc.callbacks.swap_averages import SwapEMAWeights as SwapEMAWeights
from torchfunc.callbacks.tensorboard import TensorBoard as TensorBoard
from torchfunc.callbacks.terminate_on_nan import TerminateOnNaN as TerminateOnNaN

if not _typing.TYPE_CHECKING:
    from torchfunc.rooms import asking as _asking

    __getattr__ = _asking(__name__)
