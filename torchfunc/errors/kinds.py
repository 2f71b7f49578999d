"""Exceptions: a class for each thing that can be wrong, so that each can be caught by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torchfunc.errors.words import bounded, nearest, shorten


class TorchfuncError(ValueError):
    """Base of every error that torchfunc raises about a value the user gave.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> try:
        ...     losses.get("mean_squarred_error")
        ... except errors.TorchfuncError as error:
        ...     print(error)
        Unknown loss 'mean_squarred_error'. Did you mean 'mean_squared_error'? For a
        function of your own pass custom_objects={'mean_squarred_error': ...}.
        >>> issubclass(errors.TorchfuncError, ValueError)
        True
    """

    def __init__(self, *args: object, **named: Any) -> None:
        super().__init__(*(bounded(each) if isinstance(each, str) else each for each in args), **named)


class GraphError(TorchfuncError):
    """A mistake made while a graph was being built.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> try:
        ...     bool(Input((4,)) > 0)
        ... except errors.GraphError as error:
        ...     print(error)
        a branch (`if x:`, `and`, `or`, `not`) on <SymbolicTensor gt (None, 4) bool>:
        expected a tensor with values, got a symbolic tensor. It has no value while
        the graph is being built. Fix: `torch.where`, or write the branch inside a
        Layer.
    """


class ShapeError(GraphError):
    """A shape that a layer, module or function cannot take.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> try:
        ...     layers.Conv2D(4, 3)(Input((8,)))
        ... except errors.ShapeError as error:
        ...     print(error)
        Conv2D 'conv2d' (...) on 'input': expected 4 dimensions (batch, height, width,
        channels), got shape (None, 8). Fix: Reshape((h, w, c)).
    """


class DTypeError(GraphError):
    """A dtype that a layer, module or function cannot take.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> try:
        ...     Input((4,), dtype="float33")
        ... except errors.DTypeError as error:
        ...     print(error)
        dtype: expected a torch.dtype or its name, got 'float33'. Fix: dtype='float32'.
    """


class DisconnectedError(GraphError):
    """An output depends on an Input that the Model was not given.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> title, tags = Input((4,), name="title"), Input((2,), name="tags")
        >>> try:
        ...     Model(title, layers.Concatenate()([title, tags]))
        ... except errors.DisconnectedError as error:
        ...     print(error)
        An output needs 'tags', which is not among the inputs. Inputs: ['title']. It
        is reached by tags -> concatenate. Fix: Model(inputs=[title, tags], ...).
    """


class NameTakenError(GraphError):
    """Two layers or inputs of one model were given the same name.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> x = Input((4,))
        >>> try:
        ...     Model(x, layers.Dense(2, name="a")(layers.Dense(2, name="a")(x)))
        ... except errors.NameTakenError as error:
        ...     print(error)
        The name 'a' was given twice, to a Dense and a Dense. A name stands for one
        layer or input. Fix: name one of them 'a_1'.
    """


class CompileError(TorchfuncError):
    """Arguments of `compile` that do not fit the model.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> try:
        ...     optimizers.Adam(lr=0.1)
        ... except errors.CompileError as error:
        ...     print(error)
        Adam: got unknown argument 'lr'. Fix: write learning_rate.
    """


class DataError(TorchfuncError):
    """Data given to `fit`, `evaluate` or `predict` that do not fit the model.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> try:
        ...     losses.MeanSquaredError()(torch.zeros(4, 1), torch.zeros(4, 2))
        ... except errors.DataError as error:
        ...     print(error)
        Loss 'mean_squared_error': expected targets shaped like the outputs, got
        targets of shape (4, 1) for outputs of shape (4, 2). Fix: reshape the targets,
        or give the last layer as many units as a target has values.
    """


class SavingError(TorchfuncError):
    """Something that cannot be written to a file as data, or a file that cannot be read.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> try:
        ...     callbacks.ModelCheckpoint("model.pt")
        ... except errors.SavingError as error:
        ...     print(error)
        ModelCheckpoint: got filepath='model.pt'. Torchfunc saves to '.safetensors'
        files. Fix: ModelCheckpoint('model.safetensors').
    """


class NotATorchfuncFileError(SavingError):
    """The file is of another kind.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> try:
        ...     load_model("photo.jpg")
        ... except errors.NotATorchfuncFileError as error:
        ...     print(error)
        'photo.jpg' is no safetensors file: its header does not begin with '{'. Fix:
        load what model.save('model.safetensors') wrote.
    """


class UnsupportedVersionError(SavingError):
    """The file was written by a newer torchfunc.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> import json, zlib
        >>> from safetensors.torch import save_file
        >>> document = '{"format": "torchfunc", "version": 99, "config": {}, "aliases": {}}'
        >>> sums = json.dumps({"document": zlib.crc32(document.encode()), "tensors": {}})
        >>> save_file({}, "new.safetensors", {"torchfunc": document, "torchfunc_crc32": sums})
        >>> try:
        ...     load_model("new.safetensors")
        ... except errors.UnsupportedVersionError as error:
        ...     print(error)
        'new.safetensors' has format version 99; this torchfunc reads up to 2. Fix:
        pip install --upgrade torchfunc.
    """


class CorruptFileError(SavingError):
    """The file is damaged or incomplete.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> model.save("model.safetensors")
        >>> whole = open("model.safetensors", "rb").read()
        >>> kept = open("model.safetensors", "wb").write(whole[:-100])
        >>> try:
        ...     load_model("model.safetensors")
        ... except errors.CorruptFileError as error:
        ...     print(error)
        'model.safetensors' is incomplete: 8,564 of 8,664 bytes. Fix: copy or download
        it again, or load an earlier checkpoint.
    """


class ConfigError(SavingError):
    """A config that does not say a valid model; the message starts with the place in it.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> try:
        ...     layers.Dense.from_config({"units": "many"})
        ... except errors.ConfigError as error:
        ...     print(error)
        Dense.config.units: expected an integer below 2**40, got 'many'.
    """


class WeightMismatchError(SavingError):
    """The tensors in the file are not the ones that the model needs.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> model.save_weights("weights.safetensors")
        >>> x = Input((8, 8, 3))
        >>> try:
        ...     Model(x, layers.Dense(2)(x)).load_weights("weights.safetensors")
        ... except errors.WeightMismatchError as error:
        ...     print(error)
        The tensors do not fit the model: 'dense.weight' is missing; 'dense.bias' is
        missing; 'block3.bias' is unknown; 'block3.weight' is unknown; 'head.bias' is
        unknown and 3 more. Fix: load_weights(path, skip_mismatch=True) leaves the
        layers that differ as they are.
    """


class LimitError(SavingError):
    """A file asks for more than the limit allows.

    Args:
        *args: the message; its middle is left out where it is longer than 4,000 characters.
        **named: what a second base class takes; otherwise nothing.

    Example:
        >>> from pathlib import Path
        >>> origin = Path("photo.jpg").absolute().as_uri()
        >>> try:
        ...     utils.get_file("large.jpg", origin=origin, cache_dir=".", max_bytes=10)
        ... except errors.LimitError as error:
        ...     print(error)
        Downloading data from file://...
        'file://...': got more than max_bytes=10 bytes. Fix: get_file(..., max_bytes=...).
    """


class UnknownNameError(TorchfuncError):
    """A name that no registry holds, with the nearest ones that it does.

    Args:
        kind: what the name should be of: "loss", "layer", ...
        name: what was asked for.
        known: the names there are.
        fix: a sentence that is added.

    Example:
        >>> print(errors.UnknownNameError("loss", "hing", ["hinge", "huber"]))
        Unknown loss 'hing'. Did you mean 'hinge'?
        >>> print(errors.UnknownNameError("loss", "perplexity", ["hinge", "huber"]))
        Unknown loss 'perplexity'. Known: hinge, huber.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str], fix: str = "") -> None:
        names = sorted(known)
        close = nearest(name, names)
        if close is not None:
            hint = f"Did you mean {close!r}?"
        else:
            shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
            hint = f"Known: {shown}."
        super().__init__(" ".join(filter(None, [f"Unknown {kind} {shorten(name)}.", hint, fix])))
        self.kind, self.name = kind, name


class MissingExtraError(ImportError):
    """An optional package is not installed; the message says how to install it.

    Args:
        package: the package that is missing.
        extra: the extra of torchfunc that brings it.
        purpose: what needs it.

    Example:
        >>> print(errors.MissingExtraError("pydot", "plot", "model_to_dot"))
        model_to_dot needs the package 'pydot', which is not installed. Install it
        with: pip install 'torchfunc[plot]'
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install 'torchfunc[{extra}]'"
        )


class WriteError(OSError):
    """A file could not be written; what stood under its name before is intact.

    Example:
        >>> try:
        ...     model.save("photo.jpg/model.safetensors")
        ... except errors.WriteError as error:
        ...     print(type(error).__name__, isinstance(error, OSError))
        WriteError True
    """
