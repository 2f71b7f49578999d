"""`train_on_batch` again and again: its recorded step does what the step does, whatever happens between two calls."""

from __future__ import annotations

import copy
import gc
import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from torchfunc import callbacks, layers, optimizers
from torchfunc.errors import DataError
from torchfunc.training.recording.by_batch import WAIT
from torchfunc.training.step import Step

Call = Callable[[], Any]
ENOUGH = WAIT + 8  # calls after which the step has been recorded, checked and repeated


def batches(rows: int = 16, width: int = 64) -> Iterator[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    while True:
        yield rng.normal(size=(rows, width)).astype("float32"), rng.integers(0, 3, rows)


def network(*extra: Any, width: int = 64) -> tf.Model:
    """A network whose parameters are of so many numbers that they share pieces of memory."""
    torch.manual_seed(0)
    x = inputs = tf.Input((width,))
    x = layers.Dense(64, activation="relu", name="first")(x)
    for each in extra:
        x = each(x)
    x = layers.Dense(64, activation="relu", name="second")(x)
    return tf.Model(inputs, layers.Dense(3, activation="softmax", name="last")(x))


def compiled(model: tf.Model, optimizer: Any = "rmsprop", *, recorded: bool) -> tf.Model:
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.run_eagerly = not recorded
    torch.manual_seed(1)
    return model


def is_repeated(model: tf.Model) -> bool:
    assert model.trainer is not None
    by_batch = model.trainer.step.notes.by_batch
    return by_batch is not None and by_batch.recorder.program is not None


def steps_in_pieces(model: tf.Model) -> bool:
    assert model.trainer is not None
    by_batch = model.trainer.step.notes.by_batch
    return by_batch is not None and by_batch.recorder.flat is not None


def assert_equal(one: tf.Model, other: tf.Model) -> None:
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    mine, theirs = ({**each.trainer.state_dict()["optimizer"]["slots"]} for each in (one, other))
    for name, slots in theirs.items():
        for key, value in slots.items():
            assert torch.equal(torch.as_tensor(mine[name][key]), torch.as_tensor(value)), (name, key)


def told_alike(
    make: Callable[[], tf.Model],
    between: Callable[[tf.Model, int], Any] = lambda model, index: None,
    *,
    optimizer: Callable[[], Any] = lambda: "rmsprop",
    calls: int = 2 * ENOUGH,
    **given: Any,
) -> tf.Model:
    """A model after so many calls, with `between` done before each; one that is never recorded is told the same."""
    models, told = [], []
    for recorded in (True, False):
        model, feed, figures = compiled(make(), optimizer(), recorded=recorded), batches(), []
        for index in range(calls):
            between(model, index)
            figures.append(model.train_on_batch(*next(feed), **given))
        models.append(model)
        told.append(figures)
    np.testing.assert_allclose(told[0], told[1], rtol=1e-6)
    assert_equal(*models)
    assert not is_repeated(models[1])
    return models[0]


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: "rmsprop",
        lambda: "adam",
        lambda: optimizers.SGD(0.1, momentum=0.9),
        lambda: optimizers.Adagrad(optimizers.schedules.ExponentialDecay(0.1, 3, 0.9)),
        lambda: optimizers.AdamW(0.01, clipnorm=1.0),
    ],
)
def test_calls_learn_what_they_learn_without_recording(optimizer: Callable[[], Any]) -> None:
    assert is_repeated(told_alike(network, optimizer=optimizer))


def test_random_numbers_and_statistics_are_the_same() -> None:
    assert is_repeated(told_alike(lambda: network(layers.Dropout(0.5), layers.BatchNormalization())))


def test_weights_of_samples_and_of_classes_count() -> None:
    weights = np.linspace(0.5, 1.5, 16, dtype="float32")
    assert is_repeated(told_alike(network, sample_weight=weights))
    assert is_repeated(told_alike(network, class_weight={0: 1.0, 1: 2.0, 2: 0.5}))
    assert is_repeated(told_alike(network, return_dict=False))


