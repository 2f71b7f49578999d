"""The plot is the same text for the same model, and Graphviz draws it."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import types
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from tests.vis import examples
from tests.vis.examples import dot_of, drawn
from torchfunc import Input, Model, layers, utils
from torchfunc.errors import MissingExtraError, TorchfuncError, UnknownNameError
from torchfunc.vis import plot
from torchfunc.vis.facts import modules_of
from torchfunc.vis.repeats import Repeat, repeats


def edges(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if " -> " in line]


@pytest.mark.parametrize("name", [name for name in examples.GOLDEN_TEXTS if name.startswith("plot")])
def test_a_plot_is_the_golden_text(name: str) -> None:
    expected = (examples.GOLDEN / name).read_text(encoding="utf-8")
    assert examples.golden_text(name) == expected


@pytest.mark.parametrize(
    ("ending", "starts"),
    [
        ("png", b"\x89PNG\r\n\x1a\n"),
        ("pdf", b"%PDF-"),
        ("jpg", b"\xff\xd8\xff"),
        ("gif", b"GIF8"),
        ("svg", b"<?xml"),
    ],
)
def test_the_ending_of_the_file_decides_the_format(ending: str, starts: bytes, tmp_path: Path) -> None:
    drawn(examples.mlp(), tmp_path / f"model.{ending}", show_shapes=True, dpi=50)
    picture = (tmp_path / f"model.{ending}").read_bytes()
    assert picture.startswith(starts) and len(picture) > 1000


def test_a_file_without_an_ending_is_a_png(tmp_path: Path) -> None:
    drawn(examples.mlp(), tmp_path / "model", dpi=50)
    assert (tmp_path / "model").read_bytes().startswith(b"\x89PNG")


def test_an_svg_is_xml_with_a_box_for_each_layer(tmp_path: Path) -> None:
    drawn(examples.toy_resnet(), tmp_path / "model.svg", show_layer_names=True, show_shapes=True)
    root = ElementTree.parse(tmp_path / "model.svg").getroot()
    boxes = [each for each in root.iter() if each.get("class") == "node"]
    texts = {each.text for each in root.iter() if each.tag.endswith("text")}
    assert len(boxes) == 15
    assert {"add_1", "Conv2D", "(None, 9, 9, 64)"} <= texts


@pytest.mark.parametrize("path", ["", None], ids=["graphviz-pure", "dot"])
def test_an_svg_shows_the_whole_picture(
    path: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its window, in units of the drawing, is as large as the drawing."""
    if path is not None:
        monkeypatch.setenv("PATH", path)
    drawn(examples.mlp(), tmp_path / "model.svg", show_shapes=True)
    root = ElementTree.parse(tmp_path / "model.svg").getroot()
    _, _, width, height = (float(each) for each in root.attrib["viewBox"].split())
    group = next(each for each in root.iter() if each.get("class") == "graph")
    assert re.match(r"scale\(1(\.0+)?( 1(\.0+)?)?\)", group.attrib["transform"])
    assert [float(root.attrib[side].removesuffix("pt")) for side in ("width", "height")] == pytest.approx(
        [width, height], abs=1
    )


def test_dpi_is_the_resolution_of_a_png(tmp_path: Path) -> None:
    def width(dpi: int) -> int:
        drawn(examples.mlp(), tmp_path / "model.png", dpi=dpi)
        return int.from_bytes((tmp_path / "model.png").read_bytes()[16:20], "big")

    assert width(200) == pytest.approx(2 * width(100), abs=3)


def test_a_residual_connection_is_an_edge_past_the_layers() -> None:
    found = edges(dot_of(examples.toy_resnet()))
    assert '"max_pooling2d" -> "add"' in found and '"add" -> "add_1"' in found
    assert len(found) == 16


def test_a_shared_layer_is_one_box_with_an_edge_for_each_source() -> None:
    shared = layers.Dense(4)
    a, b = Input(shape=(4,), name="a"), Input(shape=(4,), name="b")
    text = dot_of(Model([a, b], [shared(a), shared(b)], name="m"))
    assert edges(text) == ['"a" -> "dense"', '"b" -> "dense"']
    assert text.count('"dense" [') == 1


