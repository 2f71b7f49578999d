"""Small models drawn at random, as the lines of Python that make them: every family of layers, losses, metrics, optimizers.

`Drawing(seed)` has the lines, and names what it drew. The names in the lines are `K` (torchfunc), `L` (its layers), `nn`,
`torch`, `np` and `rng`, and two helpers: `twice` and `block`.
"""

from __future__ import annotations

import copy
import random
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import torchfunc as tf
from torchfunc.tree import leaves

ACTIVATIONS = """relu sigmoid tanh elu selu gelu softplus softsign silu leaky_relu hard_sigmoid hard_silu relu6 mish
 log_sigmoid celu hard_tanh tanh_shrink softmax log_softmax squareplus sparse_plus exponential linear""".split()
WORDS = 7
MODULES = """nn.Tanh()
nn.GELU()
nn.Linear({f}, 3)
nn.LayerNorm({f})
nn.PReLU()
nn.Dropout(0.3)
nn.Sequential(nn.Linear({f}, 2), nn.ReLU(inplace=True))
nn.Hardswish()
nn.RMSNorm({f})"""
FUNCTIONS = """torch.tanh({x})
torch.sin({x}) * 0.5
1.0 - {x}
-{x} / 2.0
K.ops.tanh({x})
torch.cat([{x}, {x}], -1)
nn.functional.gelu({x})
K.ops.softmax({x})
torch.where({x} > 0, {x}, 0.1 * {x})"""
EXTRAS = """, kernel_regularizer='l2'
, kernel_regularizer='l1_l2'
, bias_regularizer=K.regularizers.L1(0.1)
, kernel_constraint='non_neg'
, kernel_constraint='max_norm'
, bias_constraint='unit_norm'
, activity_regularizer='l1'
, trainable=False"""
CHOICES: dict[str, list[Any]] = {
    "units": [1, 2, 3, 4],
    "act": ACTIVATIONS,
    "acts": ["", "", *(f", activation={each!r}" for each in ACTIVATIONS)],
    "rate": [0.0, 0.3],
    "seed": ["", "", ", seed=3"],
    "bias": ["", "", ", use_bias=False"],
    "size": [1, 2, 3],
    "stride": ["", "", ", strides=2"],
    "padding": ["'valid'", "'same'"],
    "format": ["", "", "", ", data_format='channels_first'"],
    "flag": [False, True],
    "frozen": ["", "", "", "", "", ", trainable=False"],
    "extra": [*("",) * 8, *EXTRAS.splitlines()],
    "cell": ["L.LSTMCell(3)", "L.GRUCell(2)", "L.SimpleRNNCell(3)", "L.StackedRNNCells([L.GRUCell(2), L.LSTMCell(3)])"],
    "rnn": ["L.LSTM", "L.GRU", "L.SimpleRNN"],
    "module": MODULES.splitlines(),
    "method": "tanh() relu() mean(1,keepdim=True) square() sigmoid().sqrt() flatten(1) abs() cos()".split(),
    "function": FUNCTIONS.splitlines(),
}  # fmt: skip