def test_the_module_is_called_until_its_step_is_known_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls, original = compiled(network(), recorded=True), [], Step.outputs_of

    def counted(self: Any, batch: Any) -> Any:
        calls.append(batch.size)
        return original(self, batch)

    x, y = next(batches())
    model.train_on_batch(x, y)
    monkeypatch.setattr(Step, "outputs_of", counted)
    for _ in range(3 * ENOUGH):
        model.train_on_batch(x, y)
    assert len(calls) == WAIT + 1  # some as they are, one recorded, and one to check that
    assert steps_in_pieces(model)


def test_few_calls_are_not_recorded() -> None:
    model = compiled(network(), recorded=True)
    for _ in range(WAIT):
        model.train_on_batch(*next(batches()))
    assert not is_repeated(model)


def first(model: tf.Model) -> Any:
    return model.get_layer("first")


def replaced(model: tf.Model) -> None:
    weight = first(model).weight
    first(model).weight = nn.Parameter(weight.detach() * 0.5)
    eagerly = model.run_eagerly
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.run_eagerly = eagerly


def loaded(model: tf.Model) -> None:
    """The memory of the optimizer is of other tensors afterwards."""
    stepper: Any = model.trainer.optimizer.torch_optimizer  # type: ignore[union-attr]
    state = copy.deepcopy(stepper.state_dict())
    for slots in state["state"].values():
        for name, each in slots.items():
            slots[name] = each + 0.25
    stepper.load_state_dict(state)


def halved(model: tf.Model) -> None:
    def halve(stepper: Any, args: Any, kwargs: Any) -> None:
        for each in model.parameters():
            assert each.grad is not None
            each.grad.mul_(0.5)

    model.trainer.optimizer.torch_optimizer.register_step_pre_hook(halve)  # type: ignore[union-attr]


def read(model: tf.Model) -> None:
    model.evaluate(*next(batches()), verbose=0)
    model.predict(next(batches())[0], verbose=0)
    model.test_on_batch(*next(batches()))


def saved(model: tf.Model) -> None:
    torch.save(model.state_dict(), io.BytesIO())
    model.get_weights()
    pickle.dumps(list(model.parameters()))


