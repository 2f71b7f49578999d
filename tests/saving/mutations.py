"""Files with something wrong in them: saved models of many kinds, each changed by one seed's mutations.

`mutation(seed)` is always the same for the same saved files. The checksums of what it gives are right, so that what
is wrong is found by what it means, except where bytes are flipped on purpose.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch._subclasses.schema_check_mode  # a first step of an optimizer imports it, and is no load
from torch import nn

import torchfunc as tf
from tests.hostile import SLACK, Parts, Raw, by_config, compact, faults, joined, outcomes, parts_of
from torchfunc import functions, native, ops, registry
from torchfunc.errors import TorchfuncError
from torchfunc.layers import (
    LSTM,
    Add,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    GlobalAveragePooling2D,
    Masking,
)
from torchfunc.saving.header import DTYPES

SECONDS, MEMORY = 5.0, 1 << 30
GOLDEN = Path(__file__).parents[1] / "golden" / "files"

# --- The files that are changed --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Original:
    """A saved model: its file, and data for a step of training where it was trained."""

    data: bytes
    model: Any = None
    batch: tuple[Any, Any] | None = None

    def parts(self) -> Parts:
        return parts_of(self.data)


def mlp() -> Any:
    x = tf.Input((4,), name="x")
    model = tf.Model(
        x, Dense(2, name="b")(Dropout(0.5)(Dense(3, activation="relu", name="a")(x))), name="mlp"
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


def cnn() -> Any:
    x = tf.Input((2, 6, 6), name="image")
    y = BatchNormalization()(Conv2D(3, 3, padding="same", data_format="channels_first")(x))
    model = tf.Model(
        x, Dense(2, activation="softmax")(GlobalAveragePooling2D("channels_first")(y)), name="cnn"
    )
    optimizer = tf.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def lstm() -> Any:
    x = tf.Input((3, 2), name="steps")
    return tf.Model(x, Dense(1)(LSTM(2)(Masking()(x))), name="lstm")


def ids() -> Any:
    x = tf.Input((3,), dtype="int64", name="ids")
    return tf.Model(x, LSTM(2, return_sequences=True)(Embedding(5, 2, mask_zero=True)(x)), name="ids")


def two_outputs() -> Any:
    a, b = tf.Input((3,), name="a"), tf.Input((3,), name="b")
    shared = Dense(2, name="shared")
    one, other = shared(a), shared(b)
    outputs = {"p": Dense(1, name="p")(one), "q": Concatenate(name="q")([one, other])}
    model = tf.Model({"a": a, "b": b}, outputs, name="two")
    model.compile("rmsprop", {"p": "mse", "q": "mae"}, loss_weights={"p": 1.0, "q": 0.5})
    return model


def nest() -> Any:
    inner = tf.Input((3,), name="inner")
    block = tf.Model(inner, Dense(3, name="d")(inner), name="block")
    x = tf.Input((3,), name="x")
    return tf.Model(x, Add()([block(x), block(block(x))]), name="nest")


def chain() -> Any:
    return tf.Sequential([tf.Input((4,)), Dense(3, activation="tanh"), nn.Linear(3, 2)], name="chain")


def unbuilt() -> Any:
    model = tf.Sequential([Dense(3, kernel_regularizer="l2"), nn.ReLU()])
    model(torch.zeros(2, 4))
    return model


def torchs() -> Any:
    x = tf.Input((3, 4), name="x")
    y = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 4, batch_first=True), 1)(x)
    y, _ = nn.GRU(4, 2, batch_first=True)(y)
    return tf.Model(x, nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 1))(y), name="torchs")


def calls() -> Any:
    x = tf.Input((4, 3), name="x")
    y = (x[:, 1:3, ..., None] * 2.0 + 1).squeeze(-1)
    y = torch.cat([y.relu(), torch.softmax(y, dim=-1)], dim=1)
    y = torch.where(y > 0.5, y, y.transpose(1, 2).transpose(2, 1)).reshape(-1, y.shape[1] * 3)
    low, high = torch.split(y, 6, dim=1)
    values, _ = torch.topk(low + high, 2)
    return tf.Model(x, values.to(torch.float64).mean(dim=-1, keepdim=True), name="calls")


def keras_ops() -> Any:
    x = tf.Input((4, 3), name="x")
    y = ops.concatenate([ops.relu(x), ops.pad(x, ((0, 0), (0, 0), (1, 2)))], axis=-1)
    y = ops.repeat(ops.transpose(y, (0, 2, 1)), 2, axis=1)
    y = ops.add(ops.einsum("bij,bij->bi", y, y), ops.mean(ops.tile(y, (1, 1, 2)), axis=-1))
    values, places = ops.top_k(ops.take(y, [0, 2, -1], axis=1), 2)
    return tf.Model(
        x, [ops.clip(values, 0.0, 1.0), ops.one_hot(places, 3), ops.split(y, 2, axis=1)[0]], name="ops"
    )


def attention() -> Any:
    x = tf.Input((3, 4), name="x")
    return tf.Model(x, nn.MultiheadAttention(4, 2, batch_first=True)(x, x, x)[0], name="attention")


def frozen() -> Any:
    x = tf.Input((3,), name="x")
    model = tf.Model(x, Dense(2)(nn.Linear(3, 3)(x)), name="frozen").double()
    next(model.parameters()).requires_grad_(False)
    return model


def trained(model: Any) -> tuple[Any, Any] | None:
    """The data of the step by which it was trained."""
    numbers = np.random.default_rng(0)
    name = model.name
    if name == "mlp":
        batch: Any = numbers.random((4, 4), "f4"), numbers.random((4, 2), "f4")
    elif name == "cnn":
        batch = numbers.random((4, 2, 6, 6), "f4"), np.array([0, 1, 0, 1])
    elif name == "two":
        x = {"a": numbers.random((4, 3), "f4"), "b": numbers.random((4, 3), "f4")}
        batch = x, {"p": numbers.random((4, 1), "f4"), "q": numbers.random((4, 4), "f4")}
    else:
        return None
    model.fit(*batch, batch_size=4, epochs=2, verbose=0)
    return batch


MAKERS = (mlp, cnn, lstm, ids, two_outputs, nest, chain, unbuilt, torchs, calls, keras_ops, attention, frozen)


@cache
def originals() -> dict[str, Original]:
    """The files that are changed, by their names: new ones, and small ones of the past."""
    found = {}
    before = torch.get_rng_state()
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        for make in MAKERS:
            model = make()
            batch = trained(model)
            path = Path(folder) / "m.safetensors"
            model.save(path)
            found[make.__name__] = Original(path.read_bytes(), model, batch)
    torch.set_rng_state(before)
    for path in sorted(GOLDEN.glob("*.safetensors")):
        small = path.stat().st_size < 24_000 and ".data" not in path.suffixes
        if small and not path.name.startswith("weights"):
            found[f"golden {path.stem}"] = Original(path.read_bytes())
    return found


# --- What is put into them -------------------------------------------------------------------------------------

NUMBERS = [
    -1,
    0,
    1,
    2,
    3,
    16,
    255,
    2**15,
    2**31 - 1,
    2**31,
    2**40,
    2**62,
    2**63 - 1,
    2**63,
    0.5,
    -0.0,
    1e-320,
    1e308,
    -1e308,
]
OTHERS = [None, True, False, [], {}, "", [[]], {"": None}, [None], "NaN", {"float": "nan"}, {"float": "inf"}]
GADGETS = """
    os.system subprocess.Popen builtins.eval torch.load torch.hub.load torch.os.system operator.methodcaller
    operator.attrgetter torch.ops.load_library __class__ __init__ __reduce_ex__ __import__ __debug__ __dict__ self cls
    None True import lambda class forward training graph name config modules _parameters _buffers _modules trainer
    out device dtype requires_grad generator inplace layout fn function call from path tensor tuple dict slice float
    ellipsis memory_format shared kind class_name model build frozen compile optimizer backend options jit_compile
    run_eagerly get_config register_hook set_ resize_ share_memory_ numpy data grad apply_ map_ cpu cuda cuda:999 meta
    mps xla object qint8 quint4x2 complex32 float8_e5m2 ../../x /etc/passwd file:///etc/passwd C:\\x a.b a/b 0 -1 1e9
    ﬁ ｓｅｌｆ ١٢ ² é \u202e \u2028 \x00 ' " \\ ') {0} %s {self} x=1 x\ny