# Templates by how many axes a value has beside the batch; 0 is for any number of them.
LAYERS: dict[int, str] = {
    0: """L.Activation({act!r})({x})
L.ReLU(max_value=1.5, negative_slope=0.1)({x})
L.LeakyReLU()({x})
L.ELU()({x})
L.PReLU()({x})
L.Softmax()({x})
L.Dropout({rate}{seed})({x})
L.AlphaDropout({rate}{seed})({x})
L.GaussianDropout({rate}{seed})({x})
L.GaussianNoise({rate}{seed})({x})
L.ActivityRegularization(l1=0.01)({x})
L.Identity()({x})
L.Rescaling(0.5, offset=0.1)({x})
L.Lambda(torch.tanh)({x})
L.Dense({units}{acts}{bias}{extra})({x})
L.Dense({units}{acts}{bias}{extra})({x})
L.Dense({units}{acts}{bias}{extra})({x})
L.BatchNormalization(momentum=0.8, center={flag}{frozen})({x})
L.LayerNormalization(scale={flag})({x})
L.GroupNormalization({groups})({x})
L.RMSNormalization()({x})
L.UnitNormalization()({x})
L.Flatten()({x})
L.SpectralNormalization(L.Dense({units}))({x})
L.Torch({module})({x})
L.TorchModuleWrapper({module})({x})
{module}({x})
{function}
{x}.{method}
L.Add()([{x}, {same}])
L.Subtract()([{x}, {same}])
L.Multiply()([{x}, {same}])
L.Average()([{x}, {same}])
L.Maximum()([{x}, {same}])
L.Minimum()([{x}, {same}])
L.Concatenate()([{x}, {same}])
{x} + {same}
{x} * {same}
twice(L.Dense({f}{acts}))({x})
block({shape})({x})
K.Sequential([L.Dense({units}{acts}), L.Dropout({rate})])({x})""",
    1: """L.RepeatVector({size})({x})
L.Reshape((1, -1))({x})
L.EinsumDense('ab,bc->ac', output_shape={units}, bias_axes='c'{acts})({x})
L.Dot(1, normalize={flag})([{x}, {same}])
nn.Sequential(nn.Linear({f}, 4), nn.BatchNorm1d(4), nn.SELU())({x})""",
    2: """L.Masking()({x})
L.Masking()({x})
L.LSTM({units}, return_sequences={flag}{bias})({x})
L.GRU({units}, return_sequences={flag}, reset_after={flag})({x})
L.SimpleRNN({units}, return_sequences={flag}, go_backwards={flag})({x})
L.RNN({cell}, return_sequences={flag})({x})
L.RNN({cell})({x})
L.Bidirectional({rnn}(2, return_sequences={flag}))({x})
L.TimeDistributed(L.Dense({units}{acts}))({x})
L.Conv1D({units}, {size}, padding={padding}{stride}{bias}{acts}{extra})({x})
L.Conv1D({units}, {size}, padding='causal', dilation_rate=2)({x})
L.Conv1DTranspose({units}, {size}, padding={padding}{stride})({x})
L.DepthwiseConv1D({size}, padding={padding})({x})
L.SeparableConv1D({units}, {size}, padding={padding}{acts})({x})
L.SpatialDropout1D({rate})({x})
L.Cropping1D((1, 0))({x})
L.ZeroPadding1D(1)({x})
L.UpSampling1D(2)({x})
L.Permute((2, 1))({x})
L.Reshape((-1,))({x})
L.EinsumDense('abc,cd->abd', output_shape=(None, {units}), bias_axes='d')({x})
L.MultiHeadAttention(2, 2, dropout={rate})({x}, {x})
L.MultiHeadAttention(1, 3)({x}, {x}, use_causal_mask=True)
L.GroupQueryAttention(2, 2, 1)({x}, {x})
L.Attention(use_scale={flag}, dropout={rate})([{x}, {x}])
L.AdditiveAttention()([{x}, {x}])
L.Dot((2, 2))([{x}, {same}])
nn.LSTM({f}, 3, batch_first=True)({x})[0]
nn.GRU({f}, 2, batch_first=True, bidirectional=True)({x})[0]
nn.Conv1d({f}, 3, 1)({x}.transpose(1, 2))
{x}[:, 0]
{x}[:, 1:]""",
    3: """L.TimeDistributed(L.Conv1D({units}, 1))({x})
L.ConvLSTM1D({units}, {size}, padding='same')({x})
L.EinsumDense('abcd,de->abce', output_shape=(None, None, {units}))({x})
nn.Conv2d({f}, 3, 1)({x}.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)""",
    4: """L.ConvLSTM2D({units}, {size}, padding='same', return_sequences={flag})({x})
L.TimeDistributed(L.Conv2D({units}, 1))({x})""",
    5: """L.ConvLSTM3D({units}, {size}, padding='same')({x})
L.TimeDistributed(L.Conv3D({units}, 1))({x})
{x}[:, 0]""",
}
IMAGES = """L.Conv{n}D({units}, {size}, padding={padding}{stride}{bias}{acts}{format}{extra})({x})
L.Conv{n}D({units}, {size}, padding={padding}{stride}{bias}{acts}{format}{extra})({x})
L.Conv{n}DTranspose({units}, {size}, padding={padding}{stride}{acts}{format})({x})
L.MaxPooling{n}D({size}, strides={size}, padding={padding}{format})({x})
L.AveragePooling{n}D({size}{stride}{format})({x})
L.GlobalAveragePooling{n}D(keepdims={flag}{format})({x})
L.GlobalMaxPooling{n}D(keepdims={flag}{format})({x})
L.AdaptiveAveragePooling{n}D(2)({x})
L.AdaptiveMaxPooling{n}D(2)({x})"""
LARGER = """L.SpatialDropout{n}D({rate})({x})
L.Cropping{n}D(1)({x})
L.ZeroPadding{n}D({size}{format})({x})
L.UpSampling{n}D(2{format})({x})"""
FLAT = """L.DepthwiseConv2D({size}, padding={padding}{bias}{format})({x})
L.SeparableConv2D({units}, {size}, padding={padding}{acts}{format})({x})
L.UpSampling2D(2, interpolation='bilinear')({x})"""
TEMPLATES = {rank: text.splitlines() for rank, text in LAYERS.items()}
for _rank in (2, 3, 4):
    TEMPLATES[_rank] += IMAGES.replace("{n}", str(_rank - 1)).splitlines()
