"""The captured step: with a stand-in for the graphs of a GPU, all that is around them does what the step does."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import torchfunc as tf
from tests.training.capturing.stand_in import StandIn, graphs_on_cpu
from tests.training.recording import test_changes_meanwhile
from tests.training.recording.drawn_models import Drawing
from tests.training.recording.test_changes_meanwhile import CHANGES, seen, several_layers, undo
from tests.training.recording.test_recorded_step import (
    OPTIMIZERS,
    At,
    Between,
    assert_equal,
    data,
    hooked,
    is_recorded,
    network,
    why_not,
)
from torchfunc import layers
from torchfunc.errors import CompileError, DataError
from torchfunc.training import batches, finite, trainer
from torchfunc.training.capturing import cuda_graphs
from torchfunc.training.capturing.captured import Captured, NotCaptured
from torchfunc.training.feed import Feed
from torchfunc.training.options.compiled import Options
from torchfunc.training.recording import replaying
from torchfunc.training.recording.fingerprint import Fingerprint
from torchfunc.training.recording.tape import Tape

undone = test_changes_meanwhile.undone


@pytest.fixture
def graphs() -> Iterator[list[StandIn]]:
    with graphs_on_cpu() as made:
        yield made


def fitted(model: tf.Model, optimizer: Any = "adam", *, captured: bool, **options: Any) -> tf.Model:
    """The model after two epochs, in the random state that is always the same."""
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], cuda_graph=captured,
        run_eagerly=not captured,
    )  # fmt: skip
    torch.manual_seed(1)
    x, y = options.pop("data", data())
    model.fit(x, y, batch_size=8, **{"epochs": 2, "verbose": 0} | options)
    return model


def assert_state_equal(one: tf.Model, other: tf.Model) -> None:
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_captured_step_does_what_the_step_does(optimizer: Callable[[], Any], graphs: list[StandIn]) -> None:
    found, expected = (fitted(several_layers(), optimizer(), captured=each) for each in (True, False))
    assert is_recorded(found)
    assert_equal(found, expected)
    assert [each.replays for each in graphs] == [12 + 12]  # one of them to compare, but the first batch


@pytest.mark.parametrize("part", range(4))
def test_models_drawn_at_random_learn_the_same_captured(
    part: int, graphs: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "FEWEST", 1)
    # kernels round by where their inputs begin: those of a graph begin where memory of their own does
    monkeypatch.setattr(batches, "SMALL", 0)
    ready = batches.Arrays._ready
    whole = lambda data, batch: batches._each_of(ready(data, batch), Tensor.clone)  # noqa: E731
    monkeypatch.setattr(batches.Arrays, "_ready", whole)
    for seed in range(1000 + part * 10, 1010 + part * 10):
        drawing = Drawing(seed)
        expected = drawing.trained(recorded=False)
        graphs.clear()
        with monkeypatch.context() as patch:
            patch.setattr(trainer, "Options", lambda *given: Options(*given[:-1], True))
            found = drawing.trained(recorded=True)
        assert bool(graphs) is is_recorded(found), (seed, why_not(found))
        assert is_recorded(found) or "writes into a parameter" in why_not(found), (seed, why_not(found))
        assert_equal(found, expected)


def test_a_step_in_halves_is_captured_with_its_casts(graphs: list[StandIn]) -> None:
    models = []
    for captured in (True, False):
        model = several_layers()
        model.compile(
            "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], precision="bf16",
            cuda_graph=captured, run_eagerly=not captured,
        )  # fmt: skip
        torch.manual_seed(1)
        model.fit(*data(), batch_size=8, epochs=2, verbose=0)
        models.append(model)
    assert_equal(*models)
    assert len(graphs) == 1 and "dtype=torch.bfloat16" in models[0].trainer.step_code


def images() -> tf.Model:
    """With all that the CPU does by other kernels."""
    torch.manual_seed(0)
    inputs = tf.Input((6,), dtype="int64")
    x = layers.Reshape((8, 12, 8))(layers.Embedding(300, 128)(inputs))
    x = layers.MaxPooling2D(2)(layers.Conv2D(8, 3, padding="same", activation="relu")(x))
    x = layers.Conv2D(16, 3, padding="same")(layers.UpSampling2D(4)(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2DTranspose(1, 3, padding="same")(x))
    return tf.Model(inputs, layers.Dense(3, activation="softmax")(x))


def test_passes_that_were_measured_on_the_cpu_are_not_used_for_a_graph(graphs: list[StandIn]) -> None:
    rng = np.random.default_rng(0)
    given = rng.integers(0, 300, (96, 6)), rng.integers(0, 3, 96)
    found, expected = (fitted(images(), captured=captured, data=given) for captured in (True, False))
    assert_equal(found, expected)
    ours = ("kept1", "index_add_", "avg_pool2d(", "[True, True, False]")
    code = why_not(found)
    assert graphs and [each for each in ours if each in code] == []
    on_the_cpu = images()
    on_the_cpu.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    on_the_cpu.fit(*given, batch_size=8, verbose=0)
    assert [each for each in ours if each not in why_not(on_the_cpu)] == []


def test_generators_of_layers_are_those_of_the_graph_too(graphs: list[StandIn]) -> None:
    found, expected = (
        fitted(network(layers.Dropout(0.5, seed=3)), captured=captured) for captured in (True, False)
    )
    assert_equal(found, expected)
    assert [len(each.own) for each in graphs] == [1]


def test_random_numbers_go_on_as_they_do_without_a_graph(graphs: list[StandIn]) -> None:
    after = []
    for captured in (True, False):
        fitted(several_layers(), captured=captured)
        after.append(torch.rand(4))
    assert graphs and torch.equal(*after)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing", "ignore:cuda_graph=True does nothing")
@pytest.mark.parametrize("when", [At, Between])
@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_in_the_middle_of_training_counts_with_a_graph_too(
    what: str, when: Callable[..., Any], graphs: list[StandIn]
) -> None:
    models = []
    for captured in (True, False):
        change = when(seen(CHANGES[what]))
        models.append(fitted(several_layers(), "sgd", captured=captured, callbacks=[change], epochs=3))
        undo()
    assert graphs and graphs[0].replays > 0
    assert_state_equal(*models)


SETTINGS: dict[str, tuple[Any, str, Any]] = {
    "products": (torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "convolutions": (torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    "recurrence": (torch.backends.cudnn.rnn, "fp32_precision", "ieee"),
    "halves": (torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False),
    "a search": (torch.backends.cudnn, "benchmark", True),
    "cuDNN": (torch.backends.cudnn, "enabled", False),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_kernels_are_chosen_by_is_heard_where_they_were_captured(
    name: str, graphs: list[StandIn]
) -> None:
    marks = {}
    for captured in (True, False):
        model = fitted(network(), captured=captured)
        assert model.trainer is not None
        before = Fingerprint(model.trainer.step)
        owner, attribute, value = SETTINGS[name]
        kept = getattr(owner, attribute)
        setattr(owner, attribute, value)
        try:
            marks[captured] = before.still_holds(), before == Fingerprint(model.trainer.step)
        finally:
            setattr(owner, attribute, kept)
    assert marks == {True: (False, False), False: (True, True)}


def test_another_fit_replays_the_graph_of_the_last_one_where_that_is_small(
    graphs: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = data()
    model = fitted(network(), captured=True)
    model.fit(x, y, batch_size=8, verbose=0)
    assert len(graphs) == 1

    class Large(StandIn):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.nbytes = replaying.LASTING

    monkeypatch.setattr(cuda_graphs, "Graph", Large)
    model = fitted(network(), captured=True)
    assert len(graphs) == 2  # one for both epochs
    model.fit(x, y, batch_size=8, verbose=0)
    assert len(graphs) == 3


def test_parameters_lie_where_they_did_after_a_training_with_graphs(graphs: list[StandIn]) -> None:
    model = network(layers.Dense(64), layers.Dense(64))
    places = [each.data_ptr() for each in model.parameters()]
    fitted(model, captured=True)
    assert graphs and [each.data_ptr() for each in model.parameters()] == places


def test_train_on_batch_replays_a_graph(graphs: list[StandIn]) -> None:
    x, y = data()
    figures: dict[bool, list[Any]] = {}
    for captured in (True, False):
        model = several_layers()
        model.compile(
            "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], cuda_graph=captured,
            run_eagerly=not captured,
        )  # fmt: skip
        torch.manual_seed(1)
        figures[captured] = [
            model.train_on_batch(x[at : at + 8], y[at : at + 8]) for at in range(0, 80, 8) for _ in (1, 2)
        ]
    assert figures[True] == figures[False]
    assert [each.replays for each in graphs] == [20 - 8]


class Failing(StandIn):
    """A capture that fails after all that comes before it."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore of it")


