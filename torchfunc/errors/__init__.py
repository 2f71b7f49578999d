"""Every exception of torchfunc.

* TorchfuncError (a ValueError)
  + GraphError            a mistake made while a graph was being built
    - ShapeError          a shape that a layer, module or function cannot take
    - DTypeError          a dtype that it cannot take
    - DisconnectedError   an output needs an Input that the Model was not given
    - NameTakenError      two layers or inputs of one model were given one name
  + UnknownNameError      a name (of a loss, a layer, ...) that no registry holds
  + CompileError          arguments of `compile` that do not fit the model
  + DataError             data given to `fit`, `evaluate`, `predict` that do not fit the model
  + SavingError           something that cannot be written to a file as data
    - NotATorchfuncFileError, UnsupportedVersionError, CorruptFileError,
      ConfigError, WeightMismatchError, LimitError    a file that cannot be read
* MissingExtraError (an ImportError)   an optional package is not installed
* WriteError (an OSError)              a file could not be written; the old one is intact
"""

from torchfunc.errors.kinds import CompileError as CompileError
from torchfunc.errors.kinds import ConfigError as ConfigError
from torchfunc.errors.kinds import CorruptFileError as CorruptFileError
from torchfunc.errors.kinds import DataError as DataError
from torchfunc.errors.kinds import DisconnectedError as DisconnectedError
from torchfunc.errors.kinds import DTypeError as DTypeError
from torchfunc.errors.kinds import GraphError as GraphError
from torchfunc.errors.kinds import LimitError as LimitError
from torchfunc.errors.kinds import MissingExtraError as MissingExtraError
from torchfunc.errors.kinds import NameTakenError as NameTakenError
from torchfunc.errors.kinds import NotATorchfuncFileError as NotATorchfuncFileError
from torchfunc.errors.kinds import SavingError as SavingError
from torchfunc.errors.kinds import ShapeError as ShapeError
from torchfunc.errors.kinds import TorchfuncError as TorchfuncError
from torchfunc.errors.kinds import UnknownNameError as UnknownNameError
from torchfunc.errors.kinds import UnsupportedVersionError as UnsupportedVersionError
from torchfunc.errors.kinds import WeightMismatchError as WeightMismatchError
from torchfunc.errors.kinds import WriteError as WriteError
from torchfunc.errors.words import bounded as bounded
from torchfunc.errors.words import explain as explain
from torchfunc.errors.words import nearest as nearest
from torchfunc.errors.words import shorten as shorten