def test_a_tensor_that_is_taken_twice_is_one_edge() -> None:
    x = Input(shape=(4,), name="x")
    assert edges(dot_of(Model(x, x * x, name="m"))) == ['"x" -> "mul"']


def test_names_are_shown_only_where_asked_for() -> None:
    assert "dense_1</b>" not in dot_of(examples.mlp())
    assert "<b>Dense</b>" in dot_of(examples.mlp())
    assert "<b>dense_1</b>" in dot_of(examples.mlp(), show_layer_names=True)


def test_shapes_dtypes_activations_and_training_are_shown_where_asked_for() -> None:
    model = examples.mlp()
    model.dense_2.trainable = False
    plain = dot_of(model)
    assert not any(word in plain for word in ("784", "float32", "softmax", "trainable"))
    text = dot_of(model, show_shapes=True, show_dtype=True, show_layer_activations=True, show_trainable=True)
    line = next(line for line in text.split("\n") if line.strip().startswith('"dense_2"'))
    assert all(word in line for word in ("(None, 64)", "(None, 10)", "float32", "softmax", "non-trainable"))


def test_a_nested_model_is_a_box_or_a_frame_with_edges_to_its_layers() -> None:
    model = examples.nested_autoencoder()
    assert edges(dot_of(model)) == ['"img" -> "encoder"', '"encoder" -> "decoder"']
    expanded = dot_of(model, expand_nested=True)
    assert 'subgraph "cluster_encoder" {' in expanded
    assert '"img" -> "encoder.original_img"' in edges(expanded)
    assert '"encoder.global_max_pooling2d" -> "decoder.encoded_img"' in edges(expanded)


def test_frames_lie_in_frames_and_a_dict_finds_its_inputs_by_name() -> None:
    a, b = Input(shape=(2,), name="a"), Input(shape=(3,), name="b")
    inner = Model({"a": a, "b": b}, {"u": layers.Dense(4)(a), "v": layers.Dense(5)(b)}, name="inner")
    p, q = Input(shape=(2,), name="p"), Input(shape=(3,), name="q")
    middle = Model([p, q], inner({"b": q, "a": p})["v"], name="middle")
    x, y = Input(shape=(2,), name="x"), Input(shape=(3,), name="y")
    text = dot_of(Model([x, y], layers.Dense(1)(middle([x, y])), name="outer"), expand_nested=True)
    assert sorted(edges(text)) == [
        '"middle.inner.a" -> "middle.inner.dense"',
        '"middle.inner.b" -> "middle.inner.dense_1"',
        '"middle.inner.dense_1" -> "dense"',
        '"middle.p" -> "middle.inner.a"',
        '"middle.q" -> "middle.inner.b"',
        '"x" -> "middle.p"',
        '"y" -> "middle.q"',
    ]


def test_a_parameter_of_the_model_itself_is_a_box_with_a_dashed_edge() -> None:
    x = Input(shape=(4,), name="x")
    text = dot_of(Model(x, x * nn.Parameter(torch.ones(4)), name="m"), show_shapes=True)
    assert edges(text) == ['"x" -> "mul"', '"parameter" -> "mul" [style=dashed]']


def test_a_weight_of_a_layer_that_is_used_elsewhere_is_a_dashed_edge_from_that_layer() -> None:
    x = Input(shape=(4,), name="x")
    linear = nn.Linear(4, 4)
    text = dot_of(Model(x, linear(x) @ linear.weight, name="m"))
    assert '"linear" -> "matmul" [style=dashed]' in edges(text)


def test_a_weight_inside_a_frame_comes_from_the_box_that_holds_it() -> None:
    code = Input(shape=(4,), name="code")
    inner = Model(code, layers.Dense(4, name="last")(code), name="inner")
    x = Input(shape=(4,), name="x")
    model = Model(x, inner(x) @ inner.last.weight, name="m")
    assert '"inner" -> "matmul" [style=dashed]' in edges(dot_of(model))
    assert '"inner.last" -> "matmul" [style=dashed]' in edges(dot_of(model, expand_nested=True))