class Wrong(StandIn):
    """A graph of nothing: what is there was left by the calls before."""

    def replay(self) -> None:
        pass


WORDS = {
    Failing: "it could not be captured: RuntimeError: CUDA error: operation not permitted when stream is capturing",
    Wrong: "it did another thing when it was repeated",
}


@pytest.mark.parametrize("graph", WORDS)
def test_what_cannot_be_captured_is_learned_from_as_it_is(graph: Any) -> None:
    with graphs_on_cpu(graph) as made:
        with pytest.warns(UserWarning) as told:
            found = fitted(several_layers(), captured=True, epochs=3)
        words = f"cuda_graph=True does nothing: the training step runs as it is, not captured, because {WORDS[graph]}."
        assert [str(each.message) for each in told] == [words]
        assert told[0].filename == __file__
        assert why_not(found) == f"# Not recorded, because {WORDS[graph]}.\n"
        expected = fitted(several_layers(), captured=False, epochs=3)
        assert_equal(found, expected)
        x, y = data()
        for model in (found, expected):
            torch.manual_seed(2)
            model.fit(x, y, batch_size=8, verbose=0, callbacks=[At(lambda model: None)])
        assert_equal(found, expected)
        assert len(made) == 1  # neither in another epoch nor in another training

        for model in (found, expected):
            model.get_layer("norm").momentum = 0.5
            torch.manual_seed(2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(x, y, batch_size=8, verbose=0)
        assert_equal(found, expected)
        assert len(made) == 2  # it is another step


def test_a_graph_of_nothing_is_found_out_where_nothing_is_random_either() -> None:
    with graphs_on_cpu(Wrong), pytest.warns(UserWarning, match="because it did another thing"):
        found = fitted(network(), captured=True)
    assert_equal(found, fitted(network(), captured=False))


def test_where_all_gradients_lie_in_a_few_pieces_these_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finite, "reads_freely", lambda device: False)
    model = network()
    watch, parameters = finite.Watch(model, torch.device("cpu")), list(model.parameters())
    assert watch.passes(torch.ones(()), parameters, [torch.ones(70), torch.zeros(3)]) and not watch.found()
    assert watch.passes(torch.ones(()), parameters, [torch.ones(70), torch.tensor([0.0, torch.inf])])
    assert watch.found()


