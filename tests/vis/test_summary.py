"""The summary is the guide's table; its columns add up, and a shared weight counts once."""

from __future__ import annotations

import math
import textwrap

import keras
import pytest
import torch
from torch import nn

from tests.vis import examples
from tests.vis.examples import summary_of
from torchfunc import Input, Model, layers
from torchfunc.errors import TorchfuncError, UnknownNameError
from torchfunc.graph.graph import Call, Graph, Ref
from torchfunc.graph.spec import Spec
from torchfunc.vis.summary import summarize, summarize_module

GUIDE_MLP = """
    Model: "mnist_model"
    _________________________________________________________________
    Layer (type)                 Output Shape              Param #
    =================================================================
    img (InputLayer)             [(None, 784)]             0
    _________________________________________________________________
    dense (Dense)                (None, 64)                50240
    _________________________________________________________________
    dense_1 (Dense)              (None, 64)                4160
    _________________________________________________________________
    dense_2 (Dense)              (None, 10)                650
    =================================================================
    Total params: 55,050
    Trainable params: 55,050
    Non-trainable params: 0
    _________________________________________________________________
"""

GUIDE_NESTED = """
    Model: "autoencoder"
    _________________________________________________________________
    Layer (type)                 Output Shape              Param #
    =================================================================
    img (InputLayer)             [(None, 28, 28, 1)]       0
    _________________________________________________________________
    encoder (Functional)         (None, 16)                18672
    _________________________________________________________________
    decoder (Functional)         (None, 28, 28, 1)         9569
    =================================================================
    Total params: 28,241
    Trainable params: 28,241
    Non-trainable params: 0
    _________________________________________________________________
"""


@pytest.mark.parametrize("name", [name for name in examples.GOLDEN_TEXTS if name.startswith("summary")])
def test_a_summary_is_the_golden_text(name: str) -> None:
    expected = (examples.GOLDEN / name).read_text(encoding="utf-8")
    assert examples.golden_text(name) == expected


def test_where_the_guide_cuts_no_name_the_table_is_the_guides_line_for_line() -> None:
    assert str(summary_of(examples.mlp())) == textwrap.dedent(GUIDE_MLP).strip()
    assert str(summary_of(examples.nested_autoencoder())) == textwrap.dedent(GUIDE_NESTED).strip()


@pytest.mark.parametrize(
    ("build", "total"),
    [
        (examples.mlp, 55_050),
        (examples.encoder, 18_672),
        (examples.autoencoder, 28_241),
        (examples.nested_autoencoder, 28_241),
        (examples.toy_resnet, 223_242),
    ],
)
def test_the_guides_models_weigh_what_the_guide_says(build, total: int) -> None:
    found = summary_of(build())
    assert (found.total_params, found.trainable_params, found.non_trainable_params) == (total, total, 0)
    assert sum(row.params for row in found.rows) == total


@pytest.mark.parametrize(
    "build", [examples.mlp, examples.toy_resnet, examples.nested_autoencoder, examples.tickets]
)
@pytest.mark.parametrize(
    "options", [{}, {"expand_nested": True}, {"show_trainable": True}, {"line_length": 72}]
)
def test_no_line_ends_in_a_space_or_is_longer_than_the_rule(build, options) -> None:
    lines = str(summary_of(build(), **options)).split("\n")
    assert all(line == line.rstrip() and len(line) <= len(lines[1]) for line in lines)


def test_a_chain_has_65_columns_and_another_graph_98_with_connected_to() -> None:
    assert len(str(summary_of(examples.mlp())).split("\n")[1]) == 65
    x = Input(shape=(4,), name="x")
    table = summary_of(Model(x, layers.add([layers.Dense(4)(x), x]), name="m"))
    assert len(str(table).split("\n")[1]) == 98
    assert table.rows[-1].connected_to == ("dense[0][0]", "x[0][0]")


def test_the_table_grows_rather_than_cutting_a_name() -> None:
    text = str(summary_of(examples.toy_resnet()))
    assert "global_average_pooling2d (GlobalAveragePooling2D) (None, 64)" in text


def test_a_very_long_name_goes_on_in_the_next_line() -> None:
    x = Input(shape=(4,), name="x")
    name = "layer_" + "x" * 100
    text = str(summary_of(Model(x, layers.Dense(4, name=name)(x), name="m")))
    assert max(map(len, text.split("\n"))) == 64 + 1 + 26 + 10
    parts = [line.split(" ")[0] for line in text.split("\n")]
    assert name in "".join(parts)


def test_in_a_given_width_nothing_is_lost() -> None:
    text = str(summary_of(examples.toy_resnet(), line_length=80))
    assert {len(line) for line in text.split("\n") if set(line) <= {"_", "="}} == {80}
    first_column = "".join(line[:26].strip() for line in text.split("\n"))
    assert "global_average_pooling2d(GlobalAveragePooling2D)" in first_column