for _rank in (3, 4):
    TEMPLATES[_rank] += LARGER.replace("{n}", str(_rank - 1)).splitlines()
TEMPLATES[3] += FLAT.splitlines()

INPUTS = [
    "(4,)",
    "(3,)",
    "(4, 3)",
    "(5, 2)",
    "(4, 4, 2)",
    "(5, 3, 1)",
    "(3, 4, 4, 1)",
    "(2, 2, 3, 3, 1)",
    "words",
    "words",
]
WORD_LAYERS = [f"L.Embedding({WORDS}, 3, mask_zero={{flag}}{{frozen}})({{x}})"] * 2 + [
    f"L.ReversibleEmbedding({WORDS}, 3, mask_zero={{flag}})({{x}})",
    f"nn.Embedding({WORDS}, 2)({{x}})",
]

LABELS = "rng.integers(0, 3, {shape})"
ONE_HOT = f"np.eye(3, dtype='float32')[{LABELS}]"
EITHER = "rng.integers(0, 2, (*{shape}, 1)).astype('float32')"
NUMBERS = "rng.uniform(0.1, 1.0, (*{shape}, 2)).astype('float32')"


class Head(NamedTuple):
    """What an output is made of, its target, and what may measure it, a line each: a name alone is a class."""

    layer: str
    target: str
    losses: str
    metrics: str