def test_a_capture_that_fails_leaves_random_numbers_and_parameters_alone() -> None:
    after = []
    for captured in (True, False):
        model = network(layers.Dense(64), layers.Dropout(0.5))
        places = [each.data_ptr() for each in model.parameters()]
        with graphs_on_cpu(Failing), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted(model, captured=captured)
        assert [each.data_ptr() for each in model.parameters()] == places
        after.append(torch.rand(4))
    assert torch.equal(*after)


def test_a_capture_that_fails_between_two_calls_of_train_on_batch_leaves_them_alone() -> None:
    x, y = data()
    figures = []
    for captured in (True, False):
        model = network(layers.Dense(64), layers.Dropout(0.5))
        model.compile(
            "adam", "sparse_categorical_crossentropy", cuda_graph=captured, run_eagerly=not captured
        )
        places = [each.data_ptr() for each in model.parameters()]
        torch.manual_seed(1)
        with graphs_on_cpu(Failing) as made, warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            figures.append([model.train_on_batch(x[at : at + 8], y[at : at + 8]) for at in range(0, 96, 4)])
        assert [each.data_ptr() for each in model.parameters()] == places
        assert len(made) == len(told) == captured
    assert figures[0] == figures[1]


def test_a_program_that_cannot_be_written_out_is_told_too(
    graphs: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "spelled", lambda lines: [][0])
    with pytest.warns(UserWarning, match="because it could not be written out: IndexError: list index out"):
        found = fitted(several_layers(), captured=True)
    assert_equal(found, fitted(several_layers(), captured=False))
    assert not graphs


REFUSED: dict[str, tuple[Callable[[], tf.Model], dict[str, Any]]] = {
    "first.activation calls 'steep'": (lambda: network(activation=steep), {}),
    "an epoch has 2 batches, and it takes 8 to gain by it": (network, {"data": data(16)}),
    "'linear' has a hook": (lambda: network(hooked("forward_hook")), {}),
}


def steep(x: Tensor) -> Tensor:
    return torch.relu(x) ** 2


@pytest.mark.parametrize("words", REFUSED)
def test_who_asks_for_a_graph_is_told_why_there_is_none(words: str, graphs: list[StandIn]) -> None:
    make, options = REFUSED[words]
    with pytest.warns(UserWarning, match=f"not captured, because {words}.") as told:
        fitted(make(), captured=True, **options)
    assert len(told) == 1 and not graphs


def test_who_asks_for_a_graph_is_told_that_batches_are_not_alike(graphs: list[StandIn]) -> None:
    x, y = data()

    def growing() -> Iterator[Any]:
        yield from ((x[:count], y[:count]) for count in range(4, 20))

    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy", cuda_graph=True)
    with pytest.warns(UserWarning, match="not captured, because no batch is like the one before it."):
        model.fit(growing, verbose=0)
    assert not graphs


