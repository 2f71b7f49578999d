"""What each of two processes shows, writes and hears of the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from tests.distributed import of_each_rank
from tests.distributed.equal_to_one import mlp
from tests.distributed.of_each_rank import X, Y
from tests.distributed.spawned import done, run

Both = Callable[[Any], list[Any]]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run(of_each_rank.ALL, str(tmp_path_factory.mktemp("ranks")))


@pytest.fixture
def both(ranks: list[dict[str, Any]]) -> Both:
    """What the two ranks have returned for a check."""

    def found(check: Any) -> list[Any]:
        values = [rank[check.__name__][0] for rank in ranks]
        for each in values:
            assert not (isinstance(each, str) and each.startswith("Traceback")), each
        return values

    return found


def test_the_first_rank_alone_draws_and_says_who_trains(ranks: list[dict[str, Any]]) -> None:
    first, second = (rank["what_is_shown"][1] for rank in ranks)
    assert first.startswith("2 processes train together (gloo), seeded alike\nEpoch 1/2\n3/3 [=====")
    assert second == ""


@pytest.mark.parametrize(
    "check", [of_each_rank.seeds_of_their_own, of_each_rank.nobody_has_seeded], ids=["own", "none"]
)
def test_ranks_are_seeded_alike_unless_the_user_has_seeded_them(
    check: Any, both: Both, ranks: list[dict[str, Any]]
) -> None:
    (weights, drawn), (same, others) = both(check)
    for one, other in zip(weights, same, strict=True):
        np.testing.assert_array_equal(one, other)
    line = ranks[0][check.__name__][1].splitlines()[0]
    if check is of_each_rank.nobody_has_seeded:
        assert drawn == others and line == "2 processes train together (gloo), seeded alike"
    else:
        assert drawn != others
        assert line.endswith("(gloo), each with a seed of its own; weights and orders are those of rank 0")


def test_a_rank_may_have_callbacks_that_others_have_not_and_one_that_stops_stops_all(both: Both) -> None:
    first, second = both(of_each_rank.callbacks_of_one_rank_alone)
    assert first == (1, 2, 2 + 5, True)
    assert second == (1, 2, 2, True)


def test_where_the_time_of_one_rank_is_over_all_stop_at_its_batch_and_know_it(both: Both) -> None:
    assert both(of_each_rank.the_clock_of_one_rank) == [(0, 1, 1), (0, 1, 1)]


def test_files_are_written_once_and_are_there_for_all(both: Both) -> None:
    files = ["1.safetensors", "2.safetensors"]
    assert both(of_each_rank.early_stopping_and_files) == [(2, 2, files, 3), (2, 0, files, 3)]


def test_the_first_rank_alone_writes_posts_and_says_what_callbacks_do_and_those_of_the_user_run_on_each(
    both: Both, ranks: list[dict[str, Any]]
) -> None:
    (posts, told, files, events, history), (none, heard, others, other_events, same) = both(
        of_each_rank.what_is_written_and_posted
    )
    # an epoch has 3 batches, of which each second is told
    assert posts == ["open", *["figures", "remote", "figures"] * 2, "close"] and none == []
    assert (files, events) == (["log-0.csv", "once-0"], [True]) and (others, other_events) == ([], [False])
    assert told == heard == [0, 1] and history == same
    lines = ["Epoch 1: learning rate 0.1", "Epoch 2: early stopping"]
    first, second = (rank["what_is_written_and_posted"][1] for rank in ranks)
    assert second == "" and [first.splitlines()[0], first.splitlines()[-1]] == lines


def test_histograms_of_weights_in_shards_are_refused(both: Both) -> None:
    told, other = both(of_each_rank.histograms_of_shards)
    assert told == (
        "TorchfuncError: TensorBoard: got weights in shards, of which this process has its own alone. "
        "Fix: histogram_freq=0 and embeddings_freq=0, or distribute='ddp'."
    )
    assert other == f"RankError: Rank 0 failed: {told}"


def test_a_sampler_of_the_user_hears_of_epochs_and_what_it_repeats_does_not_count(both: Both) -> None:
    for epochs, measured, predicted, alone, predicted_alone in both(of_each_rank.a_sampler_of_the_user):
        assert epochs == [0, 1, 2]
        np.testing.assert_allclose(measured, alone, rtol=1e-6)
        np.testing.assert_allclose(predicted, predicted_alone, atol=1e-6)


@pytest.mark.parametrize(
    "streams", [of_each_rank.streams_of_different_lengths, of_each_rank.streams_with_workers]
)
def test_a_stream_that_ends_early_waits_for_the_longer_one(both: Both, streams: Any) -> None:
    (steps, weights), (others, equal) = both(streams)
    assert steps == others == 8
    for one, other in zip(weights, equal, strict=True):
        np.testing.assert_array_equal(one, other)
    torch.manual_seed(0)
    model = of_each_rank.compiled()
    joined = [[*range(at, at + 4)] * (1 + (at < 8)) for at in range(0, 16, 4)]
    model.fit([(X[rows], Y[rows]) for rows in joined], epochs=2, verbose=0)
    for one, other in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_sums_of_metrics_are_added_up_and_it_is_said_of_which_they_cannot(both: Both) -> None:
    torch.manual_seed(0)
    model = mlp()
    model.compile(
        loss="categorical_crossentropy", metrics=[tf.metrics.AUC(), tf.metrics.F1Score(), "accuracy"]
    )
    expected = model.evaluate(X[:37], np.eye(3)[Y[:37]], verbose=0, return_dict=True)
    for keras, share, counting, told in both(of_each_rank.metrics_of_others):
        for name, value in expected.items():
            np.testing.assert_allclose(keras[name], value, rtol=1e-6)
        assert share == pytest.approx(expected["accuracy"])
        assert counting == 18.5
        assert told == [
            "Metric 'counting': got sums that it keeps to itself. They cannot be added up over processes, and the mean of "
            "their figures is logged. Fix: a torchfunc.metrics.Metric that calls self.add, or a metric of torchmetrics."
        ]


@pytest.mark.parametrize(
    "check", [of_each_rank.sums_of_accumulated_gradients, of_each_rank.sums_of_accumulated_gradients_in_shards],
    ids=["ddp", "fsdp"],
)  # fmt: skip
def test_gradients_that_wait_are_summed_over_the_ranks_once_a_step(check: Any, both: Both) -> None:
    for (sums, steps), (each, batches) in both(check):
        assert sums == steps - 1 == 4
        assert each % (batches - 1) == 0 and batches - 1 == 10


def test_gradients_that_wait_are_refused_for_a_module_that_the_user_wrapped(both: Both) -> None:
    for told in both(of_each_rank.accumulation_of_a_module_that_the_user_wrapped):
        assert told.startswith(
            "gradient_accumulation_steps: got a DistributedDataParallel that was wrapped for several processes by hand. "
            "Whoever wrapped it averages the gradients of each batch. Fix: compile the module itself"
        )


def test_gradients_of_a_step_of_the_users_are_averaged_over_the_samples(both: Both) -> None:
    (alone, _), _ = done(of_each_rank.step_of_the_users_own)
    for weights, epochs in both(of_each_rank.step_of_the_users_own):
        assert epochs == 2
        for one, other in zip(weights, alone, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_module_that_the_user_wrapped_trains_on_the_data_that_he_shared_out(both: Both) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3))
    trainer = tf.Trainer(
        module, optimizer=torch.optim.SGD(module.parameters(), 0.1), loss=nn.CrossEntropyLoss()
    )
    rows = [[*range(at, at + 20)] for at in (0, 20)]
    history = trainer.fit([(X[each], Y[each]) for each in rows], epochs=2, verbose=0)
    for figures, weights, predicted in both(of_each_rank.a_module_that_the_user_wrapped):
        np.testing.assert_allclose(figures["loss"], history.history["loss"], rtol=1e-6)
        for one, other in zip(weights, module.parameters(), strict=True):
            np.testing.assert_allclose(one, other.detach(), atol=1e-6)
        np.testing.assert_allclose(predicted, trainer.predict(X, verbose=0), atol=1e-6)


def test_accelerate_trains_a_model_as_it_does_without_us(both: Both) -> None:
    torch.manual_seed(0)
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for at in (0, 20):
        optimizer.zero_grad()
        x, y = torch.as_tensor(X[at : at + 20]), torch.as_tensor(Y[at : at + 20])
        tf.losses.SparseCategoricalCrossentropy()(y, model(x)).backward()
        optimizer.step()
    for weights in both(of_each_rank.as_guest_of_accelerate):
        for one, other in zip(weights, model.parameters(), strict=True):
            np.testing.assert_allclose(one, other.detach(), atol=1e-6)


def test_each_process_may_train_by_itself(both: Both) -> None:
    assert both(of_each_rank.each_by_itself) == [1, 2]


def test_batches_by_hand_are_one_joined_batch(both: Both) -> None:
    torch.manual_seed(0)
    model = of_each_rank.compiled()
    loss = model.train_on_batch(X[:10], Y[:10])
    for rank, (found, weights, shape) in enumerate(both(of_each_rank.batches_by_hand)):
        np.testing.assert_allclose(found, loss, rtol=1e-6)
        for one, other in zip(weights, model.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
        assert shape == (6 - 2 * rank, 3)


def test_a_loss_that_is_no_number_on_one_rank_ends_both(both: Both) -> None:
    assert both(of_each_rank.a_loss_that_is_no_number) == [(2, True), (2, True)]


def test_a_write_that_fails_on_the_first_rank_fails_on_all_and_they_can_go_on(both: Both) -> None:
    (told, measured), (other, same) = both(of_each_rank.a_write_that_fails)
    assert told == "OSError: no space left on device"
    assert other == "RankError: Rank 0 failed: OSError: no space left on device"
    assert measured == same


@pytest.mark.parametrize(
    "check, told",
    [
        (of_each_rank.data_that_fail_on_one_rank, "ValueError: the file is damaged"),
        (of_each_rank.a_forward_that_fails_on_one_rank, "ArithmeticError: a layer broke"),
    ],
    ids=["data", "forward"],
)
def test_an_error_on_one_rank_is_told_by_the_other(both: Both, check: Any, told: str) -> None:
    assert both(check) == [f"RankError: Rank 1 failed: {told}", told]