""".split(" ")


@cache
def words() -> tuple[str, ...]:
    """Every name that a registry holds, and what attackers write."""
    known = [name for each in registry.registries() for name in each]
    known += [
        *functions.by_name(),
        *functions.METHODS,
        *functions.ATTRIBUTES,
        *native.classes(),
        *native.optimizers(),
    ]
    gadgets = [each.strip("\n") for each in GADGETS if each.strip("\n")]
    return (*sorted(set(map(str, known))), *gadgets * 5, "x" * 5000)


def value(dice: random.Random) -> Any:
    """Something that may stand anywhere."""
    found = dice.choice(
        [lambda: dice.choice(NUMBERS), lambda: dice.choice(OTHERS), lambda: dice.choice(words())]
    )()
    return deepcopy(found)  # what is put in may be changed in its turn, and every seed begins with the same


Place = tuple[Any, Any]  # a list or dict, and a key of it


def places(tree: Any) -> Iterator[Place]:
    """Every item of every list and dict."""
    waiting = [tree]
    while waiting:
        each = waiting.pop()
        keys: Any = list(each) if isinstance(each, dict) else range(len(each))
        for key in keys:
            yield each, key
            if isinstance(each[key], (dict, list)):
                waiting.append(each[key])


def copied(tree: Any) -> Any:
    return json.loads(json.dumps(tree))


# --- Mutations: each changes the parts, and says what it did -----------------------------------------------------

Mutation = Callable[[Parts, random.Random], Any]


def edited(parts: Parts, dice: random.Random, within: tuple[str, ...] = ()) -> str:
    """One place of the config is another thing."""
    config = parts.config
    tops = [key for key in within or config if isinstance(config.get(key), (dict, list)) and config[key]]
    if not tops:
        return "nothing"
    top = dice.choice(tops)
    found = list(places(config[top]))
    owner, key = dice.choice(found)
    old = owner[key]
    verb = dice.choice("number number word value delete double copy swap wrap key add nudge".split())
    if verb == "number":
        owner[key] = dice.choice(NUMBERS)
    elif verb == "word":
        owner[key] = dice.choice(words())
    elif verb == "value":
        owner[key] = value(dice)
    elif verb == "delete":
        del owner[key]
    elif verb == "double":
        if isinstance(owner, list):
            owner.insert(dice.randrange(len(owner) + 1), copied(old))
        else:
            owner[dice.choice(words())] = copied(old)
    elif verb == "copy":
        other, at = dice.choice(found)
        owner[key] = copied(other[at])
    elif verb == "swap":
        other, at = dice.choice(found)
        owner[key], other[at] = copied(other[at]), copied(old)
    elif verb == "wrap":
        owner[key] = dice.choice(
            [[old], {"tuple": [old]}, {"dict": {"x": old}}, {"class_name": old, "config": {}}, [old] * 50]
        )
    elif verb == "key" and isinstance(owner, dict):
        owner[dice.choice(words())] = owner.pop(key)
    elif verb == "nudge" and isinstance(old, (int, float)) and not isinstance(old, bool):
        owner[key] = dice.choice(
            [-old, old + 1, old * 2, old / 2 if math.isfinite(old) else 0, old - 1, float(old)]
        )
    elif isinstance(old, dict):
        old[dice.choice(words())] = value(dice)
    elif isinstance(old, list):
        old.insert(dice.randrange(len(old) + 1), value(dice))
    else:
        owner[key] = value(dice)
    return f"{verb} at {top}...{key!s:.40}"


def in_training(parts: Parts, dice: random.Random) -> str:
    return edited(parts, dice, ("training",))


def in_compile(parts: Parts, dice: random.Random) -> str:
    return edited(parts, dice, ("compile", "training"))


def rewired(parts: Parts, dice: random.Random) -> str:
    """A reference points elsewhere: to a later call, to itself, into a path, to nothing."""
    found = [
        owner[key]
        for owner, key in places(parts.config)
        if isinstance(owner[key], dict) and "from" in owner[key]
    ]
    names = [
        owner[key] for owner, key in places(parts.config) if key == "name" and isinstance(owner[key], str)
    ]
    if not found or not names:
        return edited(parts, dice)
    reference = dice.choice(found)
    if dice.random() < 0.7:
        reference["from"] = dice.choice(names)
    else:
        reference["path"] = dice.choice(
            [[0], [1], [-1], [0, 0], ["x"], [True], [2**63], [1.0], "x", [[]], list(range(100))]
        )
    return f"a reference to {reference!s:.60}"


def reordered(parts: Parts, dice: random.Random) -> str:
    """Two items of one list or dict stand in each other's place."""
    found = [
        owner[key]
        for owner, key in places(parts.config)
        if isinstance(owner[key], (dict, list)) and len(owner[key]) > 1
    ]
    if not found:
        return "nothing"
    tree = dice.choice(found)
    keys: Any = list(tree) if isinstance(tree, dict) else range(len(tree))
    one, other = dice.sample(list(keys), 2)
    tree[one], tree[other] = tree[other], tree[one]
    return f"{one!s:.30} and {other!s:.30} are exchanged"


