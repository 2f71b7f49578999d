"""FLOPs and memory a layer are those of the formulas, and counting leaves nothing behind."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tests.vis import examples
from tests.vis.examples import summary_of
from torchfunc import Input, Model, layers
from torchfunc.errors import GraphError, ShapeError
from torchfunc.vis.facts import modules_of
from torchfunc.vis.flops import Costs, costs_of
from torchfunc.vis.summary import scaled


def costs(model: Any, input_size: Any = None) -> Costs:
    return costs_of(model.graph, modules_of(model), input_size)


def by_layer(model: Any, input_size: Any = None) -> dict[str, int]:
    rows = summary_of(model, show_flops=True, input_size=input_size, expand_nested=True).rows
    return {row.name: row.cost.flops for row in rows}


def test_a_dense_layer_and_a_convolution_cost_what_the_formula_says() -> None:
    assert by_layer(examples.mlp(), (8, 784)) == {
        "img": 0, "dense": 2 * 8 * 784 * 64, "dense_1": 2 * 8 * 64 * 64, "dense_2": 2 * 8 * 64 * 10,
    }  # fmt: skip
    found = by_layer(examples.toy_resnet())
    assert found["conv2d_1"] == 2 * (28 * 28 * 64) * (3 * 3 * 32) and found["add"] == 0
    assert sum(found.values()) == costs(examples.toy_resnet()).total.flops


@pytest.mark.parametrize("make", [examples.toy_resnet, examples.nested_autoencoder, examples.mlp])
def test_the_total_is_what_pytorch_counts_when_the_model_runs(make: Any) -> None:
    model = make()
    size = (2, *model.input_shape[1:])
    with FlopCounterMode(display=False) as counter:
        model(torch.rand(size))
    assert costs(model, size).total.flops == counter.get_total_flops() > 0


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_a_recurrent_kernel_costs_its_two_products_at_every_step(kind: str, gates: int) -> None:
    expected = 2 * 3 * 10 * gates * 5 * (8 + 5)
    x = Input(shape=(10, 8), name="x")
    ours = Model(x, getattr(layers, kind)(5)(x), name="m")
    native = Model(x, getattr(nn, kind)(8, 5, batch_first=True)(x)[0], name="m")
    assert costs(ours, (3, 10, 8)).total.flops == costs(native, (3, 10, 8)).total.flops == expected


def test_a_recurrent_cell_of_any_kind_costs_its_products_at_every_step() -> None:
    x = Input(shape=(10, 8), name="x")
    expected = 2 * 10 * 3 * 5 * (8 + 5)
    unfused = layers.GRU(5, activation="relu")
    assert costs(Model(x, unfused(x), name="m")).total.flops == expected
    assert costs(Model(x, layers.Bidirectional(layers.GRU(5))(x), name="m")).total.flops == 2 * expected
    every = layers.TimeDistributed(layers.Dense(4))
    assert costs(Model(x, every(x), name="m")).total.flops == 2 * 10 * 8 * 4


def test_attention_costs_its_projections_and_two_products() -> None:
    x = Input(shape=(10, 8), name="x")
    expected = 4 * 2 * 10 * 8 * 8 + 2 * 2 * 10 * 10 * 8
    attended = nn.MultiheadAttention(8, 2, batch_first=True).requires_grad_(False)
    assert costs(Model(x, attended(x, x, x)[0], name="m").eval()).total.flops == expected
    assert costs(Model(x, layers.MultiHeadAttention(2, 4)(x, x), name="m")).total.flops == expected


def test_a_layer_or_model_that_is_called_twice_costs_twice() -> None:
    inner = Input(shape=(4,), name="inner")
    block = Model(inner, layers.Dense(4, name="within")(inner), name="block")
    x = Input(shape=(4,), name="x")
    model = Model(x, block(block(x)), name="m")
    assert by_layer(model) == {"x": 0, "block": 64, "inner": 0, "within": 64}
    assert costs(model).total.flops == 64 and costs(model).total.memory == 2 * 4 * 4


def test_memory_is_the_bytes_of_what_a_layer_returns() -> None:
    x = Input(shape=(4,), name="x")
    rows = summary_of(Model(x, layers.Dense(6)(x), name="m"), show_flops=True, input_size=(5, 4)).rows
    assert rows[1].cost is not None and rows[1].cost.memory == 5 * 6 * 4
    assert "120 B of what layers return, 120 B of weights" in str(
        summary_of(Model(x, layers.Dense(6)(x), name="m"), show_flops=True, input_size=(5, 4))
    )


def test_counting_changes_nothing_and_computes_nothing() -> None:
    x = Input(shape=(8, 8, 3), name="x")
    y = layers.Dropout(0.5)(layers.BatchNormalization()(layers.Conv2D(4, 3)(x)))
    model = Model(x, nn.BatchNorm2d(6)(y), name="m").train()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    random = torch.get_rng_state()
    assert costs(model, (10**6, 8, 8, 3)).total.flops == 10**6 * 2 * 6 * 6 * 4 * 27
    assert torch.equal(torch.get_rng_state(), random) and model.training
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_several_inputs_take_a_list_or_a_dict_of_sizes() -> None:
    model = examples.tickets()
    sizes = {"title": (1, 10), "body": (1, 20), "tags": (1, 12)}
    assert costs(model, sizes).total == costs(model, list(sizes.values())).total


def test_a_size_that_is_unknown_or_does_not_fit_is_told_with_the_way_out() -> None:
    words = r"expected a number for each size but the batch, got \(None, None\) for 'title'. Fix: input_size=\(1, 32\)"
    with pytest.raises(ShapeError, match=words):
        costs(examples.tickets())
    with pytest.raises(
        ShapeError, match=r"expected the shape \(None, 784\) of the input 'img'.*got \(1, 5\)"
    ):
        costs(examples.mlp(), (1, 5))
    with pytest.raises(
        ShapeError, match=r"expected one for each of \['title', 'body', 'tags'\], got 1 shapes"
    ):
        costs(examples.tickets(), (1, 784))


def test_a_layer_that_looks_at_numbers_is_named() -> None:
    class Peeks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    x = Input(shape=(4,), name="x")
    model = Model(x, Peeks()(x), name="m")
    with pytest.raises(GraphError, match="The FLOPs of 'peeks' cannot be counted by shapes alone"):
        costs(model)


def test_a_summary_shows_flops_where_asked_for_and_is_as_before_otherwise() -> None:
    said: list[str] = []
    model = examples.toy_resnet()
    model.summary(print_fn=said.append)
    model.summary(print_fn=said.append, show_flops=True, input_size=(1, 32, 32, 3))
    plain, counted = said
    assert plain.rstrip() == (examples.GOLDEN / "summary_toy_resnet.txt").read_text(encoding="utf-8").rstrip()
    assert "FLOPs" not in plain and "FLOPs: 57,995,008 for an input of (1, 32, 32, 3)" in counted
    line = next(line for line in counted.split("\n") if line.startswith("conv2d_1 "))
    assert line.split()[-4:] == ["28.9", "M", "196.0", "KB"]


def test_a_model_without_a_graph_has_no_flops() -> None:
    class Mine(Model):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(GraphError, match="has no graph, so it has no FLOPs"):
        Mine(name="mine").summary(show_flops=True)


def test_numbers_are_written_as_a_person_reads_them() -> None:
    written = [scaled(each, 1000) for each in (0, 999, 1000, 57_995_008, 8_178_368_512, 10**15)]
    assert written == ["0", "999", "1.0 K", "58.0 M", "8.2 G", "1.0 P"]
    assert [scaled(each, 1024, "B") for each in (0, 1023, 1024, 475_944)] == [
        "0 B",
        "1023 B",
        "1.0 KB",
        "464.8 KB",
    ]


def test_rich_draws_the_table_where_it_is_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    model = examples.mlp()
    model.summary(style="rich", show_flops=True)
    drawn = capsys.readouterr().out
    assert "│ dense_1 (Dense)" in drawn and "Total params: 55,050" in drawn and "━" in drawn
    monkeypatch.setitem(sys.modules, "rich.console", None)
    model.summary(style="rich")
    assert capsys.readouterr().out.startswith('Model: "mnist_model"\n____')