CHANGES: dict[str, Callable[[tf.Model], Any]] = {
    "a rate": lambda model: setattr(model.optimizer, "learning_rate", 0.05),
    "frozen": lambda model: setattr(first(model), "trainable", False),
    "numbers": lambda model: model.set_weights([each * 0.5 for each in model.get_weights()]),
    "numbers in place": lambda model: first(model).weight.data.mul_(0.5),
    "memory": lambda model: setattr(first(model).weight, "data", first(model).weight.data * 0.5),
    "a hook": lambda model: first(model).register_forward_hook(lambda module, given, found: found * 0.5),
    "a hook of a gradient": lambda model: first(model).weight.register_hook(lambda gradient: gradient * 0.5),
    "an activation": lambda model: setattr(first(model), "activation", torch.tanh),
    "no gradients": lambda model: [setattr(each, "grad", None) for each in model.parameters()],
    "a mode": lambda model: model.eval(),
    "a parameter, and compiled": replaced,
    "the memory of the optimizer": loaded,
    "clipping": lambda model: setattr(model.optimizer, "clipnorm", 0.01),
    "a hook of the optimizer": halved,
    "fitted": lambda model: model.fit(*next(batches(160)), batch_size=16, verbose=0, shuffle=False),
    "measured": read,
    "saved": saved,
    "cast there and back": lambda model: model.double().float(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_between_two_calls_is_heard_at_once(what: str) -> None:
    def change(model: tf.Model, index: int) -> None:
        if index == ENOUGH:
            assert is_repeated(model) is not bool(model.run_eagerly)
            CHANGES[what](model)

    told_alike(network, change)


def test_what_is_done_before_every_call_is_heard() -> None:
    told_alike(network, lambda model, index: CHANGES["a rate"](model))
    assert is_repeated(told_alike(network, lambda model, index: read(model)))
    assert is_repeated(told_alike(network, lambda model, index: saved(model)))
    told_alike(network, lambda model, index: setattr(first(model), "trainable", index % 2 == 0))


def test_the_last_batch_may_be_smaller() -> None:
    models = []
    for recorded in (True, False):
        model = compiled(network(), recorded=recorded)
        for index in range(3 * ENOUGH):
            model.train_on_batch(*next(batches(16 if index % 5 else 7)))
        models.append(model)
    assert is_repeated(models[0])
    assert_equal(*models)


def test_other_batches_that_keep_coming_are_recorded_in_their_place() -> None:
    models = []
    for recorded in (True, False):
        model = compiled(network(), recorded=recorded)
        for index in range(2 * ENOUGH + 4 * WAIT):
            model.train_on_batch(*next(batches(16 if index < ENOUGH else 7)))
        models.append(model)
    assert models[0].trainer is not None
    program = models[0].trainer.step.notes.by_batch.recorder.program
    assert program is not None and program.key[0] == 7
    assert_equal(*models)


def test_gradients_that_somebody_keeps_stay_as_they_are() -> None:
    kept: list[tuple[Tensor, Tensor]] = []

    def keep(model: tf.Model, index: int) -> None:
        if not model.run_eagerly and index > ENOUGH and index % 3 == 0:
            gradient = first(model).weight.grad
            gradient = gradient if index % 2 else gradient[:3]
            kept.append((gradient, gradient.clone()))

    told_alike(network, keep, calls=3 * ENOUGH)
    assert len(kept) > 3 and all(torch.equal(*each) for each in kept)


@pytest.mark.parametrize("when", [0, ENOUGH])
def test_who_sees_a_weight_sees_it_change(when: int) -> None:
    """Whether it was looked at before it lay in a piece of memory or while it does."""
    views: list[Any] = []

    def look(model: tf.Model, index: int) -> None:
        if index == when:
            views.append((model, first(model).weight.detach()))
        for seen, view in views:
            assert torch.equal(view, first(seen).weight)

    model = told_alike(network, look)
    assert steps_in_pieces(model) is (when > 0)
    model.fit(*next(batches(160)), batch_size=16, verbose=0)
    model.train_on_batch(*next(batches()))
    look(model, -1)


def test_all_is_where_it_lay_once_something_else_is_done() -> None:
    model = compiled(network(), recorded=True)
    model.train_on_batch(*next(batches()))
    stepper: Any = model.trainer.optimizer.torch_optimizer  # type: ignore[union-attr]
    before = [each.data_ptr() for each in model.parameters()]
    remembered = [next(iter(each.values())).data_ptr() for each in stepper.state.values()]
    for _ in range(ENOUGH):
        model.train_on_batch(*next(batches()))
    assert [each.data_ptr() for each in model.parameters()] != before
    model.fit(*next(batches(16)), verbose=0)
    assert [each.data_ptr() for each in model.parameters()] == before
    assert [next(iter(each.values())).data_ptr() for each in stepper.state.values()] == remembered


def test_a_model_that_is_compiled_anew_has_its_pieces_of_memory_too() -> None:
    model = compiled(network(), recorded=True)
    before = [each.data_ptr() for each in model.parameters()]
    for _ in range(2):
        for _ in range(ENOUGH):
            model.train_on_batch(*next(batches()))
        assert steps_in_pieces(model)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        assert [each.data_ptr() for each in model.parameters()] == before


def test_copies_and_files_have_the_numbers_and_go_on_by_themselves(tmp_path: Path) -> None:
    models = []
    for recorded in (True, False):
        model = compiled(network(), recorded=recorded)
        feed = batches()
        for _ in range(ENOUGH):
            model.train_on_batch(*next(feed))
        twin = copy.deepcopy(model)
        model.save(tmp_path / "model.safetensors")
        back: Any = tf.models.load_model(tmp_path / "model.safetensors")
        x, y = next(feed)
        found = [[each.train_on_batch(x, y) for _ in range(ENOUGH)] for each in (model, twin, back)]
        assert found[0] == found[1] == found[2]
        models.append(model)
    assert_equal(*models)


def test_a_batch_that_is_no_number_changes_nothing() -> None:
    model = compiled(network(layers.BatchNormalization()), recorded=True)
    for _ in range(ENOUGH):
        model.train_on_batch(*next(batches()))
    x, y = next(batches())
    x[0, 0] = np.nan
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(DataError, match="The batch: .* got the loss nan"):
        model.train_on_batch(x, y)
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert is_repeated(model)


def test_what_does_not_fit_is_told_as_at_the_first_call() -> None:
    model = compiled(network(), recorded=True)
    x, y = next(batches())
    messages = []
    for calls in (1, ENOUGH):
        for _ in range(calls):
            model.train_on_batch(x, y)
        for wrong in ((x[:, :5], y), (x, y + 3), (x, y[:4])):
            with pytest.raises(DataError) as error:
                model.train_on_batch(*wrong)
            messages.append(str(error.value))
    assert messages[:3] == messages[3:]


def test_in_a_callback_of_fit_it_is_one_step_more() -> None:
    models = []
    for recorded in (True, False):
        model = compiled(network(), recorded=recorded)
        feed = batches()
        for _ in range(ENOUGH):
            model.train_on_batch(*next(feed))

        def train(batch: int, logs: Any, model: Any = model, feed: Any = feed) -> None:
            model.train_on_batch(*next(feed))

        model.fit(
            *next(batches(320)),
            batch_size=16,
            verbose=0,
            shuffle=False,
            callbacks=[callbacks.LambdaCallback(on_train_batch_end=train)],
        )
        models.append(model)
    assert_equal(*models)


def test_models_that_share_layers_train_in_turn() -> None:
    """As a generator and its judge do."""
    found = []
    for recorded in (True, False):
        torch.manual_seed(0)
        noise = tf.Input((64,))
        maker = tf.Model(noise, layers.Dense(64, name="made")(layers.Dense(64, activation="relu")(noise)))
        seen = tf.Input((64,))
        judge = tf.Model(seen, layers.Dense(1)(layers.Dense(64, activation="relu")(seen)))
        both = tf.Model(noise, judge(maker(noise)))
        judge.compile("adam", tf.losses.BinaryCrossentropy(from_logits=True))
        judge.trainable = False
        both.compile("adam", tf.losses.BinaryCrossentropy(from_logits=True))
        judge.run_eagerly = both.run_eagerly = not recorded
        rng, told = np.random.default_rng(0), []
        for _ in range(3 * ENOUGH):
            real, drawn = rng.normal(size=(2, 16, 64)).astype("float32")
            made = maker.predict_on_batch(drawn)
            judge.trainable = True
            told.append(judge.train_on_batch(np.concatenate([real, made]), np.repeat([[1.0], [0.0]], 16, 0)))
            judge.trainable = False
            told.append(both.train_on_batch(drawn, np.ones((16, 1))))
        found.append((told, both.get_weights()))
        assert is_repeated(both) is recorded
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_trainer_that_is_gone_leaves_no_memory() -> None:
    def ours() -> int:
        gc.collect()
        return sum(
            type(each).__name__ in ("ByBatch", "Recorder", "FlatOptimizer") for each in gc.get_objects()
        )

    before = ours()
    model = compiled(network(), recorded=True)
    for _ in range(ENOUGH):
        model.train_on_batch(*next(batches()))
    assert ours() > before
    del model
    assert ours() == before


@pytest.mark.parametrize("mode", ["eval", "train", "some"])
def test_a_model_in_inference_mode_is_repeated_too_and_stays_so(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def between(model: tf.Model, index: int) -> None:
        model.train(mode != "eval")
        if mode == "some":
            model.get_layer("first").eval()
        if index == ENOUGH:
            model.get_layer("first").activation = torch.tanh

    def make() -> tf.Model:
        return network(layers.BatchNormalization(), layers.Dropout(0.5))

    model = told_alike(make, between, calls=4 * ENOUGH)
    between(model, 0)
    modes = [each.training for each in model.modules()]
    prepared: list[Any] = []
    prepare = Step.prepare
    monkeypatch.setattr(Step, "prepare", lambda self, data: prepared.append(data) or prepare(self, data))
    model.train_on_batch(*next(batches()))
    assert not prepared and modes == [each.training for each in model.modules()]


@pytest.mark.parametrize("calls", [0, 1, ENOUGH])
def test_arguments_that_do_not_exist_are_told_of_by_the_name_of_the_method(calls: int) -> None:
    model = compiled(network(), recorded=True)
    x, y = next(batches())
    for _ in range(calls):
        model.train_on_batch(x, y)
    for arguments, named in (((x, y), {"mask": 1}), ((), {}), ((x, y, None, None, False, 1), {})):
        for trained in (model.train_on_batch, model.trainer.train_on_batch):
            with pytest.raises(TypeError, match=r"^Trainer.train_on_batch\(\) "):
                trained(*arguments, **named)