def test_who_asks_for_a_graph_is_told_that_a_profile_has_none(graphs: list[StandIn], tmp_path: Any) -> None:
    with pytest.warns(UserWarning, match="not captured, because a profile is made of it."):
        fitted(network(), captured=True, profile=tmp_path / "trace.json")
    assert not graphs


def test_who_asks_for_a_graph_is_told_why_train_on_batch_has_none(graphs: list[StandIn]) -> None:
    x, y = data()
    model = network(activation=steep)
    model.compile("sgd", "sparse_categorical_crossentropy", cuda_graph=True)
    with pytest.warns(UserWarning, match="not captured, because first.activation calls 'steep'.") as told:
        for _ in range(3):
            model.train_on_batch(x[:8], y[:8])
    assert len(told) == 1 and told[0].filename == __file__


def test_a_graph_is_refused_where_there_are_none() -> None:
    words = "cuda_graph: got True on the device cpu. Graphs are captured on NVIDIA's GPUs alone. Fix: device='cuda'"
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy", cuda_graph=True)
    x, y = data()
    with pytest.raises(CompileError, match=words):
        model.fit(x, y, verbose=0)
    with pytest.raises(CompileError, match=words):
        model.train_on_batch(x, y)
    assert model.predict(x, verbose=0).shape == (len(x), 3)  # which needs no graph
    with pytest.raises(CompileError, match="cuda_graph: expected True or False, got 1"):
        model.compile("sgd", "mse", cuda_graph=1)


def test_the_option_is_saved_with_the_model(tmp_path: Any) -> None:
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy", cuda_graph=True)
    model.save(tmp_path / "m.safetensors")
    loaded = tf.load_model(tmp_path / "m.safetensors")
    assert loaded.trainer.get_config()["cuda_graph"] is True
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert "cuda_graph" not in model.trainer.get_config()


