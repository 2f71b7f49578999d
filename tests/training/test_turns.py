"""Turns: what several threads do with one model at once is what each would have got alone, or an error that says why not."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

import torchfunc as tf
from torchfunc import layers, turns
from torchfunc.callbacks import LambdaCallback
from torchfunc.errors import TorchfuncError

X = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
Y = np.arange(64) % 3
THREADS = 8


def made() -> Any:
    torch.manual_seed(0)
    inputs = tf.Input((8,))
    hidden = layers.Dropout(0.5)(layers.BatchNormalization()(layers.Dense(16)(inputs)))
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(hidden))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, verbose=0)
    return model


def in_threads(work: Callable[[int], Any]) -> list[Any]:
    start = threading.Barrier(THREADS)

    def begun(index: int) -> Any:
        start.wait()
        return work(index)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begun, range(THREADS)))


VERBS: dict[str, Callable[[Any], Any]] = {
    "predict": lambda model: model.predict(X, verbose=0).tolist(),
    "evaluate": lambda model: model.evaluate(X, Y, verbose=0),
    "predict_on_batch": lambda model: model.predict_on_batch(X).tolist(),
    "test_on_batch": lambda model: model.test_on_batch(X, Y),
}


@pytest.mark.parametrize("verbs", [[each] for each in VERBS] + [[*VERBS]], ids="+".join)
def test_results_of_eight_threads_are_never_mixed(verbs: list[str]) -> None:
    model = made()
    before = copy.deepcopy(model.state_dict())
    expected = {verb: VERBS[verb](model) for verb in verbs}

    def mixed(index: int) -> int:
        mine = [verbs[(index + turn) % len(verbs)] for turn in range(12)]
        return sum(VERBS[verb](model) != expected[verb] for verb in mine)

    assert in_threads(mixed) == [0] * THREADS
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert model.training


def test_an_uncompiled_model_and_models_that_share_layers_take_turns_too() -> None:
    whole = made()
    part = tf.Model(whole.input, whole.layers[-2].output)
    alone = part.predict(X, verbose=0)
    expected = whole.predict(X, verbose=0)

    def mixed(index: int) -> bool:
        model, right = ((whole, expected), (part, alone))[index % 2]
        return any(not np.array_equal(model.predict(X, verbose=0), right) for _ in range(10))

    assert not any(in_threads(mixed))


def test_batches_learned_from_in_eight_threads_are_learned_one_after_the_other() -> None:
    ours, theirs = (tf.Sequential([tf.Input((8,)), layers.Dense(1)]) for _ in range(2))
    theirs.set_weights(ours.get_weights())
    for each in (ours, theirs):
        each.compile(tf.optimizers.Adam(0.01), "mse")

    in_threads(lambda index: [ours.train_on_batch(X, Y) for _ in range(5)])
    for _ in range(5 * THREADS):
        theirs.train_on_batch(X, Y)

    assert all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True))


def test_beside_a_fit_nothing_is_done_and_that_is_told_while_its_own_callbacks_may() -> None:
    model, told, measured = made(), [], []

    def beside() -> None:
        for verb in (*VERBS.values(), lambda model: model.fit(X, Y, verbose=0)):
            with pytest.raises(TorchfuncError) as error:
                verb(model)
            told.append(str(error.value))

    def from_a_callback(epoch: int, logs: Any) -> None:
        measured.append(model.evaluate(X, Y, verbose=0))
        thread = threading.Thread(target=beside)
        thread.start()
        thread.join()

    model.fit(X, Y, verbose=0, callbacks=[LambdaCallback(on_epoch_end=from_a_callback)])

    assert len(measured) == 1 and len(told) == 5
    assert told[0] == (
        "predict of Functional: got a call while fit is under way in the thread 'MainThread'. Both set the mode of its "
        "layers, and the results would be mixed. Fix: call it after that, or with a copy: copy.deepcopy(model)."
    )
    assert model.evaluate(X, Y, verbose=0) == measured[0]  # and afterwards all may


def test_the_way_out_is_a_copy() -> None:
    model, found = made(), []
    expected = model.predict(X, verbose=0)
    twin = copy.deepcopy(model)

    def from_a_callback(epoch: int, logs: Any) -> None:
        thread = threading.Thread(target=lambda: found.append(twin.predict(X, verbose=0)))
        thread.start()
        thread.join()

    model.fit(X, Y, verbose=0, callbacks=[LambdaCallback(on_epoch_end=from_a_callback)])

    assert np.array_equal(found[0], expected)


def test_who_holds_one_model_does_not_wait_for_another_that_is_held() -> None:
    one, other = made(), made()
    meet = threading.Barrier(2)

    def crossing(index: int) -> str:
        mine, others = ((one, other), (other, one))[index]

        def second(batch: int, logs: Any) -> None:
            if batch == 0:
                meet.wait()
                others.predict(X, verbose=0)

        try:
            mine.predict(X, verbose=0, callbacks=[LambdaCallback(on_predict_batch_end=second)])
        except TorchfuncError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(crossing, range(2)))

    assert any("while predict is under way" in each for each in told)


def test_measuring_predicting_fitting_and_building_at_once_are_never_mixed() -> None:
    model = made()
    expected = {verb: VERBS[verb](model) for verb in ("predict", "evaluate")}
    fitted = tf.Sequential(
        [tf.Input((8,)), layers.BatchNormalization(), layers.Dense(3, activation="softmax")]
    )
    fitted.compile("adam", "sparse_categorical_crossentropy")

    def fit(one: Any) -> list[Any]:
        return [
            one.fit(X, Y, shuffle=False, verbose=0).history,
            [each.tolist() for each in one.get_weights()],
        ]

    def built() -> str:
        inputs = tf.Input((4,))
        return str(
            tf.Model(inputs, layers.Dense(3)(layers.Dense(4, activation="relu")(inputs) + inputs)).code
        )

    own = [copy.deepcopy(fitted) for _ in range(THREADS)]
    right, code = [fit(fitted) for _ in range(6)], built()
    counts = [0] * THREADS

    def mixed(index: int) -> int:
        wrong = 0
        for turn in range(6):
            wrong += sum(VERBS[verb](model) != expected[verb] for verb in expected)
            wrong += (fit(own[index]) != right[turn]) + (built() != code)
            counts[index] += 4
        return wrong

    assert in_threads(mixed) == [0] * THREADS
    assert counts == [24] * THREADS


def test_data_that_predict_with_the_model_may_do_so_in_the_same_thread() -> None:
    model = made()
    expected = model.predict(X, verbose=0)
    seen: list[Any] = []

    def data() -> Iterator[Any]:
        for _ in range(2):
            seen.append(np.array_equal(model.predict(X, verbose=0), expected))
            yield X, Y

    assert model.evaluate(data(), verbose=0) == pytest.approx(model.evaluate(X, Y, batch_size=64, verbose=0))
    assert seen == [True, True]


def test_who_waits_long_is_told_for_what_and_the_way_out_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    model, told = made(), []
    twin = copy.deepcopy(model)

    def data(one: Any) -> Iterator[Any]:
        """What waits for a thread that predicts."""
        with ThreadPoolExecutor(1) as pool:
            try:
                pool.submit(one.predict, X, verbose=0).result()
            except UserWarning as warning:  # an error here, so that this ends
                told.append(str(warning))
            yield X, Y

    model.evaluate(data(model), verbose=0)
    model.evaluate(data(twin), verbose=0)

    assert told == [
        "predict of Functional: got no turn for 0 seconds, in which evaluate was under way in the thread 'MainThread'. "
        "If that waits for this thread, as for its data, both wait forever. "
        "Fix: use a copy in one of them: copy.deepcopy(model)."
    ]


def test_eight_threads_build_eight_graphs() -> None:
    def built(index: int) -> str:
        found = ""
        for _ in range(5):
            inputs = tf.Input((4,))
            x = inputs
            for _ in range(index + 1):
                x = layers.Dense(3, activation="relu")(x) if x.shape[1] == 4 else layers.Dense(3)(x) + x
            found = tf.Model(inputs, x).code
        return found

    assert in_threads(built) == [built(index) for index in range(THREADS)]
