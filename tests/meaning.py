"""Random models as the lines of Python that build them, run with Keras and with torchfunc, and compared.

`recipe(seed)` draws plain data: lines that build a model, lines that make its data, and how it is trained. The names in
the lines are `K` (keras or torchfunc), `L` (its layers), `np` and `rng`; `written(recipe)` is a program that a person can
run. `check(recipe)` runs both and raises a `Difference`. Keras decides whether a recipe is one at all: what it refuses to
build is drawn anew, and what it refuses to run is `Unfit`.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.src.backend.common.masking import get_keras_mask

import torchfunc
from torchfunc.tree import leaves

FORWARD, TRAINED = 1e-5, 1e-4
ROUNDINGS = 4

# What torchfunc does not do as Keras does yet: recipes with these features are not drawn.
NOT_YET: dict[str, str] = {
    "losses pile up": "model.losses holds those of every call since the last step, Keras's those of the last call",
    "mask into Multiply": "Keras leaves masked steps out of products and extremes",
    "mask into Maximum": "the same",
    "mask into Minimum": "the same",
    "mask into a model": "the mask of what a nested model is called on does not reach the layers in it",
}

# What Keras 3.15.1 itself gets wrong on PyTorch, and what is done about it here.
KERAS_FAULTS = {
    "variances": "BatchNormalization's are E[x^2] - E[x]^2: its inputs are of the size of 1, the epsilon is 1e-3",
    "padded averages": "AveragePooling with padding='same' counts the padding: not drawn",
    "clipping": "crossentropies clip probabilities at 1e-7, where gradients end: the logits are small",
    "unroll": "a masked recurrent layer with unroll=True and go_backwards=True crashes: not drawn together",
    "layer axes": "LayerNormalization and RMSNormalization fail where the axis is not the last: not drawn",
    "masked images": "ConvLSTM cannot broadcast a mask over images: what it refuses is drawn anew",
    "list of weights": "that of an only output gets one axis more, and (1, n, 1) is spread to (n, n): not drawn",
    "symbolic masks": "they end at models within models, where masks of numbers go on: these are compared",
    "sample_weight": "one weight a sample is not spread over a loss of several axes: as many as the loss has values",
    "frozen wrappers": "trainable=False given to a model or a wrapper does not reach the layers in it: not drawn",
    "activity": "SimpleRNN forgets its activity_regularizer, and TimeDistributed that of the layer in it: not drawn",
    "initial_state": "a mask is lost where a recurrent layer is given initial_state: not drawn together",
    "masked weights": "a mask changes the weights of a batch in place, and weighted metrics take these: not drawn together",
    "class_weight": "it fails for targets of more than one axis: drawn for one label a sample",
    "dicts": "they are sorted by their keys, ours stay as they are: names are drawn in that order",
    "rounding": "float32: where the two differ, Keras in float64 is the truth, and ours must not be farther from it than "
    "Keras is where its weights differ by some of their roundings",
    "order": "calls of a shared layer run in the order in which outputs lead to them, ours as they were written: a shared "
    "BatchNormalization, whose statistics tell it, is not drawn",
    "signs": "the cosine of numbers alone is their sign, which says nothing about a zero: drawn for vectors of two and more",
}


class Difference(AssertionError):
    """What torchfunc does in another way than Keras.

    Attributes:
        kind: what differs, without numbers.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class Unfit(Exception):
    """Keras refuses the recipe, or its numbers are too large to compare."""


def recipe(seed: int, without: Collection[str] = NOT_YET) -> dict[str, Any]:
    """The recipe number `seed` that has none of the features in `without`."""
    for attempt in range(1000):
        try:
            drawn = Drawing(f"{seed}.{attempt}").recipe()
        except Unfit:
            continue
        if not set(drawn["features"]) & set(without):
            return {"seed": seed, **drawn}
    raise AssertionError(f"No recipe with the seed {seed} does without {sorted(without)}.")


class Raw(str):
    """Text that stands in a line as it is."""

    __repr__ = str.__str__


def call(kind: str, *args: Any, **kwargs: Any) -> Raw:
    """`L.kind(...)`, as text."""
    given = [repr(each) for each in args] + [f"{key}={value!r}" for key, value in kwargs.items()]
    return Raw(f"L.{kind}({', '.join(given)})")


ACTIVATIONS = """relu sigmoid tanh elu selu gelu softplus softsign silu leaky_relu hard_sigmoid hard_silu relu6 mish
 log_sigmoid celu hard_tanh tanh_shrink linear softmax log_softmax squareplus sparse_plus""".split()
SMOOTH = "tanh sigmoid softsign relu hard_sigmoid elu".split()
# with epsilons that keep gradients of rounding errors small; Ftrl and Lion make full steps of them
OPTIMIZERS = [
    "SGD({lr})",
    "SGD({lr}, momentum=0.9)",
    "SGD({lr}, momentum=0.8, nesterov=True)",
    "SGD({lr}, weight_decay=0.1)",
    "SGD({lr}, global_clipnorm=0.5)",
    "SGD({lr}, clipnorm=0.3)",
    "SGD({lr}, clipvalue=0.05)",
    "SGD({lr}, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2)",
    "Adam({lr}, epsilon=0.001)",
    "Adam({lr}, epsilon=0.001, amsgrad=True)",
    "AdamW({lr}, epsilon=0.001)",
    "Adamax({lr}, epsilon=0.001)",
    "Nadam({lr}, epsilon=0.001)",
    "RMSprop({lr}, epsilon=0.001)",
    "RMSprop({lr}, epsilon=0.001, momentum=0.5, centered=True)",
    "Adagrad({lr})",
    "Adadelta(0.5, epsilon=0.001)",
]