def retabled(parts: Parts, dice: random.Random) -> str:
    """A tensor has another name, dtype, shape or content, or is gone; the bytes fit what is said."""
    if not parts.tensors:
        return "nothing"
    name = dice.choice(sorted(parts.tensors))
    old = parts.tensors[name]
    verb = dice.choice("remove rename copy dtype shape turn flatten grow fill alias alias".split())
    if verb == "remove":
        del parts.tensors[name]
    elif verb == "rename":
        parts.tensors[dice.choice([*sorted(parts.tensors), *words()])] = parts.tensors.pop(name)
    elif verb == "copy":
        parts.tensors[dice.choice([*sorted(parts.tensors), f"{name}.x", f"optimizer/{name}", "x"])] = old
    elif verb == "dtype":
        dtype = dice.choice(sorted(DTYPES))
        parts.tensors[name] = Raw(dtype, old.shape, bytes(math.prod(old.shape) * DTYPES[dtype].itemsize))
    elif verb == "shape":
        shape = [dice.choice([0, 1, 2, 3, 4, 7]) for _ in range(dice.randrange(6))]
        parts.tensors[name] = Raw(old.dtype, shape, bytes(math.prod(shape) * DTYPES[old.dtype].itemsize))
    elif verb == "turn":
        parts.tensors[name] = replace(old, shape=old.shape[::-1])
    elif verb == "flatten":
        parts.tensors[name] = replace(old, shape=[math.prod(old.shape)])
    elif verb == "grow":
        parts.tensors[name] = replace(old, shape=[1, *old.shape])
    elif verb == "fill":
        parts.tensors[name] = replace(old, data=bytes([dice.choice([0, 1, 0x7F, 0xFF])]) * len(old.data))
    else:
        aliases = parts.document["aliases"]
        aliases[name] = dice.choice(sorted(parts.tensors))
        if dice.random() < 0.8 and len(parts.tensors) > 1:
            del parts.tensors[name]
    return f"{verb} of the tensor {name}"


