"""Text vectorization: a text made plain, cut into tokens, and each token as its place in a vocabulary."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.errors import DTypeError, GraphError, ShapeError, explain, shorten
from torchfunc.layers.arguments import choice, count
from torchfunc.layers.layer import Common
from torchfunc.layers.preprocessing.adapting import encoding_of, objects, texts_in
from torchfunc.layers.preprocessing.lookup import IndexLookup

_PUNCTUATION = string.punctuation.encode()
_STANDARDS = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
_SPLITS = ("whitespace", "character")
_Words = list[bytes]


@registry.layers.register()
class TextVectorization(IndexLookup):
    """Each text as the places of its tokens in a vocabulary, or as one row that says which it has.

    Shapes: (batch,) or (batch, 1) of texts to (batch, tokens) of whole numbers in the mode "int", where 0 fills up
    and 1 is what the vocabulary does not have; else to (batch, vocabulary). It takes lists and arrays of str or bytes,
    and so is called on data, or in a Dataset or a collate_fn: a graph holds no text.

    As in TensorFlow, "lower" turns A to Z alone to lower case, and whitespace is that of ASCII.

    Args:
        max_tokens: how many places there are at most, with those two.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", None, or a function of a NumPy array
            of texts to such an array.
        split: "whitespace", "character", None for one token a text, or a function of a NumPy array of texts to a
            list of tokens for each. Functions are saved by the names under which they are registered.
        ngrams: how many neighbouring tokens make one, joined by spaces: with 2 one and two, with (1, 3) one and three.
        output_mode: "int", "multi_hot", "count", "tf_idf" or "one_hot".
        output_sequence_length: in the mode "int", how many tokens a row has; as many as the longest text if None.
        pad_to_max_tokens, vocabulary, idf_weights: as for IndexLookup.
        sparse, ragged: not here: the output is dense.
        encoding: that of what comes as bytes.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: arguments that do not fit together, and a symbolic input.
        DTypeError: an input that is no text.

    Example:
        >>> layer = layers.TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["foo bar", "bar baz"])
        >>> layer.get_vocabulary()
        ['', '[UNK]', 'bar', 'foo', 'baz']
        >>> layer(["bar and foo"])
        tensor([[2, 1, 3, 0]])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[..., Any] | None = "lower_and_strip_punctuation",
        split: str | Callable[..., Any] | None = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        **common: Unpack[Common],
    ) -> None:
        if ragged:
            got, fix = "ragged=True", "output_sequence_length=..., or leave it out: 0 fills up"
            raise GraphError(explain("TextVectorization", got=got, expected="ragged=False", fix=fix))
        self.__dict__["encoding"] = encoding_of(
            "TextVectorization", encoding
        )  # which the vocabulary is read by
        super().__init__(
            max_tokens,
            1,
            "",
            "[UNK]",
            "string",
            vocabulary,
            idf_weights,
            output_mode=output_mode,
            sparse=sparse,
            pad_to_max_tokens=pad_to_max_tokens,
            **common,
        )
        self.standardize = _function_or_word("standardize", standardize, _STANDARDS)
        self.split = _function_or_word("split", split, _SPLITS)
        self.ngrams = ngrams if ngrams is None else _widths(ngrams)[1]
        self._widths = None if ngrams is None else _widths(ngrams)[0]
        self.ragged = ragged
        if output_sequence_length is not None and self.output_mode != "int":
            got = f"output_sequence_length with output_mode={self.output_mode!r}"
            raise GraphError(
                explain("TextVectorization", got=got, expected="output_mode='int'", fix="leave it out")
            )
        self.output_sequence_length = (
            None
            if output_sequence_length is None
            else count("TextVectorization", "output_sequence_length", output_sequence_length, minimum=0)
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.output_mode == "int":
            return (input_shape[0], self.output_sequence_length)
        tokens = (
            tuple(input_shape) if self.split is None and len(input_shape) > 1 else (*input_shape[:1], None)
        )
        return super().compute_output_shape(tokens)

    def update_state(self, data: Any) -> None:
        """Count the tokens of one more batch of texts.

        Raises:
            GraphError: the vocabulary was given.
        """
        self._count(self._tokens_in(data)[0])

    def forward(self, inputs: Any) -> Tensor:
        self._check_ready()
        rows, shape = self._tokens_in(inputs)
        rows = (
            rows
            if self.output_sequence_length is None
            else [row[: self.output_sequence_length] for row in rows]
        )
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        width = self.output_sequence_length
        if width is None:
            width = max(map(len, rows), default=0)
        numbers = torch.full((len(rows), width), self._mask_place)
        numbers[torch.arange(width) < lengths.unsqueeze(1)] = self._places_of(
            [each for row in rows for each in row]
        )
        return self._encoded(numbers.reshape((*shape, width)).to(self._place.device))

    def _tokens_in(self, inputs: Any) -> tuple[list[_Words], tuple[int, ...]]:
        """The tokens of each text in one list, and the shape of the texts."""
        texts = self._standardized(texts_in(self._named, inputs, self.encoding))
        if self.split is None:
            rows = (
                [row.tolist() for row in texts.reshape(-1, texts.shape[-1])]
                if texts.ndim
                else [[texts.item()]]
            )
            shape = texts.shape[:-1]
        else:
            if texts.ndim > 1 and texts.shape[-1] != 1:
                fix = "join the texts of a row, or split=None"
                raise ShapeError(
                    explain(
                        self._named, got=f"shape {texts.shape}", expected="(batch,) or (batch, 1)", fix=fix
                    )
                )
            texts = texts[..., 0] if texts.ndim > 1 else texts
            rows, shape = self._split_up(texts), texts.shape
        return [_grouped(row, self._widths) for row in rows] if self._widths else rows, shape

    def _standardized(self, texts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if callable(self.standardize):
            return texts_in(f"{self._named}: standardize", self.standardize(_as_strings(texts)))
        made = {
            "lower": bytes.lower,
            "strip_punctuation": lambda text: text.translate(None, _PUNCTUATION),
            "lower_and_strip_punctuation": lambda text: text.translate(None, _PUNCTUATION).lower(),
            None: None,
        }[self.standardize]
        if made is None:
            return texts
        return objects([made(each) for each in texts.flat], texts.shape)

    def _split_up(self, texts: np.ndarray[Any, Any]) -> list[_Words]:
        if self.split == "whitespace":
            return [text.split() for text in texts.flat]
        if self.split == "character":
            return [[each.encode() for each in text.decode()] for text in texts.flat]
        rows = [self._row(each) for each in self.split(_as_strings(texts.reshape(-1)))]
        return [texts_in(f"{self._named}: split", row).tolist() for row in rows]

    def _row(self, tokens: Any) -> list[Any]:
        if isinstance(tokens, (str, bytes)):
            got, fix = f"the text {shorten(tokens)}", "np.char.split(texts, ',')"
            raise DTypeError(explain(f"{self._named}: split", got=got, expected="a list of tokens", fix=fix))
        return list(tokens)


def _as_strings(texts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Texts as functions of yours get them: an array of str."""
    return np.array([each.decode() for each in texts.flat], dtype=np.str_).reshape(texts.shape)


def _grouped(tokens: _Words, widths: Sequence[int]) -> _Words:
    """Every run of neighbouring tokens of each width, joined by spaces."""
    return [b" ".join(tokens[at : at + width]) for width in widths for at in range(len(tokens) - width + 1)]


def _widths(ngrams: Any) -> tuple[tuple[int, ...], Any]:
    """How many tokens make one: each of these numbers; and the argument as it is kept."""
    if isinstance(ngrams, int) and not isinstance(ngrams, bool) and ngrams > 0:
        return tuple(range(1, ngrams + 1)), ngrams
    if (
        isinstance(ngrams, (list, tuple))
        and ngrams
        and all(type(each) is int and each > 0 for each in ngrams)
    ):
        return tuple(ngrams), tuple(ngrams)
    expected = "a positive integer, or a tuple of them"
    raise GraphError(
        explain("TextVectorization", got=f"ngrams={shorten(ngrams)}", expected=expected, fix="ngrams=2")
    )


def _function_or_word(name: str, value: Any, words: tuple[str, ...]) -> Any:
    """A mode by its name, a function, or one by the name under which it is registered."""
    if value is None or callable(value):
        return value
    if isinstance(value, str) and value not in words and value in registry.activations:
        return registry.activations.lookup(value)
    return choice("TextVectorization", name, value, words)