HEADS: dict[str, Head] = {
    "labels": Head(
        "L.Dense(3, activation='softmax')",
        LABELS,
        """SparseCategoricalCrossentropy
SparseCategoricalCrossentropy(ignore_class=1)
CategoricalGeneralizedCrossEntropy""",
        """SparseCategoricalAccuracy
SparseCategoricalCrossentropy
SparseTopKCategoricalAccuracy(2)
MeanIoU(3, sparse_y_pred=False)
IoU(3, [0, 2], sparse_y_pred=False)""",
    ),
    "logits": Head(
        "L.Dense(3)",
        LABELS,
        """SparseCategoricalCrossentropy(from_logits=True)
nn.CrossEntropyLoss()
nn.CrossEntropyLoss(label_smoothing=0.1)""",
        """SparseCategoricalAccuracy
SparseCategoricalCrossentropy(from_logits=True)""",
    ),
    "one hot": Head(
        "L.Dense(3, activation='softmax')",
        ONE_HOT,
        """CategoricalCrossentropy
CategoricalCrossentropy(label_smoothing=0.2)
KLDivergence
CategoricalFocalCrossentropy
CategoricalHinge
Dice(axis=-1)
Tversky(axis=-1)
Poisson""",
        """CategoricalAccuracy
CategoricalCrossentropy
CategoricalHinge
KLDivergence
F1Score
Poisson
Accuracy
Precision
Recall
AUC
TopKCategoricalAccuracy(2)
FBetaScore('micro')
OneHotIoU(3, [0, 1])
OneHotMeanIoU(3)""",
    ),
    "binary": Head(
        "L.Dense(1, activation='sigmoid')",
        EITHER,
        """BinaryCrossentropy
BinaryFocalCrossentropy
Hinge
SquaredHinge
nn.BCELoss()""",
        """BinaryAccuracy
BinaryCrossentropy
BinaryIoU
Hinge
SquaredHinge
TruePositives
TrueNegatives
FalsePositives
FalseNegatives
Precision
Recall
AUC
PrecisionAtRecall(0.5)
RecallAtPrecision(0.5)
SensitivityAtSpecificity(0.5)
SpecificityAtSensitivity(0.5)""",
    ),
    "binary logits": Head(
        "L.Dense(1)",
        EITHER,
        """BinaryCrossentropy(from_logits=True)
nn.BCEWithLogitsLoss()
Hinge""",
        """BinaryAccuracy(threshold=0.0)
BinaryCrossentropy(from_logits=True)""",
    ),
    "numbers": Head(
        "L.Dense(2, activation='softplus')",
        NUMBERS,
        """MeanSquaredError
MeanSquaredError(reduction='sum')
MeanAbsoluteError
MeanAbsolutePercentageError
MeanSquaredLogarithmicError
Huber
LogCosh
Poisson
CosineSimilarity
nn.SmoothL1Loss()
nn.MSELoss()""",
        """MeanSquaredError
RootMeanSquaredError
MeanAbsoluteError
MeanAbsolutePercentageError
MeanSquaredLogarithmicError
LogCoshError
Poisson
CosineSimilarity
R2Score
PearsonCorrelation
ConcordanceCorrelation
MeanMetricWrapper(K.losses.huber)""",
    ),
    "embeddings": Head("K.Sequential([L.Dense(3), L.UnitNormalization()])", LABELS, "Circle(gamma=1.0)", ""),
}
# which are known where a target is a step's
STEPWISE = set(
    """SparseCategoricalCrossentropy SparseCategoricalCrossentropy(from_logits=True) CategoricalCrossentropy KLDivergence
 BinaryCrossentropy BinaryCrossentropy(from_logits=True) BinaryFocalCrossentropy MeanSquaredError MeanAbsoluteError Huber
 LogCosh SparseCategoricalAccuracy CategoricalAccuracy BinaryAccuracy RootMeanSquaredError AUC Precision Recall""".split()
)
OPTIMIZERS = [
    *"SGD Adam AdamW Adamax Nadam RMSprop Adagrad Adadelta Lion Ftrl Lamb Adafactor Muon ScheduleFreeAdamW".split(),
    "SGD(0.1, momentum=0.9)",
    "SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1)",
    "SGD(0.1, gradient_accumulation_steps=3)",
    "SGD(K.schedules.ExponentialDecay(0.1, 5, 0.5), clipnorm=0.3)",
    "Adam(0.01, amsgrad=True, global_clipnorm=0.5)",
    "Adam(0.01, use_ema=True, clipvalue=0.1)",
    "RMSprop(0.01, momentum=0.5, centered=True)",
    "LossScaleOptimizer(K.optimizers.SGD(0.1))",
    "MultiOptimizer(K.optimizers.OptimizerMap(K.optimizers.SGD(0.1), {'out0/.*': K.optimizers.Adam(0.01)}))",
    "torch.optim.AdamW",
    "torch.optim.SGD",
    "torch.optim.NAdam",
]


def named(text: str, home: str) -> str:
    """`K.home.Text()`, but for what is PyTorch's."""
    return text if text.startswith(("nn.", "torch.")) else f"K.{home}.{text}" + ("" if "(" in text else "()")


def twice(layer: Any) -> Callable[[Any], Any]:
    return lambda x: layer(layer(x))


def block(shape: tuple[int | None, ...]) -> tf.Model:
    """A model for use within others."""
    inputs = tf.Input(shape)
    x = tf.layers.Dense(shape[-1], activation="tanh")(inputs)
    return tf.Model(inputs, tf.layers.Add()([x, inputs]))