def spliced(parts: Parts, dice: random.Random) -> str:
    """A part of it is that of another file."""
    name = dice.choice(sorted(originals()))
    other = originals()[name].parts()
    what = dice.choice(
        ["model", "build", "frozen", "compile", "training", "tensors", "config", "aliases", "layer"]
    )
    if what == "tensors":
        parts.tensors = {**parts.tensors, **other.tensors} if dice.random() < 0.5 else other.tensors
    elif what in ("config", "aliases"):
        parts.document[what] = other.document[what]
    elif what == "layer":
        mine, its = (
            [o for o in places(p.config) if isinstance(o[0][o[1]], dict) and "class_name" in o[0][o[1]]]
            for p in (parts, other)
        )
        if mine and its:
            (owner, key), (source, at) = dice.choice(mine), dice.choice(its)
            owner[key] = copied(source[at])
    else:
        parts.config[what] = other.config.get(what)
    return f"{what} of {name}"


def documented(parts: Parts, dice: random.Random) -> str:
    """The document around the config says something else."""
    key = dice.choice([*parts.document, dice.choice(words())])
    parts.document[key] = value(dice)
    return f"{key!s:.40} of the document"


STRUCTURED: tuple[tuple[Mutation, int], ...] = (
    (edited, 8), (in_training, 3), (in_compile, 3), (rewired, 2),
    (reordered, 2), (retabled, 3), (spliced, 2), (documented, 1),
)  # fmt: skip