def test_a_module_without_a_graph_is_one_box() -> None:
    text = plot.to_dot(None, {"": nn.Linear(2, 2)}, name="mine", show_shapes=True, show_layer_names=True)
    assert edges(text) == [] and "<b>mine</b>" in text and "Linear" in text


@pytest.mark.parametrize(
    "name", ['a "b" \\', "<b>&amp;</b>", "слой", "a:b", "a\nb\x1b\x00", "}", "graph", "-->;//"]
)
def test_any_name_can_be_drawn(name: str, tmp_path: Path) -> None:
    x = Input(shape=(4,), name="x")
    model = Model(x, layers.Dense(2, name=name)(x), name=name)
    drawn(model, tmp_path / "model.svg", show_layer_names=True)
    root = ElementTree.parse(tmp_path / "model.svg").getroot()
    texts = [each.text for each in root.iter() if each.tag.endswith("text")]
    shown = name.replace("\n", "\\n").replace("\x1b", "\\x1b").replace("\x00", "\\x00")
    assert shown in texts and "Dense" in texts


def test_a_dot_file_needs_neither_pydot_nor_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydot", None)
    monkeypatch.setenv("PATH", "")
    drawn(examples.mlp(), tmp_path / "model.dot")
    assert (tmp_path / "model.dot").read_text(encoding="utf-8") == dot_of(examples.mlp())


@pytest.fixture
def without_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which neither Graphviz nor pydot is installed; where its programs would be."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setitem(sys.modules, "pydot", None)
    return folder


@pytest.mark.parametrize("ending", ["png", "svg", "jpg"])
def test_a_picture_needs_nothing_that_pip_does_not_install(
    ending: str, without_graphviz: Path, tmp_path: Path
) -> None:
    utils.plot_model(examples.toy_resnet(), tmp_path / f"model.{ending}", show_shapes=True, dpi=60)
    content = (tmp_path / f"model.{ending}").read_bytes()
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "jpg": b"\xff\xd8"}[ending])
    assert len(content) > 5000


def test_both_ways_to_draw_measure_texts_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sizes() -> list[float]:
        drawn(examples.toy_resnet(), tmp_path / "m.svg", show_layer_names=True, show_shapes=True, dpi=72)
        root = ElementTree.parse(tmp_path / "m.svg").getroot()
        return [float(number) for number in root.attrib["viewBox"].split()[2:]]

    by_graphviz = sizes()
    monkeypatch.setenv("PATH", "")
    assert sizes() == pytest.approx(by_graphviz, rel=0.06)


def test_a_name_in_another_script_has_the_room_that_it_needs(without_graphviz: Path, tmp_path: Path) -> None:
    x = Input(shape=(4,), name="x")
    name = "полносвязный_слой"
    model = Model(x, layers.Dense(2, name=name)(x), name="m")
    drawn(model, tmp_path / "m.svg", show_layer_names=True, dpi=72)
    places = {
        each.text: float(each.attrib["x"])
        for each in ElementTree.parse(tmp_path / "m.svg").iter()
        if "x" in each.attrib
    }
    assert places["Dense"] - places[name] > len(name) * 0.62 * 12  # the letters of Arial bold are so wide


def test_where_graphviz_is_missing_a_pdf_names_what_draws_it_and_what_else_can_be_drawn(
    without_graphviz: Path, tmp_path: Path
) -> None:
    words = r"pdf needs Graphviz's program 'dot'.*apt-get install graphviz.*these are drawn: png, svg"
    with pytest.raises(TorchfuncError, match=words):
        drawn(examples.mlp(), tmp_path / "model.pdf")
    assert not (tmp_path / "model.pdf").exists()