class Drawing:
    """A model and its training, and the families that are in it.

    Attributes:
        lines: make `model`.
        training: make `x`, `y` and `options` for `fit`, and compile it.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seed, self.count = seed, 0
        self.lines: list[str] = []
        self.training: list[str] = [f"rng = np.random.default_rng({seed})"]
        self.names: dict[str, Any] = {
            "K": tf, "L": tf.layers, "nn": nn, "torch": torch, "np": np, "twice": twice, "block": block,
        }  # fmt: skip
        self.size, self.batches = self.random.choice([3, 4]), 5
        self.rows = self.size * self.batches + 2  # the last batch is uneven
        self.inputs: list[str] = []
        self.values: list[str] = []
        torch.manual_seed(seed)
        for _ in range(self.random.choice([1, 1, 2])):
            self._input()
        for _ in range(self.random.randint(3, 6)):
            self._step()
        self._outputs()

    @property
    def text(self) -> str:
        return "\n".join((*self.lines, *self.training))

    def families(self) -> set[str]:
        """The classes that the lines name: `L.Dense`, `nn.Linear`, `losses.Huber`."""
        return set(re.findall(r"\b(?:L|nn|losses|metrics|optimizers|optim)\.[A-Z]\w+", self.text))

    def trained(self, *, recorded: bool) -> tf.Model:
        """A copy of the model after its training, in the random state that is always the same."""
        names = {**self.names, "model": copy.deepcopy(self.names["model"])}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec("\n".join(self.training), names)
            model: tf.Model = names["model"]
            model.run_eagerly = not recorded
            torch.manual_seed(1)
            model.fit(names["x"], names["y"], epochs=2, verbose=0, **names["options"])
        return model

    def measured(self, model: tf.Model) -> list[Any]:
        """Figures and predictions of a model, three times over."""
        names = {**self.names, "model": None}
        exec("\n".join(self.training[:-1]), names)
        given = {key: names["options"].get(key) for key in ("batch_size", "sample_weight")}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [
                figure
                for _ in range(3)
                for figure in (
                    *model.evaluate(names["x"], names["y"], verbose=0, return_dict=True, **given).values(),
                    *leaves(model.predict(names["x"], batch_size=self.size, verbose=0)),
                )
            ]

    def _choice(self, *options: Any) -> Any:
        return self.random.choice(options)

    def _shape(self, value: str) -> tuple[int | None, ...]:
        return tuple(self.names[value].shape[1:])

    def _run(self, text: str) -> str | None:
        """Take a call in where it can be made and is small; the name of what it returns."""
        name = f"x{self.count}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(f"{name} = {text}", self.names)
        except Exception:
            return None
        shape = self._shape(name)
        if 0 in shape or len(shape) > 5 or int(np.prod([each or 1 for each in shape])) > 160:
            return None
        self.count += 1
        self.lines.append(f"{name} = {text}")
        return name

    def _input(self) -> None:
        drawn = self._choice(*INPUTS)
        shape, dtype = ("(4,)", "int64") if drawn == "words" else (drawn, "float32")
        name = self._run(f"K.Input({shape}, dtype={dtype!r}, name='in{self.count}')")
        assert name is not None
        self.inputs.append(name)
        whole = f"({self.rows}, *{shape})"
        numbers = f"rng.integers(0, {WORDS}, {whole})" if drawn == "words" else f"rng.normal(size={whole})"
        self.training.append(f"{name} = {numbers}.astype({dtype!r})")
        if len(eval(shape)) == 2:
            self.training.append(f"{name}[rng.random({whole[:-1]})[:2]) < 0.3] = 0")
        value = self._layer(self._choice(*WORD_LAYERS), name) if drawn == "words" else name
        assert value is not None
        self.values.append(value)

    def _step(self) -> None:
        for _ in range(20):
            x = self.values[-1] if self.random.random() < 0.8 else self._choice(*self.values)
            rank = len(self._shape(x))
            if rank == 0:
                continue
            pool = self._choice(TEMPLATES[0], TEMPLATES[rank], TEMPLATES[rank])
            name = self._layer(self._choice(*pool), x)
            if name is not None and self._shape(name):
                self.values.append(name)
                return

    def _layer(self, template: str, x: str) -> str | None:
        """A line of a template, on a value."""
        shape = self._shape(x)
        alike = [each for each in self.values if self._shape(each) == shape]
        channels = shape[-1] or 1
        given: dict[str, Any] = {
            "x": x,
            "f": channels,
            "shape": shape,
            "same": self._choice(*alike) if alike else x,
            "groups": self._choice(*(each for each in range(1, channels + 1) if channels % each == 0)),
        }
        return self._run(template.format_map(Choices(self.random, given)))

    def _outputs(self) -> None:
        """Two or three values, or the last alone, each with a head, a target, a loss and what measures it."""
        count = min(len(self.values), self._choice(1, 1, 2, 3))
        used = dict.fromkeys([self.values[-1], *self.random.sample(self.values, count - 1)])
        told: dict[str, dict[str, str]] = {}
        for value in used:
            for what, text in self._head(value, f"out{len(told.get('y', ()))}").items():
                told.setdefault(what, {})[f"out{len(told[what])}" if what in told else "out0"] = text
        form = self._choice("{}", "[]") if len(used) > 1 else ""
        compiled = [f"{key}={nested(told[key], form)}" for key in ("loss", "metrics", "weighted_metrics")]
        if len(used) > 1 and self._choice(True, False):
            compiled.append(f"loss_weights={nested(dict.fromkeys(told['y'], '0.5'), form)}")
        self._run_model(nested(told["value"], form))
        options = [f"batch_size={self.size}", f"shuffle={self._choice(True, False)}"]
        if self._choice(True, False, False):
            drawn = f"rng.uniform(size={self.rows})"
            options.append(f"sample_weight={nested(dict.fromkeys(told['y'], drawn), form)}")
        elif told["class_weight"] == {"out0": "True"} and self._choice(True, False):
            options.append("class_weight={0: 1.0, 1: 0.5, 2: 2.0}")
        if self._choice(True, False, False):
            options.append(
                "callbacks=[K.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]"
            )
        if self._choice(True, False, False, False):
            options.append("validation_data=(x, y)")
        optimizer = named(self._choice(*OPTIMIZERS), "optimizers")
        self.training += [
            f"y = {nested(told['y'], form)}",
            f"options = dict({', '.join(options)})",
            f"model.compile({', '.join([f'optimizer={optimizer}', *compiled])})",
        ]

    def _head(self, value: str, name: str) -> dict[str, str]:
        """What an output is told as, as texts."""
        steps = len(self._shape(value)) == 2 and self.random.random() < 0.7
        kind = self._choice(*(each for each in HEADS if each != "embeddings" or not steps))
        head = HEADS[kind]
        if not steps and len(self._shape(value)) > 1:
            value = self._run(f"L.Flatten()({value})") or value
        made = self._run(f"{head.layer[:-1]}{', ' * (head.layer[-2] != '(')}name={name!r})({value})")
        assert made is not None, self.text
        losses = [each for each in head.losses.splitlines() if not steps or each in STEPWISE]
        metrics = [each for each in head.metrics.splitlines() if not steps or each in STEPWISE]
        some, more = (self.random.sample(metrics, min(len(metrics), self._choice(0, 1, 2))) for _ in range(2))
        return {
            "value": made,
            "y": head.target.format(shape=(self.rows, *self._shape(made)[:1]) if steps else (self.rows,)),
            "loss": named(self._choice(*losses), "losses"),
            "metrics": f"[{', '.join(named(each, 'metrics') for each in some)}]",
            "weighted_metrics": f"[{', '.join(named(each, 'metrics') for each in more)}]",
            "class_weight": str(kind == "labels" and not steps),
        }

    def _run_model(self, outputs: str) -> None:
        """The model of what the outputs need."""
        needed, kept = set(re.findall(r"\bx\d+\b", outputs)), []
        for line in reversed(self.lines):
            made, _, rest = line.partition(" = ")
            if made in needed:
                needed |= set(re.findall(r"\bx\d+\b", rest))
                kept.append(line)
        given = [name for name in self.inputs if name in needed]
        form = self._choice("{}", "[]") if len(given) > 1 else ""
        inputs = nested({f"in_{name}": name for name in given}, form)
        self.lines = [*reversed(kept), f"model = K.Model({inputs}, {outputs})"]
        exec(self.lines[-1], self.names)
        self.training.append(f"x = {inputs}")


def nested(named: Mapping[str, str], form: str) -> str:
    """Texts alone, in a list or in a dict, as text."""
    if form == "{}":
        return "{" + ", ".join(f"{name!r}: {each}" for name, each in named.items()) + "}"
    return f"[{', '.join(named.values())}]" if form else next(iter(named.values()))


class Choices(dict[str, Any]):
    """What is given, and else a draw; what is drawn may have blanks of its own."""

    def __init__(self, random: random.Random, given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self.random = random

    def __missing__(self, key: str) -> Any:
        drawn = self.random.choice(CHOICES[key])
        return drawn.format_map(self) if isinstance(drawn, str) else drawn