def flipped(data: bytes, dice: random.Random) -> bytes:
    """Bytes that are others, gone, or too many: nothing is corrected."""
    changed = bytearray(data)
    for _ in range(dice.choice([1, 1, 2, 8])):
        verb, at = dice.choice(["bit", "byte", "cut", "insert", "double"]), dice.randrange(len(changed) or 1)
        if not changed:
            break
        if verb == "bit":
            changed[at] ^= 1 << dice.randrange(8)
        elif verb == "byte":
            changed[at] = dice.randrange(256)
        elif verb == "cut":
            del changed[at : at + dice.choice([1, 8, 1000, len(changed)])]
        elif verb == "insert":
            changed[at:at] = dice.randbytes(dice.choice([1, 8, 100]))
        else:
            changed[at:at] = changed[at : at + 100]
    return bytes(changed)


def scratched(text: str, dice: random.Random) -> str:
    """A character of the document's text is another; the checksum is that of the new text."""
    at = dice.randrange(len(text))
    new = dice.choice(
        [
            '"',
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "0",
            "9" * 30,
            "-",
            "e9",
            "\\",
            "\\u0000",
            "\\ud800",
            " ",
            "[" * 300,
            "NaN",
            "\u202e",
        ]
    )
    return text[:at] + new + text[at + dice.choice([0, 1, 1, 5]) :]


# --- A case ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One file, and by which door it comes in."""

    seed: int
    kind: str
    door: str
    what: tuple[str, ...]
    data: bytes
    document: Any
    copy: bytes | None = None
    steps: bool = False


def mutation(seed: int) -> Case:
    """The case of a seed."""
    dice = random.Random(seed)
    made = list(originals())
    kind = dice.choice(made[: len(MAKERS)] if dice.random() < 0.75 else made)
    original = originals()[kind]
    door = dice.choices(["load_model", "load_weights", "from_config", "folder"], [7, 1, 1, 1])[0]
    how = dice.random()
    if how < 0.06:
        return Case(seed, kind, door, ("bytes",), flipped(original.data, dice), original.parts().document)
    parts = original.parts()
    if how < 0.12 and door != "from_config":
        text = scratched(compact(parts.document), dice)
        return Case(seed, kind, door, ("text",), joined(parts, text=text), parts.document)
    mutations, weights = zip(*STRUCTURED, strict=True)
    what = []
    for each in dice.choices(mutations, weights, k=dice.choice([1, 1, 1, 1, 2, 3])):
        if isinstance(parts.document.get("config"), dict) and isinstance(parts.document.get("aliases"), dict):
            what.append(f"{each.__name__}: {each(parts, dice)}")
    before = original.parts().document["config"]
    after = parts.document.get("config")
    same = isinstance(after, dict) and all(
        after.get(key) == before.get(key) for key in ("model", "build", "compile")
    )
    same = same and weights_of(parts) == weights_of(original.parts())
    copy = None
    if door == "folder" and dice.random() < 0.5:
        copy = compact(dice.choice([parts, original.parts()]).document).encode("utf-8", "surrogatepass")
    steps = same and original.batch is not None and door in ("load_model", "folder")
    try:
        return Case(seed, kind, door, tuple(what), joined(parts), parts.document, copy, steps)
    except ValueError:  # a place that was put into itself, which no JSON says
        return Case(seed, kind, door, ("a circle",), original.data, original.parts().document)


