"""Lookups: a vocabulary of texts or whole numbers, and the place of each in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import registry, schemas
from torchfunc.errors import DTypeError, GraphError, explain, shorten
from torchfunc.layers.arguments import choice, count
from torchfunc.layers.layer import Common, map_shapes
from torchfunc.layers.preprocessing.adapting import (
    Adapted,
    encoding_of,
    no_text,
    numbers_of,
    objects,
    texts_in,
)
from torchfunc.layers.preprocessing.encoding import dense, encoded, encoded_shape, mode_of
from torchfunc.layers.preprocessing.fingerprints import bins_of, decimals_of, texts_of
from torchfunc.layers.preprocessing.hashing import salt_of

MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
_MASK = 0  # where a mask is, in the mode "int"
_NOWHERE = -1  # what `encoded` leaves out


@registry.layers.register()
class IndexLookup(Adapted):
    """Each text or whole number as its place in a vocabulary; what StringLookup and IntegerLookup are made of.

    The places are, in this order: the mask's, in the mode "int" alone; `num_oov_indices` for what the vocabulary
    does not have; the vocabulary's. It is kept in the configuration, so that a file holds it.

    Args:
        max_tokens: how many places there are at most, with the first ones; any number if None.
        num_oov_indices: how many places there are for what the vocabulary does not have, taken by its hash where
            there are several; with 0 such a thing is an error.
        mask_token: what means "nothing here".
        oov_token: what stands for such places in `get_vocabulary`, and comes for unknown ones with `invert`.
        vocabulary_dtype: "string" or "int64".
        vocabulary: a list, an array or a tensor, with or without the mask's and unknown tokens at its beginning; or
            the path of a text file with one on each line, which only you can give, and no file that is loaded.
        idf_weights: with "tf_idf", how much each of the vocabulary counts.
        invert: whether places are looked up, and what stands there is given back.
        output_mode: "int", "one_hot", "multi_hot", "count", or "tf_idf", which is counts times `idf_weights`.
        sparse: not here: the output is dense.
        pad_to_max_tokens: whether the last dimension, in the other modes than "int", is `max_tokens` in any case.
        oov_method: "floormod" or "farmhash", for whole numbers where there are several places for unknown ones.
        salt: with one number or two, the hash for unknown ones is SipHash-2-4 with that key.
        dtype: that of the output in the modes that give floats.
        name, trainable, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: arguments that do not fit together; a vocabulary in which something stands twice.

    Example:
        >>> layer = layers.IndexLookup(None, 1, None, "?", "string", vocabulary=["a", "b"])
        >>> layer.get_vocabulary(), layer.vocabulary_size()
        (['?', 'a', 'b'], 3)
    """

    _autocast = False
    encoding: str = "utf-8"
    _entries: list[Any]  # the vocabulary without what comes before it
    _table: dict[bytes, int]  # the place of each text
    _keys: Tensor  # the numbers in rising order
    _values: Tensor  # their places; with `invert` the numbers in the order of their places
    _idf: Tensor | None  # how much each of the vocabulary counts, or each place

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: str | int | None,
        oov_token: str | int | None,
        vocabulary_dtype: str,
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: int | Sequence[int] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        owner = type(self).__name__
        self.max_tokens = None if max_tokens is None else count(owner, "max_tokens", max_tokens, minimum=2)
        self.num_oov_indices = count(owner, "num_oov_indices", num_oov_indices, minimum=0)
        self.mask_token, self.oov_token = mask_token, oov_token
        self.vocabulary_dtype = choice(owner, "vocabulary_dtype", vocabulary_dtype, ("string", "int64"))
        self.invert = invert
        self.output_mode = mode_of(owner, output_mode, MODES)
        self.sparse = dense(owner, sparse)
        self.pad_to_max_tokens = pad_to_max_tokens
        self.oov_method = choice(owner, "oov_method", oov_method, ("floormod", "farmhash"))
        self.salt = salt_of(owner, salt)
        self._check_arguments(idf_weights)
        self.built = self._of_text  # text has no shape to build for
        self._place = nn.Buffer(torch.empty(0, dtype=torch.uint8), persistent=False)
        self._is_given = vocabulary is not None and not schemas.is_reading()
        self._entries = []
        self._take([], None)
        self.reset_state()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
        # kept as the vocabulary, and no second time as what was passed
        for name in ("vocabulary", "idf_weights"):
            self._config_arguments.pop(name, None)

    def _check_arguments(self, idf_weights: Any) -> None:
        for wrong, got, expected, fix in (
            (
                self.pad_to_max_tokens and self.max_tokens is None,
                "pad_to_max_tokens=True",
                "max_tokens too",
                "",
            ),
            (
                self.invert and self.output_mode != "int",
                f"invert=True with output_mode={self.output_mode!r}",
                "output_mode='int'",
                "",
            ),
            (
                self.salt is not None and not self._of_text and self.oov_method != "farmhash",
                f"salt={self.salt} with oov_method='floormod'",
                "oov_method='farmhash'",
                "",
            ),
            (
                idf_weights is not None and self.output_mode != "tf_idf",
                f"idf_weights with output_mode={self.output_mode!r}",
                "output_mode='tf_idf'",
                "leave them out",
            ),
            (self.invert and self.oov_token is None, "invert=True with oov_token=None", "an oov_token", ""),
        ):
            if wrong:
                raise GraphError(explain(type(self).__name__, got=got, expected=expected, fix=fix))

    @property
    def _of_text(self) -> bool:
        return self.vocabulary_dtype == "string"

    @property
    def takes_text(self) -> bool:
        """Whether it is called on text, which no graph holds."""
        return self._of_text and not self.invert

    @property
    def _named(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    @property
    def _first_unknown(self) -> int:
        """The place of the first unknown one."""
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def _first_known(self) -> int:
        """The place of the first of the vocabulary."""
        return self._first_unknown + self.num_oov_indices

    @property
    def _before(self) -> list[Any]:
        """What stands before the vocabulary."""
        return [self.mask_token] * self._first_unknown + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The vocabulary in the order of its places.

        Args:
            include_special_tokens: whether the mask and the unknown ones stand at its beginning.
        """
        return [*(self._before if include_special_tokens else ()), *self._entries]

    def vocabulary_size(self) -> int:
        """How many places there are."""
        return self._first_known + len(self._entries)

    @property
    def vocabulary(self) -> list[Any] | None:
        """The vocabulary as a configuration holds it; None before there is one."""
        weighed = self._idf is not None and len(self._idf) > len(self._entries)
        return self.get_vocabulary(weighed) if self._entries else None

    @property
    def idf_weights(self) -> Tensor | None:
        """How much each place counts in the mode "tf_idf": those without a weight of their own as the mean does."""
        if self._idf is None:
            return None
        missing = self.vocabulary_size() - len(self._idf)
        return torch.cat([self._idf.mean().expand(missing), self._idf])

    def _argument(self, name: str) -> Any:
        return self._idf if name == "idf_weights" else super()._argument(name)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Have this vocabulary from now on.

        Args:
            vocabulary: a list, an array, a tensor, or the path of a text file.
            idf_weights: in the mode "tf_idf", how much each counts.

        Raises:
            GraphError: nothing in it, something twice, the mask in its middle, more than `max_tokens`, weights of
                another number.
        """
        entries = self._entries_of(vocabulary)
        if not entries:
            raise GraphError(explain(self._named, got="an empty vocabulary", expected="at least one token"))
        # not to list as many unknown ones as a file may say
        begins_so = self._first_known <= len(entries) and entries[: self._first_known] == self._before
        tokens = entries[self._first_known :] if begins_so else entries
        self._check_tokens(tokens)
        idf = self._idf_of(idf_weights, len(entries))
        self._take(tokens, idf)

    def _entries_of(self, vocabulary: Any) -> list[Any]:
        if isinstance(vocabulary, (str, Path)):
            if schemas.is_reading():
                why = "what is loaded opens no file"
                raise GraphError(
                    explain(self._named, got=shorten(vocabulary), expected="a list of tokens", why=why)
                )
            if self.output_mode == "tf_idf":
                got = "the path of a vocabulary with output_mode='tf_idf'"
                raise GraphError(explain(self._named, got=got, expected="a list of tokens, and idf_weights"))
            vocabulary = _lines_of(Path(vocabulary), self._named)
            if not self._of_text:
                vocabulary = [int(each) for each in vocabulary]
        if isinstance(vocabulary, (Tensor, np.ndarray)):
            vocabulary = vocabulary.tolist()
        encoding = self.encoding
        entries = [each.decode(encoding) if isinstance(each, bytes) else each for each in vocabulary]
        wanted: Any = str if self._of_text else (int, np.integer)
        for each in entries:
            if each is not None and not isinstance(each, wanted):
                expected = "texts" if self._of_text else "whole numbers"
                raise DTypeError(explain(f"{self._named}: vocabulary", got=shorten(each), expected=expected))
        return entries if self._of_text else [each if each is None else int(each) for each in entries]

    def _check_tokens(self, tokens: list[Any]) -> None:
        fix = "leave it out, or begin with the mask and then num_oov_indices times the oov_token"
        reserved = [self.mask_token, self.oov_token if self.invert else None]
        for token in reserved:
            if token is not None and token in tokens:
                got = f"{shorten(token)} at place {tokens.index(token)} of the vocabulary"
                raise GraphError(
                    explain(self._named, got=got, expected="a token that is not reserved", fix=fix)
                )
        if len(set(tokens)) < len(tokens):
            again = [token for token, number in Counter(tokens).items() if number > 1]
            got = f"{shorten(again)} more than once in the vocabulary"
            raise GraphError(explain(self._named, got=got, expected="each token once"))
        if None in tokens:
            raise GraphError(explain(self._named, got="None in the vocabulary", expected="tokens"))
        size = self._first_known + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            got = f"a vocabulary of {size:,} places with the first ones"
            raise GraphError(
                explain(self._named, got=got, expected=f"at most max_tokens={self.max_tokens:,}")
            )

    def _idf_of(self, weights: Any, number: int) -> Any:
        """The weights of what was given."""
        if self.output_mode != "tf_idf":
            if weights is not None:
                got = f"idf_weights with output_mode={self.output_mode!r}"
                raise GraphError(explain(self._named, got=got, expected="output_mode='tf_idf'"))
            return None
        if weights is None:
            got = "a vocabulary alone with output_mode='tf_idf'"
            raise GraphError(explain(self._named, got=got, expected="idf_weights, one for each token"))
        array = np.asarray(weights.tolist() if isinstance(weights, Tensor) else weights, dtype=np.float64)
        if array.shape != (number,):
            got = f"idf_weights of shape {array.shape}"
            raise GraphError(explain(self._named, got=got, expected=f"shape ({number},), one for each token"))
        return array

    def _take(self, tokens: list[Any], idf: Any) -> None:
        """Put a vocabulary to use: a table of texts in Python, sorted tensors of numbers."""
        if (
            self.output_mode != "int"
            and not self.pad_to_max_tokens
            and self._entries
            and len(tokens) != len(self._entries)
        ):
            self._check_unused(len(tokens))
        self._entries = tokens
        places = range(self._first_known, self._first_known + len(tokens))
        self._table = {}
        keys = values = np.zeros(0, dtype=np.int64)
        if self.invert and not self._of_text:
            values = np.array(tokens, dtype=np.int64)
        elif self._of_text:
            self._table = dict(zip((each.encode() for each in tokens), places, strict=True))
        elif tokens:
            order = np.argsort(np.array(tokens, dtype=np.int64), kind="stable")
            keys, values = np.array(tokens, dtype=np.int64)[order], order + self._first_known
        # from arrays, which have their numbers on the meta device too
        kept = {"_keys": keys, "_values": values}
        device = self._place.device if self._place.device.type != "meta" else None
        for name, array in kept.items():
            self.register_buffer(name, torch.from_numpy(array.astype(np.int64)).to(device), persistent=False)
        if idf is None:
            self.register_buffer("_idf", None, persistent=False)
        else:
            weights = torch.from_numpy(np.asarray(idf, dtype=np.float64)).to(device, self._kind())
            self.register_buffer("_idf", weights, persistent=False)

    def _check_unused(self, number: int) -> None:
        if self._nodes:
            raise GraphError(
                explain(
                    self._named,
                    got=f"a vocabulary of {self._first_known + number} places",
                    expected=f"{self.vocabulary_size()}, as in the graph that it is part of",
                    fix="adapt it before it is called on an Input, or pad_to_max_tokens=True",
                )
            )

    def _whole(self, data: Any) -> Any:
        array = self._as_array(data)
        return array.reshape(-1, 1) if array.ndim == 1 else array

    def _as_array(self, data: Any) -> np.ndarray[Any, Any]:
        if self._of_text:
            return texts_in(f"{self._named}.adapt", data, self.encoding)
        return numbers_of(f"{self._named}.adapt", data).detach().cpu().long().numpy()

    def update_state(self, data: Any) -> None:
        """Count one more batch: (samples, tokens); of one dimension it is one sample.

        Raises:
            GraphError: the vocabulary was given.
        """
        array = self._as_array(data)
        self._count(array.reshape(1, -1) if array.ndim < 2 else array.reshape(len(array), -1))

    def _count(self, rows: Iterable[Any]) -> None:
        """Count the tokens in rows, and in how many rows each stands."""
        if self._is_given:
            raise GraphError(
                explain(
                    f"{self._named}.adapt",
                    got="a vocabulary when it was made",
                    expected="none, or nothing to learn from",
                    fix="leave out vocabulary=, or use set_vocabulary",
                )
            )
        for row in rows:
            tokens = row if isinstance(row, list) else row.tolist()
            self._counts.update(tokens)
            if self.output_mode == "tf_idf":
                self._row_counts.update(set(tokens))
                self._rows += 1

    def finalize_state(self) -> None:
        """Have what was counted as the vocabulary: the most frequent first, of equally frequent ones the last."""
        for special in (self.mask_token, self.oov_token):
            self._counts.pop(special.encode() if isinstance(special, str) else special, None)
        if self._is_given or not self._counts:
            return
        ranked = sorted(self._counts.items(), key=lambda item: item[::-1], reverse=True)
        if self.max_tokens is not None:
            ranked = ranked[: max(self.max_tokens - self._first_known, 0)]
        idf = None
        if self.output_mode == "tf_idf":
            rows = np.array([self._row_counts[token] for token, _ in ranked])
            idf = np.log(1 + self._rows / (1 + rows))
        tokens = [token for token, _ in ranked]
        self._take([self._readable(each) for each in tokens] if self._of_text else tokens, idf)
        self.reset_state()

    def _readable(self, token: bytes) -> str:
        try:
            return token.decode()
        except UnicodeDecodeError as error:
            got, fix = f"the bytes {shorten(token)}", "encoding='latin-1', or that which it is in"
            raise DTypeError(explain(f"{self._named}.adapt", got=got, expected="UTF-8", fix=fix)) from error

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._counts: Counter[Any] = Counter()
        self._row_counts: Counter[Any] = Counter()
        self._rows = 0

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        if self._of_text:
            raise no_text(self)
        self._check_ready()
        return super().symbolic_call(*args, **kwargs)

    def _check_ready(self) -> None:
        if not self._entries and (self.invert or (self.output_mode != "int" and not self.pad_to_max_tokens)):
            raise GraphError(
                explain(
                    self._named,
                    got="no vocabulary yet",
                    expected="one, for invert=True"
                    if self.invert
                    else f"one, for output_mode={self.output_mode!r}",
                    fix="layer.adapt(data), or vocabulary=[...]",
                )
            )

    @property
    def _depth(self) -> int:
        return (self.pad_to_max_tokens and self.max_tokens) or self.vocabulary_size()

    @property
    def output_shape_for(self) -> Any:
        return self._stated_shape

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._check_ready()
        return map_shapes(self._stated_shape, input_shape)

    def _stated_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return encoded_shape(shape, self.output_mode, self._depth)

    def output_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return torch.int64 if self.output_mode == "int" else self._kind()

    def forward(self, inputs: Any) -> Any:
        self._check_ready()
        if self.invert:
            return self._inverted(inputs)
        return self._encoded(self._text_places(inputs) if self._of_text else self._number_places(inputs))

    def _encoded(self, places: Tensor) -> Tensor:
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        if mode == "int":
            return places
        found = encoded(places, mode, self.vocabulary_size(), self._kind())
        weights = self.idf_weights
        found = found if weights is None else found * weights.to(found.dtype)
        return F.pad(found, (0, self._depth - self.vocabulary_size()))

    @property
    def _mask_place(self) -> int:
        return _MASK if self.output_mode == "int" else _NOWHERE

    def _text_places(self, inputs: Any) -> Tensor:
        words = texts_in(self._named, inputs, self.encoding)
        return self._places_of(words.ravel().tolist()).reshape(words.shape).to(self._place.device)

    def _places_of(self, words: list[bytes]) -> Tensor:
        """The place of each text."""
        unknown = self._first_unknown if self.num_oov_indices == 1 else _NOWHERE
        found = [self._table.get(each, unknown) for each in words]
        if unknown == _NOWHERE and _NOWHERE in found:
            strange = [at for at, place in enumerate(found) if place == _NOWHERE]
            mask = None if self.mask_token is None else str(self.mask_token).encode()
            strange = [at for at in strange if words[at] != mask]
            if strange and not self.num_oov_indices:
                raise self._unknown([words[at].decode(errors="replace") for at in strange])
            if strange:
                bins = bins_of(texts_of([words[at] for at in strange]), self.num_oov_indices, self.salt)
                for at, place in zip(strange, bins.tolist(), strict=True):
                    found[at] = place + self._first_unknown
        if self.mask_token is not None:
            mask = str(self.mask_token).encode()
            found = [self._mask_place if word == mask else at for word, at in zip(words, found, strict=True)]
        return torch.tensor(found, dtype=torch.int64)

    def _unknown(self, values: Any) -> GraphError:
        return GraphError(
            explain(
                self._named,
                got=shorten(values),
                expected="what its vocabulary has",
                why="num_oov_indices=0 leaves no place for anything else",
                fix="num_oov_indices=1",
            )
        )

    def _number_places(self, inputs: Any) -> Tensor:
        numbers = numbers_of(self._named, inputs).long()
        nothing = torch.zeros_like(numbers, dtype=torch.bool)
        masked = nothing if self.mask_token is None else numbers.eq(int(self.mask_token))
        if len(self._keys):
            at = torch.searchsorted(self._keys, numbers).clamp(max=len(self._keys) - 1)
            known, places = self._keys[at] == numbers, self._values[at]
        else:
            known, places = nothing, numbers
        if self.num_oov_indices == 0:
            strange = ~(known | masked)
            if not torch.compiler.is_compiling() and not numbers.is_meta and bool(strange.any()):
                raise self._unknown(numbers[strange].tolist())
            unknown: Any = _NOWHERE
        elif self.num_oov_indices == 1:
            unknown = self._first_unknown
        elif self.oov_method == "floormod":
            unknown = numbers.remainder(self.num_oov_indices) + self._first_unknown
        else:
            bins = bins_of(decimals_of(numbers.reshape(-1)), self.num_oov_indices, self.salt)
            unknown = bins.reshape(numbers.shape) + self._first_unknown
        return torch.where(masked, self._mask_place, torch.where(known, places, unknown))

    def _inverted(self, inputs: Any) -> Any:
        """What stands at places: text in nested lists, numbers in a tensor."""
        places = numbers_of(self._named, inputs).long()
        at = places - self._first_known
        if self._of_text:
            words, mask = self._entries, self.mask_token if self._first_unknown else self.oov_token
            found = [
                words[each]
                if 0 <= each < len(words)
                else mask
                if each == -self._first_known
                else self.oov_token
                for each in at.reshape(-1).tolist()
            ]
            return objects(found, tuple(places.shape)).tolist()
        known = (at >= 0) & (at < len(self._values))
        numbers = torch.where(
            known, self._values[at.clamp(0, len(self._values) - 1)], int(self.oov_token or 0)
        )
        return (
            torch.where(places == 0, int(self.mask_token or 0), numbers) if self._first_unknown else numbers
        )


def _lines_of(path: Path, owner: str) -> list[str]:
    if not path.exists():
        raise GraphError(
            explain(owner, got=f"the vocabulary file {shorten(str(path))}", expected="a file that exists")
        )
    lines = path.read_text(encoding="utf-8").split("\n")
    while lines and not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


@registry.layers.register()
class StringLookup(IndexLookup):
    """Each text as its place in a vocabulary.

    Shapes: (batch, ...) of texts to the same of whole numbers; in the other modes as for CategoryEncoding. It takes
    lists and arrays of str or bytes, and so is called on data, or in a Dataset or a collate_fn: a graph holds no text.

    Args:
        max_tokens, num_oov_indices, oov_token, vocabulary, idf_weights, invert, output_mode, pad_to_max_tokens,
        sparse, salt: as for IndexLookup.
        mask_token: what means "nothing here"; None for nothing.
        encoding: that of what comes as bytes.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: as IndexLookup; a symbolic input.
        DTypeError: an input that is no text.

    Example:
        >>> layers.StringLookup(vocabulary=["a", "b"])(["b", "c"])
        tensor([2, 0])
        >>> layer = layers.StringLookup(output_mode="multi_hot")
        >>> layer.adapt(["x", "y", "x"])
        >>> layer.get_vocabulary(), layer([["x"], ["z"]])
        (['[UNK]', 'x', 'y'], tensor([[0., 1., 0.],
                [1., 0., 0.]]))
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str | None = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        salt: int | Sequence[int] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self.__dict__["encoding"] = encoding_of("StringLookup", encoding)  # which the vocabulary is read by
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            "string",
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            salt=salt,
            **common,
        )


@registry.layers.register()
class IntegerLookup(IndexLookup):
    """Each whole number as its place in a vocabulary.

    Shapes: (batch, ...) of whole numbers to the same; in the other modes as for CategoryEncoding. It may stand in a
    graph.

    Args:
        max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, vocabulary_dtype, idf_weights, invert,
            output_mode, sparse, pad_to_max_tokens, oov_method, salt: as for IndexLookup.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: as IndexLookup.

    Example:
        >>> layers.IntegerLookup(vocabulary=[12, 36])([36, 7])
        tensor([2, 0])
        >>> layers.IntegerLookup(vocabulary=[12, 36], invert=True)([2, 0])
        tensor([36, -1])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int | None = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: int | Sequence[int] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            choice("IntegerLookup", "vocabulary_dtype", vocabulary_dtype, ("int64",)),
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            oov_method,
            salt,
            **common,
        )
