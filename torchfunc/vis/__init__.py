"""Looking at models: a summary as a table, a plot as a picture; both read a Graph and change nothing."""

import typing as _typing

if not _typing.TYPE_CHECKING:
    from torchfunc.rooms import asking as _asking

    __getattr__ = _asking(__name__)
