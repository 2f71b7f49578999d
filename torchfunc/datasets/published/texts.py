"""Texts as numbers of words: the reviews of IMDB and the news of Reuters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from torchfunc.datasets.images import Split
from torchfunc.datasets.published.fetched import arrays_of, divided, shuffled, word_index_of
from torchfunc.datasets.published.npz import ragged
from torchfunc.errors import DataError, explain

Array = npt.NDArray[Any]
Texts = list[list[int]]


def load_imdb(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: 25,000 reviews each, lists of numbers of words, with 1 for a good one, else 0.

    A word has the number of its place among all by how often it stands; `get_word_index` tells it, less `index_from`.

    Args:
        path: The name in `~/.torchfunc/datasets`, where it is downloaded to; with a folder in it, a file of yours.
        num_words: Numbers from this on become `oov_char`; none if None.
        skip_top: Numbers below this become `oov_char`.
        maxlen: Reviews of so many words or more are left out; none if None.
        seed: Of the order.
        start_char: Stands before each review, unless None.
        oov_char: Stands for a word that is left out; None drops it.
        index_from: What is added to the numbers in the file.

    Returns:
        Two pairs of a list of lists, as an array of objects, and an array of labels.

    Raises:
        DataError: the file can neither be found nor downloaded; no review is left.
        CorruptFileError: it is not the file that was published.

    Example:
        >>> reviews, labels = np.array([[1, 14, 22], [1, 9000]], dtype=object), np.array([1, 0])
        >>> np.savez("reviews.npz", x_train=reviews, y_train=labels, x_test=reviews, y_test=labels)
        >>> (x_train, y_train), _ = datasets.imdb.load_data("./reviews.npz", num_words=1000)
        >>> x_train.tolist(), y_train.tolist()
        ([[1, 4, 17, 25], [1, 4, 2]], [1, 0])
    """
    x_train, y_train, x_test, y_test = arrays_of("imdb.npz", path, ("x_train", "y_train", "x_test", "y_test"))
    generator = np.random.RandomState(seed)
    parts = []
    for x, y in ((x_train, y_train), (x_test, y_test)):
        order = np.arange(len(x))
        generator.shuffle(order)
        parts.append(_short(_begun(x[order], start_char, index_from), y[order], maxlen))
    texts = _limited([*parts[0][0], *parts[1][0]], num_words, skip_top, oov_char)
    train = len(parts[0][0])
    return (ragged(texts[:train]), parts[0][1]), (ragged(texts[train:]), parts[1][1])


def load_reuters(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: 11,228 news, lists of numbers of words, of 46 topics by their numbers.

    Args:
        path: The name in `~/.torchfunc/datasets`, where it is downloaded to; with a folder in it, a file of
            yours.
        num_words: Numbers from this on become `oov_char`; none if None.
        skip_top: Numbers below this become `oov_char`.
        maxlen: News of so many words or more are left out; none if None.
        test_split: Which share is to test on.
        seed: Of the order.
        start_char: Stands before each text, unless None.
        oov_char: Stands for a word that is left out; None drops it.
        index_from: What is added to the numbers in the file.

    Returns:
        Two pairs of a list of lists, as an array of objects, and an array of topics.

    Raises:
        DataError: the file can neither be found nor downloaded; no text is left; a share that is not from 0
            to 1.
        CorruptFileError: it is not the file that was published.

    Example:
        >>> news, topics = np.array([[1, 14, 22], [1, 5]] * 5, dtype=object), np.arange(10)
        >>> np.savez("news.npz", x=news, y=topics)
        >>> (x_train, y_train), (x_test, y_test) = datasets.reuters.load_data("./news.npz", test_split=0.2)
        >>> len(x_train), len(x_test)
        (8, 2)
    """
    x, y = shuffled(seed, *arrays_of("reuters.npz", path, ("x", "y")))
    texts, y = _short(_begun(x, start_char, index_from), y, maxlen)
    return divided(ragged(_limited(texts, num_words, skip_top, oov_char)), y, test_split)


def _begun(texts: Iterable[list[int]], start: int | None, add: int) -> Texts:
    """Texts with what stands before each, and with room for what is no word."""
    first = [] if start is None else [start]
    return [first + [word + add for word in text] for text in texts]


def _short(texts: Texts, labels: Array, maxlen: int | None) -> tuple[Texts, Array]:
    if not maxlen:
        return texts, labels
    kept = [place for place, text in enumerate(texts) if len(text) < maxlen]
    if not kept:
        fix = "a greater one; None leaves out none"
        raise DataError(explain("maxlen", got=f"{maxlen}, which leaves no text", fix=fix))
    return [texts[place] for place in kept], labels[kept]


def _limited(texts: Texts, num_words: int | None, skip_top: int, other: int | None) -> Texts:
    """Texts whose words outside of a range are replaced, or dropped."""
    end = num_words or max(map(max, filter(None, texts)), default=0)
    if other is None:
        return [[word for word in text if skip_top <= word < end] for text in texts]
    return [[word if skip_top <= word < end else other for word in text] for text in texts]


def imdb_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """The words with their numbers, from 1; in `load_data` they are greater by `index_from`.

    Args:
        path: the name in `~/.torchfunc/datasets`, where it is downloaded to; with a folder in it, a file of
            yours.

    Returns:
        The number of each word: 1 for the one that stands most often.

    Raises:
        DataError: the file can neither be found nor downloaded.

    Example:
        >>> import json, pathlib
        >>> written = pathlib.Path("words.json").write_text(json.dumps({"the": 1, "film": 2}))
        >>> datasets.imdb.get_word_index("./words.json")
        {'the': 1, 'film': 2}
    """
    return word_index_of("imdb_word_index.json", path)


def reuters_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """The words with their numbers, from 1; in `load_data` they are greater by `index_from`.

    Args:
        path: the name in `~/.torchfunc/datasets`, where it is downloaded to; with a folder in it, a file of
            yours.

    Returns:
        The number of each word: 1 for the one that stands most often.

    Raises:
        DataError: the file can neither be found nor downloaded.

    Example:
        >>> import json, pathlib
        >>> written = pathlib.Path("words.json").write_text(json.dumps({"the": 1, "oil": 2}))
        >>> datasets.reuters.get_word_index("./words.json")
        {'the': 1, 'oil': 2}
    """
    return word_index_of("reuters_word_index.json", path)


_TOPICS = """
    cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass crude
    nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi iron-steel
    rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead
"""


def reuters_label_names() -> tuple[str, ...]:
    """The 46 topics, in the order of their numbers.

    Returns:
        A tuple of 46 names.

    Example:
        >>> datasets.reuters.get_label_names()[:3]
        ('cocoa', 'grain', 'veg-oil')
    """
    return tuple(_TOPICS.split())