@pytest.mark.parametrize("options", [{"deterministic": True}, {"precision": "tf32"}])
def test_options_that_choose_kernels_alone_go_with_a_graph(
    options: dict[str, Any], graphs: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Options(**options, cuda_graph=True).is_recordable
    assert not Options(**options).is_recordable
    assert not Options(**options, clipnorm=1.0, cuda_graph=True).is_recordable


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_where_the_device_has_to_be_waited_for_numbers_are_looked_at_when_figures_are_read(
    where: str, graphs: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finite, "reads_freely", lambda device: False)
    x, y = data()
    reads, item = [0], Tensor.item

    def counted(tensor: Tensor) -> Any:
        reads[-1] += 1
        return item(tensor)

    monkeypatch.setattr(Tensor, "item", counted)
    found = fitted(several_layers(), captured=True)
    reads.append(0)
    assert_equal(found, fitted(several_layers(), captured=False))
    assert len(graphs) == 1 and reads[0] == reads[1] < 8  # of 26 batches
    x[60] = np.nan if where == "loss" else 3e38
    words = "got nan at index" if where == "loss" else "a loss or a gradient in this batch or one before"
    left = []
    for captured in (True, False):
        model = several_layers()
        with pytest.raises(DataError, match=words):
            fitted(model, captured=captured, data=(x, y))
        left.append(model)
    assert_state_equal(*left)  # that of the begin of the epoch
    assert_equal(*(fitted(model, captured=model is left[0]) for model in left))


class Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls.append(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("depth", [1, 20])
def test_around_a_graph_there_are_as_few_calls_for_many_layers_as_for_one(
    depth: int, graphs: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finite, "reads_freely", lambda device: False)
    x = inputs = tf.Input((64,))
    for _ in range(depth):
        x = layers.Dense(64, activation="relu")(x)
    model = tf.Model(inputs, x)
    model.compile("rmsprop", "mse", metrics=["mae"], cuda_graph=True)
    rows = np.random.default_rng(0).random((80, 64), dtype=np.float32)
    model.fit(rows, rows, batch_size=8, verbose=0)
    assert model.trainer is not None
    step = model.trainer.step
    recorder = replaying.Recorder(step, step.act("train"), alone=True)
    batch = Feed(step, "train").batch(rows[:8], rows[:8], None, None)
    monkeypatch.setattr(StandIn, "replay", lambda self: None)
    with Counting() as counting:
        recorder.train(batch)
    recorder.leave()
    copied = ["aten::copy_", "aten::copy_", "aten::empty_like", "aten::empty_like", "aten::_foreach_copy_"]
    assert counting.calls[:5] == copied and 8 < len(counting.calls) <= 12, counting.calls


def test_what_is_handed_out_is_not_changed_by_what_comes_after(graphs: list[StandIn]) -> None:
    def run(x: Tensor, y: Tensor) -> Any:
        total = (x * y).sum()
        return total, [total, None, x.mean(0)], ()

    x, y = torch.ones(4, 3), torch.ones(4, 3)
    captured = Captured(run, [x, y], torch.device("cpu"))
    first = captured(x, y)
    second = captured(2 * x, y)
    assert float(first[0]) == 12.0 and float(second[0]) == 24.0
    assert first[1][0] is first[0] and first[1][1] is None and first[2] == ()
    assert torch.equal(first[1][2], torch.ones(3)) and torch.equal(second[1][2], torch.full((3,), 2.0))
    assert torch.equal(x, torch.ones(4, 3)) and captured.nbytes == 2 * x.nbytes


def test_a_graph_takes_tensors_as_they_lie_or_not_at_all(graphs: list[StandIn]) -> None:
    turned = torch.rand(3, 4).t()
    captured = Captured(lambda x: (x.stride(), x.sum()), [turned], torch.device("cpu"))
    assert captured(turned)[0] == turned.stride()
    with pytest.raises(NotCaptured, match="a tensor of the batch has gaps in memory"):
        Captured(lambda x: x, [torch.rand(4, 6)[:, ::2]], torch.device("cpu"))


def test_a_graph_is_right_to_the_bit_where_algorithms_are_deterministic() -> None:
    one = torch.tensor([1000.0, 1.0, torch.nan])
    other = torch.tensor([1000.0, 1.005, torch.nan])
    assert replaying._is_near(one[:2], other[:2]) and not replaying._is_near(one[:2], other[:2] + 0.01)
    assert replaying._is_near(one[1:], one[1:].clone()) and not replaying._is_near(one[1:], other[1:])
    assert not replaying._is_near(one, one.double()) and not replaying._is_near(one, one[:2])
    assert not replaying._is_near(one, None)
    halves = torch.tensor([1.0, 1.0], dtype=torch.bfloat16)
    assert replaying._is_near(halves, halves * (1 + 2**-7)) and not replaying._is_near(halves, halves * 1.05)
    assert not replaying._is_near(torch.tensor([1, 2]), torch.tensor([1, 3]))
    torch.use_deterministic_algorithms(True)
    assert not replaying._is_near(one[:2], other[:2]) and replaying._is_near(one, one.clone())


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (
            "what it does depends on the numbers in a tensor, which aten.index_put_.default reads",
            lambda x: x.index_put_((torch.ones(3, device="meta") > 0,), torch.ones((), device="meta")),
        ),
        ("it computes on cpu", lambda x: torch.ones(3).to("meta")),
        ("it computes on cpu", lambda x: x * torch.tensor(2.0)),
        ("", lambda x: x.index_put_((torch.zeros(3, dtype=torch.long, device="meta"),), x)),
    ],
)
def test_what_has_the_host_wait_is_not_recorded_for_a_graph(
    words: str, call: Callable[[Tensor], Any]
) -> None:
    x = torch.ones(3, device="meta")
    with Tape(torch.device("meta")) as tape:
        call(x)
    assert tape.refused == words


OUTSIDE = torch.ones(60)


@pytest.mark.parametrize(
    ("words", "below"),
    [
        ("", lambda layer: torch.cat([layer.weight.flatten(), layer.bias])),
        ("", lambda layer: layer.weight),
        ("a tensor of shape (60,) comes from outside of the step", lambda layer: OUTSIDE),
    ],
)
def test_weights_of_an_lstm_are_found_as_cudnn_looks_for_them(
    words: str, below: Callable[[Any], Tensor], graphs: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = layers.Dense.forward

    def forward(layer: Any, x: Tensor) -> Tensor:
        laid = torch.empty(0).set_(below(layer).untyped_storage())  # as PyTorch does for `_cudnn_rnn`
        return original(layer, x) * laid.sum()

    monkeypatch.setattr(layers.Dense, "forward", forward)
    models = []
    for captured in (True, False):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            models.append(fitted(network(), captured=captured))
        assert any(f"because {words}." in str(each.message) for each in told) is (captured and bool(words))
    assert_equal(*models)
    assert bool(graphs) is not bool(words)


def test_a_copy_of_a_training_has_no_graph(graphs: list[StandIn]) -> None:
    model = fitted(network(), captured=True)
    twin = copy.deepcopy(model)
    assert model.trainer is not None and twin.trainer is not None
    assert model.trainer.step.notes.kept is not None and twin.trainer.step.notes.kept is None