def weights_of(parts: Parts) -> dict[str, Raw]:
    return {name: each for name, each in parts.tensors.items() if not name.startswith("optimizer/")}


def paths(folder: Path) -> tuple[Path, Path, Path, Path]:
    """Where the files of the cases lie, each over the one before: a file, a folder without and one with a copy."""
    weights = "model.safetensors"
    return (
        folder / weights,
        folder / "one" / weights,
        folder / "two" / weights,
        folder / "two" / "config.json",
    )


def attempt(case: Case, folder: Path) -> Any:
    """Bring the case in; where its model is as it was, train it for a step too."""
    file, alone, beside, copy = paths(folder)
    original = originals()[case.kind]
    if case.door == "from_config":
        return from_config(case.document)
    place = file if case.door != "folder" else alone if case.copy is None else beside
    place.write_bytes(case.data)
    if case.copy is not None:
        copy.write_bytes(case.copy)
    if case.door == "load_weights":
        model = original.model if original.model is not None else originals()["mlp"].model
        return model.load_weights(file)
    model = tf.load_model(place.parent if case.door == "folder" else file)
    if case.steps and model.trainer is not None and original.batch is not None:
        stepped(model, original.batch)
    return None


def stepped(model: Any, batch: Sequence[Any]) -> None:
    """A step on the CPU: a training that is told no device asks PyTorch for GPUs, which may open NVIDIA's library."""
    model.trainer.step.wanted_device = torch.device("cpu")
    with torch.random.fork_rng(devices=[]):
        model.train_on_batch(*batch)


def from_config(document: Any) -> Any:
    """The model that a file's config says, by the method that takes it."""
    config = document.get("config") if isinstance(document, dict) else None
    model = config.get("model") if isinstance(config, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("config"), dict):
        raise TorchfuncError("nothing that from_config would be given")
    kind = tf.Sequential if model.get("class_name") == "Sequential" else tf.Model
    return kind.from_config(model["config"])


@dataclass
class Survey:
    """How many cases ended how, and of each distinct failure how many there were, and the first."""

    endings: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, other: Survey) -> None:
        self.endings += other.endings
        self.failures += other.failures
        self.first = {**other.first, **self.first}

    def __str__(self) -> str:
        lines = [", ".join(f"{number:,} {ending}" for ending, number in self.endings.most_common())]
        for failure, number in self.failures.most_common():
            seed, about = self.first[failure]
            lines.append(f"{number:,} x {failure}\n    the first is mutation({seed}): {about}")
        return "\n".join(lines)


def survey(seeds: Sequence[int], folder: Path) -> Survey:
    """What comes of the cases of these seeds."""
    found = Survey()
    for name in ("one", "two"):
        (folder / name).mkdir(exist_ok=True)
    files = [*paths(folder), folder / "one" / "config.json"]
    originals()  # made here, and not again in every child
    tried = outcomes(seeds, lambda seed: attempt(mutation(seed), folder), memory=MEMORY, seconds=SECONDS)
    for seed, each in tried:
        found.endings[each.ending] += 1
        wrong = faults(each, files)
        # those that take much are few enough for the size of their file to be asked for
        if each.growth > SLACK:
            wrong = faults(each, files, len(mutation(seed).data))
        if wrong and mutation(seed).door == "from_config":
            wrong = by_config(wrong, each)
        if wrong:
            case = mutation(seed)
            name = f"{each.ending} {each.error} at {each.place}".removesuffix(" at ")
            if each.ending in ("ok", "typed"):
                name = re.sub(r"[\d,.]+", "N", wrong[0])
            name = f"from_config: {name}" if case.door == "from_config" else name
            found.failures[name] += 1
            about = f"{case.kind} by {case.door}; {'; '.join(case.what)}; {'; '.join(wrong)}"
            found.first.setdefault(name, (seed, about.encode("ascii", "backslashreplace").decode()))
    return found