def test_where_no_program_is_there_the_error_says_how_to_install_one(
    without_graphviz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(TorchfuncError, match=r"png needs Graphviz's.* Or: pip install graphviz-pure"):
        drawn(examples.mlp(), tmp_path / "model.png")


def test_what_a_program_says_when_it_fails_is_told(without_graphviz: Path, tmp_path: Path) -> None:
    broken = without_graphviz / "dot"
    broken.write_text("#!/bin/sh\necho 'out of ink' >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(TorchfuncError, match=r"dot -Tpng failed: out of ink"):
        drawn(examples.mlp(), tmp_path / "model.png")


def test_model_to_dot_says_how_to_install_pydot(without_graphviz: Path) -> None:
    words = r"model_to_dot needs the package 'pydot'.* pip install 'torchfunc\[plot\]'"
    with pytest.raises(MissingExtraError, match=words):
        utils.model_to_dot(examples.mlp())


def test_blocks_that_repeat_are_found_with_what_comes_before_and_after() -> None:
    assert repeats("xabcabcabcy") == [Repeat(1, 3, 3)]
    assert repeats("aaaab") == [Repeat(0, 1, 4)]
    assert repeats("aab") == [] and repeats("abab") == []
    assert repeats("abcabcxxxdefdef") == [Repeat(0, 3, 2), Repeat(6, 1, 3), Repeat(9, 3, 2)]


def deep(blocks: int) -> Model:
    """A network of residual blocks, and a head."""
    x = inputs = Input(shape=(8,), name="x")
    for _ in range(blocks):
        y = layers.Dense(16, activation="relu")(x)
        x = layers.add([x, layers.Dense(8)(y)])
    return Model(inputs, layers.Dense(2, name="head")(x), name="deep")


def test_a_long_graph_is_folded_at_the_block_that_repeats() -> None:
    text = dot_of(deep(60))
    assert "<b>× 60</b>" in text and "to dense_118 … add_59" in text
    assert edges(text) == [
        '"x" -> "dense"', '"dense" -> "dense_1"', '"x" -> "add"', '"dense_1" -> "add"', '"add" -> "head"',
    ]  # fmt: skip
    assert len(edges(dot_of(deep(60), fold_repeats=False))) == 60 * 4 + 1
    assert len(edges(dot_of(deep(20)))) == 20 * 4 + 1
    assert dot_of(deep(20), fold_repeats=True).count('subgraph "cluster_dense repeated"') == 1


def test_a_skip_from_within_a_block_leaves_the_fold_once() -> None:
    x = inputs = Input(shape=(8,), name="x")
    kept = [x := layers.Dense(8)(x) for _ in range(5)]
    text = dot_of(Model(inputs, layers.concatenate(kept), name="m"), fold_repeats=True)
    assert edges(text) == ['"x" -> "dense"', '"dense" -> "concatenate"']


def test_blocks_of_other_shapes_or_connections_are_not_folded() -> None:
    x = inputs = Input(shape=(8,), name="x")
    for size in (8, 8, 16, 16):
        x = layers.Dense(size)(x)
    assert "×" not in dot_of(Model(inputs, x, name="m"), fold_repeats=True)


def test_nested_models_that_repeat_are_folded_frames() -> None:
    inner = Input(shape=(8,), name="inner")
    x = inputs = Input(shape=(8,), name="x")
    for _ in range(3):
        x = Model(inner, layers.Dense(8, name="within")(inner))(x)
    text = dot_of(Model(inputs, layers.Dense(2)(x), name="m"), fold_repeats=True, expand_nested=True)
    assert "<b>× 3</b>" in text
    assert sorted(edges(text)) == [
        '"functional.inner" -> "functional.within"', '"functional.within" -> "dense"', '"x" -> "functional.inner"',
    ]  # fmt: skip


def test_one_activation_of_all_blocks_is_drawn_where_it_is_called() -> None:
    x = Input(shape=(4,), name="x")
    relu = nn.ReLU()
    model = Model(x, relu(nn.Linear(4, 4)(relu(nn.Linear(4, 4)(x)))), name="m")
    assert edges(dot_of(model)) == [
        '"x" -> "linear"', '"linear" -> "re_lu"', '"re_lu" -> "linear_1"', '"linear_1" -> "re_lu_1"',
    ]  # fmt: skip


def test_an_unknown_format_or_option_names_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown picture format 'pgn'. Did you mean 'png'\?"):
        drawn(examples.mlp(), tmp_path / "model.pgn")
    with pytest.raises(UnknownNameError, match=r"Unknown rankdir 'UP'. Known: BT, LR, RL, TB"):
        dot_of(examples.mlp(), rankdir="UP")
    with pytest.raises(UnknownNameError, match=r"Unknown splines 'orto'. Did you mean 'ortho'\?"):
        dot_of(examples.mlp(), splines="orto")
    with pytest.raises(
        UnknownNameError, match=r"Unknown plot option 'show_shape'. Did you mean 'show_shapes'\?"
    ):
        drawn(examples.mlp(), tmp_path / "model.png", show_shape=True)
    with pytest.raises(TorchfuncError, match="plot: expected a positive whole number, got dpi=0"):
        dot_of(examples.mlp(), dpi=0)


def test_model_to_dot_is_a_pydot_graph_that_shows_the_names() -> None:
    model = examples.mlp()
    graph = plot.model_to_dot(model.graph, modules_of(model), name=model.name, rankdir="LR")
    assert [node.get_name() for node in graph.get_nodes()][-4:] == [
        '"img"',
        '"dense"',
        '"dense_1"',
        '"dense_2"',
    ]
    assert "<b>dense_1</b>" in graph.to_string() and "rankdir=LR" in graph.to_string()


SHOWN = {
    "show_shapes": True, "show_dtype": True, "show_layer_names": True, "show_layer_activations": True,
    "show_trainable": True, "expand_nested": True,
}  # fmt: skip


@pytest.mark.parametrize("ending", ["png", "svg", "pdf", "dot"])
def test_plot_model_takes_every_argument_of_keras_and_draws_every_format(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{ending}"
    utils.plot_model(examples.nested_autoencoder(), path, rankdir="LR", dpi=60, **SHOWN)

    assert path.stat().st_size > 1000
    if ending == "dot":
        assert path.read_text(encoding="utf-8") == dot_of(
            examples.nested_autoencoder(), rankdir="LR", dpi=60, **SHOWN
        )


def test_a_graph_that_runs_to_the_right_is_wider_than_high(tmp_path: Path) -> None:
    def size(rankdir: str) -> tuple[int, int]:
        utils.plot_model(examples.mlp(), tmp_path / "model.png", rankdir=rankdir, dpi=60)
        head = (tmp_path / "model.png").read_bytes()
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")

    for rankdir in ("TB", "BT"):
        assert size(rankdir)[0] < size(rankdir)[1]
    for rankdir in ("LR", "RL"):
        assert size(rankdir)[0] > size(rankdir)[1]


def test_model_to_dot_takes_every_argument_of_keras_and_can_be_changed() -> None:
    graph = utils.model_to_dot(examples.nested_autoencoder(), rankdir="LR", dpi=96, **SHOWN)
    graph.set_bgcolor("black")
    text = graph.to_string()

    assert len(graph.get_subgraph_list()) == 2
    assert all(word in text for word in ("rankdir=LR", "dpi=96", "bgcolor=", "float32", "relu", "trainable"))
    assert graph.create(format="svg").startswith(b"<?xml")


def test_a_notebook_is_given_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Image:
        def __init__(self, filename: str) -> None:
            self.filename = filename

    shell = types.ModuleType("IPython")
    shell.get_ipython = object  # type: ignore[attr-defined]
    display = types.ModuleType("IPython.display")
    display.Image = display.SVG = Image  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert drawn(examples.mlp(), tmp_path / "model.png", dpi=50).filename == str(tmp_path / "model.png")
    assert drawn(examples.mlp(), tmp_path / "model.pdf") is None


def test_outside_of_a_notebook_nothing_is_returned(tmp_path: Path) -> None:
    assert drawn(examples.mlp(), tmp_path / "model.png", dpi=50) is None


def test_the_text_and_the_pydot_graph_are_one_picture(tmp_path: Path) -> None:
    options = {"show_shapes": True, "show_layer_names": True, "expand_nested": True, "dpi": 72}
    model = examples.nested_autoencoder()
    drawn(model, tmp_path / "model.svg", **options)
    by_text = subprocess.run(
        ["dot", "-Tsvg"], input=dot_of(model, **options).encode(), capture_output=True, check=True
    )
    assert by_text.stderr == b""
    assert by_text.stdout == (tmp_path / "model.svg").read_bytes()