class Drawing:
    """One recipe on its way: its lines, and Keras's symbols for the names in them."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.data_seed = self.random.randrange(10**6)
        self.lines: list[str] = []
        self.data: list[str] = []
        self.names: dict[str, Any] = {"K": keras, "L": keras.layers}
        self.inputs: list[str] = []
        self.values: list[str] = []
        self.shared: list[tuple[str, str]] = []
        self.features: set[str] = set()
        self.count = 0
        self.is_random = False
        self.dtype = "float64" if self.chance(0.08) else "float32"
        self.samples = self.random.choice([4, 5, 7])

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def one(self, *options: Any) -> Any:
        return self.random.choice(options)

    def name(self, prefix: str = "x") -> str:
        self.count += 1
        return f"{prefix}{self.count:02}"

    def shape(self, value: str) -> tuple[int | None, ...]:
        return tuple(self.names[value].shape[1:])

    def masked(self, value: str) -> bool:
        return getattr(self.names[value], "_keras_mask", None) is not None

    def integers(self, value: str) -> bool:
        return "int" in self.names[value].dtype

    def run(self, line: str) -> bool:
        """Take a line in, if Keras takes it."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(line, self.names)
        except Exception:
            return False
        self.lines.append(line)
        return True

    def recipe(self) -> dict[str, Any]:
        for _ in range(self.one(1, 1, 1, 2, 2, 3)):
            self.input()
        for _ in range(self.random.randint(1, 7)):
            self.step()
        if self.dtype == "float64":
            self.features.add("float64")
        outputs = self.heads()
        form = self.one("[]", "{}") if len(outputs) > 1 or self.chance(0.15) else ""
        used = self.used(outputs)
        given = [name for name in self.inputs if name in used]
        in_form = self.one("[]", "{}") if len(given) > 1 or self.chance(0.1) else ""
        returned = nested([o["value"] for o in outputs], form, [o["name"] for o in outputs])
        self.run(f"model = K.Model({nested(given, in_form)}, {returned})")
        if not any(line.startswith("model = ") for line in self.lines):
            raise Unfit("no model")
        self.check_size()
        return {
            "dtype": self.dtype,
            "samples": self.samples,
            "lines": self.lines,
            "data_seed": self.data_seed,
            "data": [
                line
                for line in self.data
                if line.split("[")[0].split(" = ")[0].removesuffix("_data") in given
            ],
            "x": nested([f"{name}_data" for name in given], in_form, given),
            "outputs": [o["value"] for o in outputs],
            **self.training(outputs, form),
            "features": sorted(self.features),
        }

    def used(self, outputs: list[dict[str, Any]]) -> set[str]:
        """The names that the outputs need, and lines cut down to these."""
        needed = {o["value"] for o in outputs}
        kept = []
        for line in reversed(self.lines):
            targets, _, rest = line.partition(" = ")
            if needed & set(targets.split(", ")):
                needed |= set(re.findall(r"\b[a-z]+\d+\b", rest))
                kept.append(line)
        self.lines = kept[::-1]
        return needed

    def check_size(self) -> None:
        """Refuse a model whose numbers are so large that float32 tells nothing."""
        model = self.names["model"]
        if any(
            not 0 < n < 2000
            for n in [model.count_params() + 1]
            + [int(np.prod([d or 1 for d in o.shape])) for o in model.outputs]
        ):
            raise Unfit("size")

    def input(self) -> None:
        name = self.name()
        kind = self.one(
            "vector",
            "vector",
            "sequence",
            "sequence",
            "sequence",
            "image",
            "image",
            "tokens",
            "tokens",
            "volume",
        )
        length = self.random.randint(3, 7)
        shape: tuple[int | None, ...]
        if kind == "tokens":
            shape, high = (length,), self.random.randint(4, 9)
            open_ = (None,) if self.chance(0.2) else shape
            dtype = self.one("int32", "int64")
            self.run(f"{name} = K.Input({open_!r}, dtype={dtype!r}, name={name!r})")
            self.data.append(
                f"{name}_data = rng.integers(0, {high}, {(self.samples, *shape)}).astype({dtype!r})"
            )
            self.inputs.append(name)
            self.embedding(name, high)
            return
        side = self.random.randint(4, 7)
        shape = {
            "vector": (self.random.randint(2, 6),),
            "sequence": (length, self.random.randint(2, 5)),
            "image": (side, self.random.randint(4, 7), self.random.randint(1, 4)),
            "volume": (
                self.random.randint(2, 4),
                self.random.randint(3, 5),
                self.random.randint(3, 5),
                self.random.randint(1, 3),
            ),
        }[kind]
        opened = (None, *shape[1:]) if kind == "sequence" and self.chance(0.2) else shape
        dtype = f", dtype={self.dtype!r}" if self.dtype != "float32" else ""
        self.run(f"{name} = K.Input({opened!r}, name={name!r}{dtype})")
        self.data.append(f"{name}_data = rng.normal(size={(self.samples, *shape)}).astype({self.dtype!r})")
        if kind == "sequence" and self.chance(0.6):
            self.data.append(f"{name}_data[rng.random({(self.samples, length)}) < 0.35] = 0")
        self.inputs.append(name)
        self.values.append(name)
        if kind == "sequence" and self.chance(0.4):
            self.call_layer(name, call("Masking", **self.common()))

    def embedding(self, value: str, high: int) -> None:
        layer = call(
            "Embedding",
            high,
            self.random.randint(2, 5),
            mask_zero=self.chance(0.7),
            **self.extras("embeddings"),
            **self.common(),
        )
        self.call_layer(value, layer)

    def common(self, prefix: str = "n", freezes: bool = True) -> dict[str, Any]:
        """Arguments of every layer: a name, and sometimes that it is not trained."""
        given: dict[str, Any] = {"name": self.name(prefix)}
        if self.dtype != "float32":
            given["dtype"] = self.dtype
        if freezes and self.chance(0.08):
            given["trainable"] = False
        return given

    def extras(self, *weights: str) -> dict[str, Any]:
        """Now and then a regularizer or a constraint of some weight, or of the output."""
        given: dict[str, Any] = {}
        for weight in weights:
            if self.chance(0.08):
                given[f"{weight}_regularizer"] = self.one(
                    "l1", "l2", "l1_l2", Raw("K.regularizers.L1L2(l1=0.02, l2=0.01)")
                )
            if self.chance(0.08):
                given[f"{weight}_constraint"] = self.one(
                    "non_neg",
                    "max_norm",
                    "unit_norm",
                    Raw("K.constraints.MinMaxNorm(0.2, 0.8, rate=0.5)"),
                    Raw("K.constraints.MaxNorm(0.7)"),
                )
        if self.chance(0.06):
            given["activity_regularizer"] = self.one("l2", "l1", Raw("K.regularizers.L2(0.1)"))
        return given

    def call_layer(self, value: str | list[str], layer: str, results: int = 1, suffix: str = "") -> bool:
        on = value if isinstance(value, str) else f"[{', '.join(value)}]"
        names = [self.name() for _ in range(results)]
        if not self.run(f"{', '.join(names)} = {layer}({on}{suffix})"):
            return False
        dims = [d for name in names for d in self.shape(name)]
        if any(d == 0 for d in dims) or any(
            int(np.prod([d or 1 for d in self.shape(n)])) > 600 for n in names
        ):
            self.lines.pop()
            return False
        self.values += names
        return True

    def step(self) -> None:
        """One more call, of some kind, on values that there are."""
        ways = (
            [self.plain] * 9
            + [self.merge] * 3
            + [self.share] * 2
            + [self.nest, self.operate, self.sequential, self.states, self.states]
        )
        for _ in range(20):
            before = len(self.values)
            if self.values:
                self.random.choice(ways)()
            if len(self.values) > before:
                return

    def any(self) -> str:
        """A value, the latest most often."""
        return self.values[-1] if self.chance(0.6) else self.random.choice(self.values)

    def plain(self) -> None:
        value = self.any()
        layer = self.layer(len(self.shape(value)), self.shape(value), self.masked(value))
        if layer and not self.integers(value):
            self.call_layer(value, layer)

    def share(self) -> None:
        """A layer made in a line of its own, and called twice if there are two values that it takes."""
        if self.shared and self.chance(0.5):
            layer, first = self.random.choice(self.shared)
            fitting = [v for v in self.values if self.shape(v) == self.shape(first)]
            self.call_layer(self.random.choice(fitting), layer)
            return
        value, name = self.any(), self.name("layer")
        layer_text = self.layer(len(self.shape(value)), self.shape(value), self.masked(value))
        if layer_text and self.run(f"{name} = {layer_text}"):
            if not self.call_layer(value, name):
                self.lines.pop()
            elif "BatchNormalization" not in layer_text:
                self.shared.append((name, value))
                fitting = [v for v in self.values if self.shape(v) == self.shape(value)]
                self.call_layer(self.random.choice(fitting), name)

    def merge(self) -> None:
        first = self.any()
        kind = self.one(
            "Add",
            "Subtract",
            "Multiply",
            "Average",
            "Maximum",
            "Minimum",
            "Concatenate",
            "Concatenate",
            "Dot",
        )
        others = [v for v in self.values if v != first and len(self.shape(v)) == len(self.shape(first))]
        others = [
            v for v in others if kind in ("Concatenate", "Dot") or self.shape(v) == self.shape(first)
        ] or others
        if not others:
            return
        chosen = [first, self.random.choice(others)]
        if any(None in self.shape(v) for v in chosen):
            return  # Keras takes lengths that it does not know for equal
        if kind not in ("Subtract", "Dot") and self.chance(0.2):
            chosen.append(self.random.choice(others))
        arguments: dict[str, Any] = {}
        if kind == "Concatenate":
            arguments["axis"] = self.one(-1, -1, 1, 2)
        if kind == "Dot":
            arguments = {"axes": self.one(1, -1, 2, (2, 1), (1, 2)), "normalize": self.chance(0.3)}
        masks = [self.masked(v) for v in chosen]
        if self.call_layer(chosen, call(kind, **arguments, **self.common())) and any(masks):
            self.features.add(f"mask into {kind}")

    def operate(self) -> None:
        value = self.any()
        same = [v for v in self.values if self.shape(v) == self.shape(value) and None not in self.shape(v)]
        other = self.random.choice(same or [value])
        rank = len(self.shape(value))
        texts = [
            f"{value} * 0.5",
            f"1.0 - {value}",
            f"{value} + {other}",
            f"{value} * {other}",
            f"-{value}",
            f"{value} / 2.0",
            f"{value} - {other}",
        ]
        texts += (
            [f"{value}[:, 0]", f"{value}[:, -1]", f"{value}[:, 1:]", f"{value}[..., :1]"] if rank > 1 else []
        )
        name = self.name()
        if self.run(f"{name} = {self.random.choice(texts)}"):
            self.values.append(name)
            if self.masked(value):
                self.features.add("mask into an operator")

    def sequential(self) -> None:
        value = self.any()
        layers, shape = [], self.names[value]
        masked = self.masked(value)
        for _ in range(self.random.randint(1, 3)):
            text = self.layer(len(shape.shape) - 1, tuple(shape.shape[1:]), masked)
            try:
                shape = eval(text, self.names)(shape) if text else shape
            except Exception:
                continue
            if text:
                layers.append(text)
        if layers and 0 not in shape.shape:
            name = self.name("model")
            if self.run(f"{name} = K.Sequential([{', '.join(layers)}], name={name!r})"):
                if self.call_layer(value, name):
                    self.shared.append((name, value))
                    if masked:
                        self.features.add("mask into a model")
                else:
                    self.lines.pop()

    def nest(self) -> None:
        """A model in the model, drawn as the one around it is."""
        chosen = [self.any()]
        if self.chance(0.3):
            chosen.append(self.any())
        if any(self.integers(v) for v in chosen):
            return
        outer = self.values, self.shared, len(self.lines)
        masked = any(self.masked(v) for v in chosen)
        self.values, self.shared = [], []
        inner = []
        dtype = f", dtype={self.dtype!r}" if self.dtype != "float32" else ""
        for value in chosen:
            name = self.name()
            self.run(f"{name} = K.Input({self.shape(value)!r}, name={name!r}{dtype})")
            inner.append(name)
        self.values += inner
        for _ in range(self.random.randint(1, 3)):
            self.random.choice([self.plain, self.plain, self.merge])()
        outputs = self.values[-1:] if self.chance(0.75) else self.values[-2:]
        name = self.name("model")
        made = not set(outputs) & set(inner) and self.run(
            f"{name} = K.Model({nested(inner, '[]' if len(inner) > 1 else '')}, "
            f"{nested(outputs, '[]' if len(outputs) > 1 else '')}, name={name!r})"
        )
        self.values, self.shared, length = outer
        if made:
            if self.call_layer(chosen if len(chosen) > 1 else chosen[0], name, len(outputs)):
                if masked:
                    self.features.add("mask into a model")
                if len(chosen) == len(outputs) == 1 and "BatchNorm" not in str(self.lines[length:]):
                    self.shared.append((name, chosen[0]))
            return
        del self.lines[length:]

    def states(self) -> None:
        """A recurrent layer that returns its states, and perhaps another one that begins with them."""
        value = self.any()
        if len(self.shape(value)) != 2 or self.integers(value):
            return
        kind, units = self.one("LSTM", "GRU", "SimpleRNN"), self.random.randint(2, 4)
        states = 2 if kind == "LSTM" else 1
        options = {"return_sequences": self.chance(0.5), "return_state": True}
        if not self.call_layer(value, call(kind, units, **options, **self.common(freezes=False)), 1 + states):
            return
        given = self.values[-states:]
        others = [
            v for v in self.values if len(self.shape(v)) == 2 and not self.integers(v) and not self.masked(v)
        ]
        if others and self.chance(0.6):
            layer = call(kind, units, return_sequences=self.chance(0.5), **self.common(freezes=False))
            self.call_layer(self.random.choice(others), layer, suffix=f", initial_state=[{', '.join(given)}]")

    def layer(self, rank: int, shape: tuple[int | None, ...], masked: bool) -> str | None:
        """Some layer for values of so many dimensions beside the batch."""
        if rank == 0 or rank > 4:
            return None
        anywhere = [self.elementwise, self.elementwise, self.normalization, self.dense]
        by_rank = {
            1: [self.dense] * 4 + [self.to_sequence],
            2: [
                self.convolution,
                self.pooling,
                self.sizes,
                self.recurrent,
                self.recurrent,
                self.bidirectional,
                self.distributed,
            ],
            3: [self.convolution] * 3 + [self.pooling, self.sizes, self.distributed, self.conv_lstm],
            4: [self.convolution, self.pooling, self.sizes, self.distributed, self.conv_lstm],
        }[rank]
        return self.random.choice(anywhere + by_rank)(rank, shape)  # type: ignore[operator]

    def elementwise(self, rank: int, shape: Any) -> str:
        common = self.common()
        rate = 0.0 if self.chance(0.7) else 0.3
        options: list[tuple[str, dict[str, Any]]] = [
            ("Activation", {"activation": self.random.choice(ACTIVATIONS)}),
            ("Activation", {"activation": self.random.choice(ACTIVATIONS)}),
            (
                "ReLU",
                {
                    "max_value": self.one(None, 1.5),
                    "negative_slope": self.one(0.0, 0.1),
                    "threshold": self.one(0.0, 0.2),
                },
            ),
            ("LeakyReLU", {"negative_slope": self.one(0.3, 0.05)}),
            ("ELU", {"alpha": self.one(1.0, 0.5)}),
            (
                "PReLU",
                {"shared_axes": self.one(None, [1]) if rank > 1 else None, "alpha_initializer": "uniform"},
            ),
            ("Softmax", {"axis": self.one(-1, -1, 1)}),
            ("Dropout", {"rate": rate}),
            ("GaussianDropout", {"rate": rate}),
            ("AlphaDropout", {"rate": rate}),
            ("GaussianNoise", {"stddev": rate}),
            ("ActivityRegularization", {"l1": self.one(0.0, 0.01), "l2": self.one(0.0, 0.02)}),
            ("Identity", {}),
            ("Rescaling", {"scale": 0.5, "offset": self.one(0.0, 0.1)}),
            ("Flatten", {}),
        ]
        if rank in (2, 3, 4):
            options.append((f"SpatialDropout{rank - 1}D", {"rate": rate}))
        if rank == 2:
            options.append(("Masking", {"mask_value": self.one(0.0, 0.5)}))
        kind, arguments = self.random.choice(options)
        if rate and ("Dropout" in kind or "Noise" in kind):
            self.is_random = True
        return call(kind, **arguments, **common)

    def normalization(self, rank: int, shape: Any) -> str:
        channels = shape[-1] or 1
        kind = self.one(
            "BatchNormalization",
            "BatchNormalization",
            "LayerNormalization",
            "GroupNormalization",
            "UnitNormalization",
            "RMSNormalization",
        )
        arguments: dict[str, Any] = {}
        if kind == "BatchNormalization":
            arguments = {
                "momentum": self.one(0.99, 0.8),
                **self.without("center", "scale"),
                **self.extras("gamma", "beta"),
            }
            arguments.pop("activity_regularizer", None)
            arguments["axis"] = self.one(-1, -1, -1, 1)
        if kind in ("LayerNormalization",):
            arguments = self.without("center", "scale")
        if kind == "GroupNormalization":
            # of the gradient through a group of one value PyTorch's kernel leaves rounding errors, and through two, which
            # become -1 and 1, there is little else
            smallest = 3 if rank == 1 else 1
            groups = [g for g in range(1, channels + 1) if channels % g == 0 and channels // g >= smallest]
            if not groups:
                return call("LayerNormalization", **self.common())
            arguments = {
                "groups": self.one(*groups),
                **self.without("center", "scale"),
            }
        return call(kind, **arguments, **self.common())

    def without(self, *names: str) -> dict[str, bool]:
        return {name: False for name in names if self.chance(0.15)}

    def activation(self) -> dict[str, Any]:
        return {"activation": self.random.choice(ACTIVATIONS)} if self.chance(0.5) else {}

    def dense(self, rank: int, shape: Any) -> str:
        return call(
            "Dense",
            self.random.randint(1, 5),
            **self.activation(),
            **self.without("use_bias"),
            **self.extras("kernel", "bias"),
            **self.common(),
        )

    def to_sequence(self, rank: int, shape: Any) -> str:
        if self.chance(0.5) or not shape[0]:
            return call("RepeatVector", self.random.randint(2, 4), **self.common())
        first = self.one(*[d for d in range(1, shape[0] + 1) if shape[0] % d == 0])
        return call("Reshape", self.one((first, shape[0] // first), (-1, first)), **self.common())

    def convolution(self, rank: int, shape: Any, **given: Any) -> str:
        n = rank - 1
        kind = self.one("Conv", "Conv", "Conv", "Transpose", "Depthwise", "Separable")
        if n == 3 and kind in ("Depthwise", "Separable"):
            kind = "Conv"
        kernel = self.one(1, 2, 3) if self.chance(0.6) else tuple(self.random.randint(1, 3) for _ in range(n))
        arguments: dict[str, Any] = {"padding": self.one("valid", "same", "same")}
        if kind == "Conv" and n == 1 and self.chance(0.3):
            arguments["padding"] = "causal"
        if self.chance(0.4):
            even = kind in ("Depthwise", "Separable")
            arguments["strides"] = (
                2 if even or self.chance(0.5) else tuple(self.random.randint(1, 3) for _ in range(n))
            )
        elif self.chance(0.3):
            arguments["dilation_rate"] = 2
        if arguments["padding"] != "causal" and self.chance(0.25):
            arguments["data_format"] = "channels_first"
        channels = shape[0 if "data_format" in arguments else -1] or 1
        filters = self.random.randint(1, 4)
        if kind == "Conv" and channels > 1 and self.chance(0.2):
            groups = self.one(*[g for g in range(2, channels + 1) if channels % g == 0])
            arguments["groups"], filters = groups, groups * self.random.randint(1, 2)
        if kind in ("Depthwise", "Separable"):
            arguments["depth_multiplier"] = self.one(1, 1, 2)
        weights = {"Depthwise": ["depthwise", "bias"], "Separable": ["depthwise", "pointwise", "bias"]}.get(
            kind, ["kernel", "bias"]
        )
        arguments |= {
            **self.activation(),
            **self.without("use_bias"),
            **self.extras(*weights),
            **self.common(),
            **given,
        }
        if kind == "Depthwise":
            return call(f"DepthwiseConv{n}D", kernel, **arguments)
        name = {"Conv": f"Conv{n}D", "Transpose": f"Conv{n}DTranspose", "Separable": f"SeparableConv{n}D"}[
            kind
        ]
        return call(name, filters, kernel, **arguments)

    def pooling(self, rank: int, shape: Any) -> str:
        n = rank - 1
        form = {"data_format": "channels_first"} if self.chance(0.2) else {}
        if self.chance(0.45):
            kind = self.one("GlobalAveragePooling", "GlobalMaxPooling")
            return call(f"{kind}{n}D", keepdims=self.chance(0.2), **form, **self.common())
        kind = self.one("MaxPooling", "AveragePooling")
        size = self.one(2, 3) if self.chance(0.6) else tuple(self.random.randint(1, 3) for _ in range(n))
        padding = self.one("valid", "same") if kind == "MaxPooling" else "valid"
        return call(
            f"{kind}{n}D", size, strides=self.one(None, 1, 2), padding=padding, **form, **self.common()
        )

    def sizes(self, rank: int, shape: Any) -> str:
        n = rank - 1
        form = {"data_format": "channels_first"} if n > 1 and self.chance(0.2) else {}
        pair = tuple(self.random.randint(0, 2) for _ in range(2))
        pairs: Any = (
            tuple(tuple(self.random.randint(0, 2) for _ in range(2)) for _ in range(n)) if n > 1 else pair
        )
        options = [
            call(f"ZeroPadding{n}D", self.one(1, pairs), **form, **self.common()),
            call(f"Cropping{n}D", self.one(1, pairs), **form, **self.common()),
            call(
                f"UpSampling{n}D",
                2,
                **({**form, "interpolation": self.one("nearest", "bilinear")} if n == 2 else form),
                **self.common(),
            ),
            call("Permute", tuple(self.random.sample(range(1, rank + 1), rank)), **self.common()),
            call("Flatten", **form, **self.common()),
        ]
        if None not in shape:
            options.append(call("Reshape", (shape[0] * shape[1], *shape[2:]), **self.common()))
            options.append(call("Reshape", (-1, shape[-1]), **self.common()))
        return self.random.choice(options)

    def cell(self) -> tuple[str, dict[str, Any]]:
        """A kind of recurrent layer and the arguments that its cell has too."""
        kind = self.one("LSTM", "GRU", "SimpleRNN")
        given: dict[str, Any] = {"units": self.random.randint(2, 4), **self.without("use_bias")}
        if self.chance(0.3):
            given["activation"] = self.random.choice(SMOOTH)
        if kind != "SimpleRNN" and self.chance(0.2):
            given["recurrent_activation"] = self.random.choice(["hard_sigmoid", "tanh"])
        if kind == "GRU" and self.chance(0.3):
            given["reset_after"] = False
        if kind == "LSTM" and self.chance(0.2):
            given["unit_forget_bias"] = False
        return kind, given

    def recurrent(self, rank: int, shape: Any, sequences: bool | None = None, common: bool = True) -> str:
        kind, given = self.cell()
        options: dict[str, Any] = {"return_sequences": self.chance(0.6) if sequences is None else sequences}
        if self.chance(0.2):
            options["go_backwards"] = True
        elif shape[0] and self.chance(0.15):
            options["unroll"] = True
        if self.chance(0.15):
            options["zero_output_for_mask"] = True
        named = (
            self.common(freezes=False)
            if common
            else ({"dtype": self.dtype} if self.dtype != "float32" else {})
        )
        if self.chance(0.25):
            cells = [self.one_cell() for _ in range(self.random.randint(1, 3))]
            return call(
                "RNN", Raw(f"[{', '.join(cells)}]") if len(cells) > 1 else Raw(cells[0]), **options, **named
            )
        options |= self.extras("kernel", "recurrent", "bias")
        if kind == "SimpleRNN":
            options.pop("activity_regularizer", None)
        return call(kind, **given, **options, **named)

    def one_cell(self) -> str:
        kind, given = self.cell()
        return call(f"{kind}Cell", **given, **({"dtype": self.dtype} if self.dtype != "float32" else {}))

    def bidirectional(self, rank: int, shape: Any) -> str:
        layer = self.recurrent(rank, shape, common=False)
        return call(
            "Bidirectional",
            Raw(layer),
            merge_mode=self.one("concat", "concat", "sum", "mul", "ave"),
            **self.common(freezes=False),
        )

    def distributed(self, rank: int, shape: Any) -> str | None:
        layer = self.layer(rank - 1, shape[1:], False)
        if layer is None or "Masking" in layer or "ctivity" in layer:
            return None
        return call("TimeDistributed", Raw(layer), **self.common(freezes=False))

    def conv_lstm(self, rank: int, shape: Any) -> str | None:
        if self.chance(0.6):
            return None
        options = {
            "padding": self.one("valid", "same"),
            "return_sequences": self.chance(0.5),
            **self.without("use_bias"),
        }
        if self.chance(0.2):
            options["strides"] = 2
        return call(
            f"ConvLSTM{rank - 2}D",
            self.random.randint(1, 3),
            self.one(1, 2, 3),
            **options,
            **self.common(freezes=False),
        )

    def heads(self) -> list[dict[str, Any]]:
        """The outputs: the last value and perhaps others, each with a layer before it that suits its loss."""
        if not self.values:
            raise Unfit("no values")
        chosen = [self.values[-1]]
        for _ in range(self.one(0, 0, 0, 1, 2)):
            chosen.append(self.any())
        outputs = []
        for value in dict.fromkeys(chosen):
            if self.integers(value) or len(self.shape(value)) == 0:
                continue
            kind = self.one("as it is", "linear", "linear", "sigmoid", "softmax", "softmax", "logits")
            units = self.random.randint(2, 4) if kind in ("softmax", "logits") else self.one(1, 1, 2)
            if kind != "as it is":
                activation = {"activation": kind} if kind in ("sigmoid", "softmax") else {}
                if not self.call_layer(value, call("Dense", units, **activation, **self.common("out"))):
                    continue
                value = self.values[-1]
            layer = re.search(
                r"name='(\w+)'",
                next(line for line in self.lines if value in line.split(" = ")[0].split(", ")),
            )
            if layer is None or value in self.inputs:
                if not self.call_layer(value, call("Identity", **self.common("out"))):
                    continue
                value = self.values[-1]
            elif kind == "as it is":
                self.call_layer(value, call("Activation", "linear", **self.common("out")))
                value = self.values[-1]
            name = re.search(r"name='(out\d+)'", self.lines[-1])
            if name is None:
                continue
            outputs.append(
                {
                    "value": value,
                    "name": name[1],
                    "kind": kind,
                    "shape": self.shape(value),
                    "masked": self.masked(value),
                }
            )
        if not outputs:
            raise Unfit("no outputs")
        return outputs

    def training(self, outputs: list[dict[str, Any]], form: str) -> dict[str, Any]:
        """Targets, weights, losses, metrics and the optimizer, as text; nothing where the model draws random numbers."""
        if (
            self.is_random
            or not self.names["model"].trainable_weights
            or (any(None in output["shape"] for output in outputs) and self.open_shapes(outputs))
        ):
            return {"compile": None}
        targets, losses, metrics, weighted = [], [], [], []
        for output in outputs:
            target, loss, chosen = self.objective(output)
            targets.append(target)
            losses.append(loss)
            metrics.append(self.random.sample(chosen, self.random.randint(0, min(2, len(chosen)))))
            weighted.append(self.random.sample(chosen, 1) if chosen and self.chance(0.3) else [])
        names = [output["name"] for output in outputs]
        many = form  # Keras takes targets in the form of the outputs alone
        compiled = {
            "optimizer": self.random.choice(OPTIMIZERS).format(lr=self.one(0.01, 0.05)),
            "loss": nested(losses, many, names),
        }
        if any(metrics):
            compiled["metrics"] = nested([f"[{', '.join(m)}]" for m in metrics], many, names)
        if len(outputs) > 1 and self.chance(0.4):
            compiled["loss_weights"] = nested([repr(self.one(0.5, 1.0, 2.0)) for _ in outputs], many, names)
        fitted: dict[str, str] = {"batch_size": str(self.one(2, 3, 4)), "epochs": str(self.one(1, 2))}
        sizes = [(self.samples, *output["shape"][:-1]) for output in outputs]
        spread = form == "[]" and len(outputs) == 1 and sizes[0][1:] and sizes[0][-1] == 1
        if self.chance(0.3) and not spread and not any("Dice" in loss for loss in losses):
            fitted["sample_weight"] = nested(
                [f"rng.uniform(0.2, 2.0, size={size}).astype('float32')" for size in sizes], many, names
            )
            weighted = [[] if output["masked"] else m for output, m in zip(outputs, weighted, strict=True)]
        elif (
            len(outputs) == 1
            and not form
            and outputs[0].get("classes")
            and len(outputs[0]["shape"]) == 1
            and self.chance(0.5)
        ):
            fitted["class_weight"] = repr({c: self.one(0.5, 1.0, 3.0) for c in range(outputs[0]["classes"])})
        if any(weighted):
            compiled["weighted_metrics"] = nested([f"[{', '.join(m)}]" for m in weighted], many, names)
        return {"y": nested(targets, many, names), "compile": compiled, "fit": fitted}

    def open_shapes(self, outputs: list[dict[str, Any]]) -> bool:
        """Whether an output's size is not known before the model runs; run it, and say so only if that fails."""
        try:
            rng = np.random.default_rng(self.data_seed)
            values: dict[str, Any] = {"np": np, "rng": rng}
            exec("\n".join(self.data), values)
            names = [name for name in self.inputs if name in self.names["model"].input_names]
            found = self.names["model"].predict_on_batch({name: values[f"{name}_data"] for name in names})
        except Exception:
            raise Unfit("does not run") from None
        for output, value in zip(outputs, leaves(found), strict=True):
            output["shape"] = value.shape[1:]
        return False

    def objective(self, output: dict[str, Any]) -> tuple[str, str, list[str]]:
        """A target, a loss and metrics that suit it."""
        size = (self.samples, *output["shape"])
        classes = size[-1]
        common = [
            "'mse'",
            "'mae'",
            "K.metrics.RootMeanSquaredError(name='rootmeansquarederror')",
            *["K.metrics.CosineSimilarity(name='cosinesimilarity')"] * (classes > 1),
        ]
        normal, positive = (
            f"rng.normal(size={size}).astype('float32')",
            f"rng.uniform(0.1, 2, size={size}).astype('float32')",
        )
        if output["kind"] == "sigmoid":
            target = f"rng.integers(0, 2, {size}).astype({self.one('float32', 'int64')!r})"
            loss = self.one(
                "'binary_crossentropy'",
                "'binary_crossentropy'",
                "K.losses.BinaryCrossentropy(label_smoothing=0.1)",
                "'mse'",
                "'binary_focal_crossentropy'",
                "'poisson'",
                "K.losses.Dice()",
                "'hinge'",
            )
            return (
                target,
                loss,
                [
                    "'accuracy'",
                    "'binary_accuracy'",
                    "K.metrics.Precision(name='precision')",
                    "K.metrics.Recall(name='recall')",
                    "K.metrics.AUC(name='auc')",
                    "'mse'",
                    "K.metrics.BinaryCrossentropy(name='binarycrossentropy')",
                    "K.metrics.FalseNegatives(name='falsenegatives')",
                ],
            )
        if output["kind"] in ("softmax", "logits"):
            logits = "(from_logits=True, name='ce')" if output["kind"] == "logits" else "(name='ce')"
            labels = f"rng.integers(0, {classes}, {size[:-1]})"
            output["classes"] = classes
            if self.chance(0.5):
                shape = f"{labels}[..., None]" if self.chance(0.3) else labels
                loss = f"K.losses.SparseCategoricalCrossentropy{logits}"
                if output["kind"] == "softmax" and self.chance(0.5):
                    loss = "'sparse_categorical_crossentropy'"
                return (
                    shape,
                    loss,
                    [
                        "'accuracy'",
                        "'acc'",
                        "'sparse_categorical_accuracy'",
                        "K.metrics.SparseTopKCategoricalAccuracy(k=2, name='top')",
                        f"K.metrics.SparseCategoricalCrossentropy{logits}",
                    ],
                )
            target = f"np.eye({classes}, dtype='float32')[{labels}]"
            loss = f"K.losses.CategoricalCrossentropy{logits}"
            if output["kind"] == "softmax":
                loss = self.one(
                    "'categorical_crossentropy'",
                    "'categorical_crossentropy'",
                    "'kl_divergence'",
                    "K.losses.CategoricalFocalCrossentropy()",
                    "K.losses.CategoricalCrossentropy(label_smoothing=0.2)",
                    "'categorical_hinge'",
                )
            return (
                target,
                loss,
                [
                    "'accuracy'",
                    "'categorical_accuracy'",
                    "K.metrics.TopKCategoricalAccuracy(k=2, name='top')",
                    f"K.metrics.CategoricalCrossentropy{logits}",
                    "'mse'",
                ],
            )
        if output["kind"] == "linear":
            loss = self.one(
                "'mse'",
                "'mse'",
                "'mae'",
                "'huber'",
                "'log_cosh'",
                "K.losses.Huber(delta=0.5)",
                "K.losses.MeanSquaredError(reduction='sum')",
                "'mape'",
                *["'cosine_similarity'"] * (classes > 1),
            )
            return positive if loss == "'mape'" else normal, loss, common
        return normal, self.one("'mse'", "'mae'"), common


def nested(names: Sequence[str], form: str, keys: Sequence[str] | None = None) -> str:
    """Names alone, in a list or in a dict, as text."""
    if form == "{}":
        pairs = zip(keys or names, names, strict=True)
        return "{" + ", ".join(f"{key!r}: {name}" for key, name in pairs) + "}"
    return f"[{', '.join(names)}]" if form == "[]" else names[0]


def written(drawn: dict[str, Any], library: str = "torchfunc") -> str:
    """The recipe as a program."""
    lines = [f"import numpy as np, {library} as K", "L = K.layers", *building_lines(drawn)]
    lines += ["print(model.predict(x, verbose=0), model.losses)"]
    if drawn["compile"]:
        lines += training_lines(drawn)
        lines += ["print(model.fit(x, y, shuffle=False, verbose=0, **options).history)"]
    return "\n".join(lines)


def building_lines(drawn: dict[str, Any]) -> list[str]:
    # what may be a variance is positive; kernels keep the size of what they are multiplied with
    weights = (
        "[rng.normal(size=w.shape) / np.prod(w.shape[:-1]) ** 0.5 if w.ndim > 1 "
        "else rng.uniform(0.1, 0.6, size=w.shape) for w in model.get_weights()]"
    )
    seeded = [f"rng = np.random.default_rng({drawn['data_seed']})", f"model.set_weights({weights})"]
    return [*drawn["lines"], *seeded, *drawn["data"], f"x = {drawn['x']}"]


def training_lines(drawn: dict[str, Any]) -> list[str]:
    compiled = {**drawn["compile"], "optimizer": f"K.optimizers.{drawn['compile']['optimizer']}"}
    return [
        f"y = {drawn['y']}",
        f"options = dict({', '.join(f'{key}={value}' for key, value in drawn['fit'].items())})",
        f"model.compile({', '.join(f'{key}={value}' for key, value in compiled.items())})",
    ]


def build(drawn: dict[str, Any], library: Any) -> dict[str, Any]:
    """The names in the recipe's lines, with what one of the libraries makes of them."""
    names = {"K": library, "L": library.layers, "np": np}
    exec("\n".join(building_lines(drawn)), names)
    return names


def measured(drawn: dict[str, Any], names: dict[str, Any], ours: bool) -> dict[str, Any]:
    """Everything that is compared, by what it is: before, while and after the model is trained."""
    model, x = names["model"], names["x"]
    library = names["K"]
    found: dict[str, Any] = {}
    found["output_shape"] = [str(tuple(getattr(each, "spec", each).shape)) for each in model.outputs]
    found["count_params"] = model.count_params()
    found["trainable weights"] = len(model.trainable_weights)
    model(x, training=False)
    if "losses pile up" not in NOT_YET:
        model(x, training=False)
    found["model.losses"] = sum(float(each) for each in model.losses)
    found["model.losses, how many"] = len(model.losses)
    found["prediction"] = predicted(model, x)
    numbers = [] if ours else keras.tree.flatten(model(x, training=False))
    for index, value in enumerate(drawn["outputs"]):
        mask = names[value].mask if ours else get_keras_mask(numbers[index])
        if ours and mask is not None:
            mask = predicted(library.Model(model.input, mask), x)
        found[f"mask of output {index}"] = (
            None if mask is None else [np.asarray(each) for each in leaves(mask)]
        )
    if not drawn["compile"]:
        return found
    exec("\n".join(training_lines(drawn)), names)
    options = names["options"]
    fixed = {key: value for key, value in options.items() if key not in ("epochs", "class_weight")}
    found["evaluate before"] = model.evaluate(x, names["y"], verbose=0, return_dict=True, **fixed)
    history = model.fit(x, names["y"], shuffle=False, verbose=0, **options).history
    found["fit"] = {key: np.asarray([float(v) for v in values]) for key, values in history.items()}
    found["weights"] = [np.asarray(each) for each in model.get_weights()]
    found["evaluate"] = model.evaluate(x, names["y"], verbose=0, return_dict=True, **fixed)
    found["trained prediction"] = predicted(model, x)
    return found


def predicted(model: Any, x: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in leaves(model.predict(x, verbose=0))]


def check(drawn: dict[str, Any]) -> None:
    """Run a recipe with both libraries, and raise a Difference where they do not agree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs_names = build(drawn, keras)
            weights = theirs_names["model"].get_weights()
            theirs = measured(drawn, theirs_names, ours=False)
        except Exception as error:
            raise Unfit(f"{type(error).__name__}: {error}") from error
        numbers = [n for n in leaves(theirs) if isinstance(n, (np.ndarray, float))]
        if any(
            not np.all(np.isfinite(n)) or np.abs(n).max(initial=0) > 1e3 for n in map(np.asarray, numbers)
        ):
            raise Unfit("large numbers")
        of_probabilities = drawn["compile"] and re.search(
            "crossentropy|kl_|poisson", drawn["compile"]["loss"].lower()
        )
        binary = drawn["compile"] and "inary" in drawn["compile"]["loss"]
        if of_probabilities and any(
            0 <= p.min() < 1e-6 or (binary and 1 - 1e-6 < p.max() <= 1)
            for p in [*theirs["prediction"], *theirs["trained prediction"]]
            if p.size
        ):
            raise Unfit("probabilities that Keras clips")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names = build(drawn, torchfunc)
            ours = measured(drawn, names, ours=True)
    except Exception as error:
        text = re.sub(r"'\w+'|\d+", "_", str(error))
        raise Difference(f"torchfunc raises {type(error).__name__}: {text[:90]}", str(error)) from error
    found = list(differences(ours, theirs))
    if found and drawn["dtype"] == "float32":
        found = by_truth(drawn, weights, ours, theirs)
    if found:
        raise Difference(found[0][0], "; ".join(f"{kind}: {how}" for kind, how, _ in found)[:1500])
    check_copies(names["model"], names["x"], drawn)


def differences(ours: Any, theirs: Any, forward: float = FORWARD, trained: float = TRAINED) -> Any:
    """(what, how, by how much) for everything that is not equal within its tolerance."""
    for what, value in theirs.items():
        tolerance = trained if what in ("fit", "weights", "evaluate", "trained prediction") else forward
        for path, mine, yours in pairs(ours[what], value):
            kind = f"{what} [{path}]" if path else what
            if mine is yours is None or (isinstance(mine, str) and mine == yours):
                continue
            if mine is None or yours is None or isinstance(mine, str) or np.shape(mine) != np.shape(yours):
                yield kind, f"ours {shown(mine)}, Keras's {shown(yours)}", np.inf
            elif not (error := distance(mine, yours)) <= tolerance:
                yield kind, f"{error:.2g} apart: {np.ravel(mine)[:4]}, Keras's {np.ravel(yours)[:4]}", error


def shown(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else f"of shape {np.shape(value)}"


def pairs(mine: Any, yours: Any, path: str = "") -> Any:
    """The leaves of both by their place; texts where the places differ."""
    if isinstance(yours, dict):
        if not isinstance(mine, dict) or set(mine) != set(yours):
            yield path or "names", str(sorted(mine)), str(sorted(yours))
            return
        for key in yours:
            yield from pairs(mine[key], yours[key], re.sub(r"\d+", "", key))
    elif isinstance(yours, list):
        if len(mine) != len(yours):
            yield path or "how many", str(len(mine)), str(len(yours))
            return
        for a, b in zip(mine, yours, strict=True):
            yield from pairs(a, b, path)
    else:
        yield path, mine, yours


def distance(mine: Any, yours: Any) -> float:
    """The largest difference, relative to the largest number, or to 1 if that is larger."""
    a, b = np.asarray(mine, dtype="float64"), np.asarray(yours, dtype="float64")
    return float(np.abs(a - b).max(initial=0) / max(1.0, np.abs(b).max(initial=0)))


def by_truth(drawn: dict[str, Any], weights: Any, ours: Any, theirs: Any) -> list[Any]:
    """The differences from Keras in float64 that are larger than those of its float32, however that rounds.

    What cancels out to almost nothing, or jumps, makes much of a rounding: weights that differ by a few show how much.
    """
    try:
        with floats("float64"):
            data = [line.replace("float32')", "float32').astype('float64')") for line in drawn["data"]]
            truth = run_again({**drawn, "data": data}, weights)
        rng = np.random.default_rng(drawn["data_seed"])
        ulps = 2.0**-23 * np.array([-4, -1, 1, 4])
        rounded = [
            run_again(drawn, [(w * (1 + rng.choice(ulps, w.shape))).astype(w.dtype) for w in weights])
            for _ in range(ROUNDINGS)
        ]
    except Exception:
        return list(differences(ours, theirs))
    of_keras: dict[str, float] = {}
    for found in (theirs, *rounded):
        for kind, _, error in differences(found, truth, 0, 0):
            of_keras[kind] = max(error, of_keras.get(kind, 0))
    return [each for each in differences(ours, truth) if each[2] > 2 * of_keras.get(each[0], 0)]


@contextmanager
def floats(dtype: str) -> Iterator[None]:
    """Within it Keras computes in this dtype."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)  # which is made of floatx once
    try:
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def run_again(drawn: dict[str, Any], weights: Any) -> dict[str, Any]:
    """What Keras makes of a recipe with these weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = build(drawn, keras)
        names["model"].set_weights(weights)
        return measured(drawn, names, ours=False)


def check_copies(model: Any, x: Any, drawn: dict[str, Any]) -> None:
    """A model from the config and a saved one give what the model gives, to the bit, and have its config."""
    try:
        expected, config = predicted(model, x), json.loads(json.dumps(model.get_config()))
        twin = type(model).from_config(config)
        twin.set_weights(model.get_weights())
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "model.safetensors")
            loaded = torchfunc.load_model(Path(folder) / "model.safetensors")
        results = {"config": predicted(twin, x), "load_model": predicted(loaded, x)}
    except Exception as error:
        text = re.sub(r"'\w+'|\d+", "_", str(error))
        raise Difference(f"a copy raises {type(error).__name__}: {text[:90]}", str(error)) from error
    for what, found in results.items():
        if any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(found, expected, strict=True)):
            raise Difference(f"the prediction after {what}")
    for what, copy in (("config", twin), ("load_model", loaded)):
        if json.loads(json.dumps(copy.get_config())) != config:
            raise Difference(f"the config after {what}")


def shrunk(drawn: dict[str, Any], kind: str) -> dict[str, Any]:
    """The recipe with as few lines as still show a difference of that kind."""
    changed = True
    while changed:
        changed = False
        for smaller in smaller_ones(drawn):
            try:
                check(smaller)
            except Difference as difference:
                if difference.kind == kind:
                    drawn, changed = smaller, True
                    break
            except Exception:
                continue
    return drawn


def smaller_ones(drawn: dict[str, Any]) -> Any:
    """The recipe trained in a simpler way, or with one line less: what it made is replaced by what it was made of."""
    if drawn["compile"]:
        yield {**drawn, "compile": None}
        for part in ("compile", "fit"):
            for key in set(drawn[part]) - {"optimizer", "loss", "batch_size", "epochs"}:
                yield {**drawn, part: {k: v for k, v in drawn[part].items() if k != key}}
        if drawn["compile"]["optimizer"] != "SGD(0.05)":
            yield {**drawn, "compile": {**drawn["compile"], "optimizer": "SGD(0.05)"}}
    for index in range(len(drawn["lines"]) - 1, -1, -1):
        line = drawn["lines"][index]
        targets, _, rest = line.partition(" = ")
        sources = re.findall(r"\bx\d+\b", re.sub(r"name='\w+'", "", rest))
        before, after = drawn["lines"][:index], drawn["lines"][index + 1 :]
        text = "\n".join(after)
        if (
            not re.search(rf"\b({'|'.join(targets.split(', '))})\b", re.sub(r"'\w+'", "", text))
            and targets != "model"
        ):
            yield {**drawn, "lines": before + after}
            continue
        if (
            "K.Input" in rest
            or not sources
            or targets in ("model",)
            or any(f"'{name}'" in text for name in targets.split(", "))
        ):
            continue
        for target in targets.split(", "):
            text = re.sub(rf"\b{target}\b", sources[0], text)
        outputs = [sources[0] if o in targets.split(", ") else o for o in drawn["outputs"]]
        yield {**drawn, "lines": [*before, *text.split("\n")], "outputs": outputs}