def test_positions_are_fractions_of_the_width_or_characters() -> None:
    fractions = str(summary_of(examples.mlp(), line_length=100, positions=[0.5, 0.8, 1.0]))
    assert fractions == str(summary_of(examples.mlp(), positions=[50, 80, 100]))
    assert fractions.split("\n")[2] == "Layer (type)".ljust(50) + "Output Shape".ljust(30) + "Param #"


def test_positions_must_be_one_for_each_column() -> None:
    with pytest.raises(
        TorchfuncError, match=r"summary: expected 3 positions, one for each column, got positions="
    ):
        summary_of(examples.mlp(), positions=[0.5, 1.0])


def test_a_width_without_room_for_the_columns_is_an_error() -> None:
    with pytest.raises(
        TorchfuncError, match=r"expected at least 4 in each, got columns of \[4, 4, 2\] characters"
    ):
        summary_of(examples.mlp(), line_length=10)


def test_a_shared_layer_is_one_row_with_all_its_connections_and_its_weights_count_once() -> None:
    shared = layers.Embedding(1000, 128)
    a, b = Input(shape=(None,), dtype="int32", name="a"), Input(shape=(7,), dtype="int32", name="b")
    found = summary_of(Model([a, b], [shared(a), shared(b)], name="m"))
    assert found.total_params == 128_000
    (row,) = [row for row in found.rows if row.name == "embedding"]
    assert row.connected_to == ("a[0][0]", "b[0][0]")
    assert row.shapes == ("(None, None, 128)", "(None, 7, 128)")


def test_the_second_call_of_a_shared_layer_is_call_1() -> None:
    x = Input(shape=(4,), name="x")
    dense = layers.Dense(4)
    found = summary_of(Model(x, layers.Dense(2)(dense(dense(x))), name="m"))
    assert [row.connected_to for row in found.rows] == [(), ("x[0][0]", "dense[0][0]"), ("dense[1][0]",)]


def test_a_weight_that_two_layers_share_counts_in_the_first_row_only() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    x = Input(shape=(4,), name="x")
    found = summary_of(Model(x, second(first(x)), name="m"))
    assert [row.params for row in found.rows] == [0, 20, 4]
    assert found.total_params == 24 == sum(row.params for row in found.rows)
    assert "4 + shared" in str(found)


def test_layers_hidden_by_layer_range_still_count() -> None:
    found = summary_of(examples.mlp(), layer_range=["dense_1", "dense_1"])
    assert [row.name for row in found.rows] == ["dense_1"]
    assert found.total_params == 55_050
    found = summary_of(examples.mlp(), layer_range=["dense.*", "dense_2"])
    assert [row.name for row in found.rows] == ["dense", "dense_1", "dense_2"]


def test_layer_range_suggests_the_name_that_was_meant() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown layer 'denze_1'. Did you mean 'dense_1'\?"):
        summary_of(examples.mlp(), layer_range=["denze_1", "dense_2"])
    with pytest.raises(TorchfuncError, match="expected two names of layers, got layer_range="):
        summary_of(examples.mlp(), layer_range=["dense_1"])


def test_counts_are_keras_counts_with_moving_statistics_as_not_trained() -> None:
    def build(api):
        x = api.Input(shape=(6,))
        y = api.layers.BatchNormalization()(api.layers.Dense(5)(x))
        frozen = api.layers.Dense(3, trainable=False)
        return api.Model(x, frozen(y))

    twin = build(keras)
    import torchfunc

    found = summary_of(build(torchfunc))
    assert found.total_params == twin.count_params()
    assert found.trainable_params == sum(math.prod(weight.shape) for weight in twin.trainable_weights)
    assert [row.trained for row in found.rows] == ["-", "Y", "Y", "N"]


def test_the_batches_that_torch_tracks_and_buffers_that_are_not_saved_are_no_params() -> None:
    module = nn.BatchNorm1d(3)
    module.register_buffer("mask", torch.ones(5), persistent=False)
    x = Input(shape=(3,), name="x")
    found = summary_of(Model(x, module(x), name="m"))
    assert (found.trainable_params, found.non_trainable_params) == (6, 6)


def test_functions_methods_operators_and_own_parameters_are_rows() -> None:
    scale = nn.Parameter(torch.ones(4))
    x = Input(shape=(4,), name="x")
    y = torch.cat([(x * scale).relu(), -x], dim=1)[:, 0]
    found = summary_of(Model(x, y, name="m"))
    shown = {row.name: (row.type, row.connected_to) for row in found.rows}
    assert shown == {
        "x": ("InputLayer", ()),
        "parameter": ("Parameter", ()),
        "mul": ("operator *", ("x[0][0]", "parameter")),
        "relu": ("Tensor.relu", ("mul[0][0]",)),
        "neg": ("operator -", ("x[0][0]",)),
        "cat": ("torch.cat", ("relu[0][0]", "neg[0][0]")),
        "getitem": ("operator []", ("cat[0][0]",)),
    }
    assert found.total_params == 4 == sum(row.params for row in found.rows)


def test_a_size_is_no_row_and_unknown_sizes_are_none() -> None:
    x = Input(shape=(None, 4), name="x")
    found = summary_of(Model(x, x.reshape(x.shape[0], -1, 2), name="m"))
    assert [(row.name, row.shapes) for row in found.rows] == [
        ("x", ("[(None, None, 4)]",)),
        ("reshape", ("(None, None, 2)",)),
    ]
    assert found.rows[1].connected_to == ("x[0][0]",)


def test_several_outputs_are_shown_one_below_the_other() -> None:
    x = Input(shape=(5, 3), name="x")
    found = summary_of(Model(x, layers.Dense(2)(nn.LSTM(3, 8, batch_first=True)(x)[1][0]), name="m"))
    assert found.rows[1].shapes == ("[(None, 5, 8),", " [(1, None, 8),", "  (1, None, 8)]]")
    assert found.rows[2].connected_to == ("lstm[0][1]",)


def test_layers_of_a_nested_model_stand_below_it_and_add_up_to_it() -> None:
    found = summary_of(examples.nested_autoencoder(), expand_nested=True)
    outer, inner = [[row for row in found.rows if row.depth == depth] for depth in (0, 1)]
    assert [row.name for row in outer] == ["img", "encoder", "decoder"]
    assert sum(row.params for row in inner) == sum(row.params for row in outer) == 28_241
    assert "| original_img (InputLayer)" in str(found)


def test_a_partly_frozen_model_says_so() -> None:
    model = examples.nested_autoencoder()
    model.encoder.conv2d.trainable = False
    found = summary_of(model, show_trainable=True)
    assert [row.trained for row in found.rows] == ["-", "partly", "Y"]
    assert found.non_trainable_params == 160


def test_a_module_that_is_never_called_is_a_row_so_that_the_column_adds_up() -> None:
    model = examples.mlp()
    model.spare = nn.Linear(3, 3)
    found = summary_of(model)
    assert found.rows[-1].name == "spare" and found.rows[-1].shapes == ("?",)
    assert found.total_params == 55_050 + 12 == sum(row.params for row in found.rows)
    assert len(str(found).split("\n")[1]) == 65


def test_a_replaced_submodule_is_what_is_counted() -> None:
    model = examples.mlp()
    model.dense_2 = nn.Linear(64, 3)
    assert summary_of(model).total_params == 55_050 - 650 + 195


def test_a_module_without_a_graph_lists_its_children() -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))
            self.body = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
            self.lazy = nn.LazyLinear(5)
            self.encoder = examples.encoder()

    found = summarize_module(Mine(), "mine", expand_nested=True)
    assert [(row.name, row.type, row.shapes) for row in found.rows[:4]] == [
        ("scale", "Parameter", ("(2,)",)),
        ("body", "Sequential", ("?",)),
        ("lazy", "LazyLinear", ("?",)),
        ("encoder", "Functional", ("?",)),
    ]
    assert found.total_params == 2 + 15 + 18_672
    assert "0 (unbuilt)" in str(found) and "| conv2d (Conv2D)" in str(found)


def test_a_layer_that_is_not_built_says_so() -> None:
    class Mine(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    mine = Mine()
    assert "0 (unbuilt)" in str(summarize_module(mine, "mine"))
    mine(torch.zeros(1, 4))
    assert summarize_module(mine, "mine").rows[0].params == 15


def test_a_name_cannot_steer_the_terminal() -> None:
    x = Input(shape=(4,), name="x")
    found = summary_of(Model(x, layers.Dense(2, name="a\x1b[31m\nb")(x), name="m\n"))
    assert "a\\x1b[31m\\nb (Dense)" in str(found)
    assert str(found).startswith('Model: "m\\n"\n')


def test_a_summary_shows_itself_in_one_line_where_it_is_not_printed() -> None:
    assert repr(summary_of(examples.mlp())) == "<Summary of 'mnist_model': 4 rows, 55,050 params>"


def test_ten_thousand_layers_are_summarized() -> None:
    spec = Spec.of((None, 2))
    calls = [Call("x", "input", None, specs=spec)]
    calls += [Call(f"relu_{row}", "method", "relu", (Ref(row),), specs=spec) for row in range(10_000)]
    found = summarize(Graph(tuple(calls), Ref(0), Ref(10_000)), {}, name="deep")
    assert len(found.rows) == 10_001 and len(str(found).split("\n")) == 20_010


def test_a_style_that_is_none_is_told() -> None:
    inputs = Input((4,))
    model = Model(inputs, layers.Dense(1)(inputs))
    with pytest.raises(UnknownNameError, match="Unknown style of a summary 'ritch'. Did you mean 'rich'"):
        model.summary(style="ritch")  # type: ignore[arg-type]
