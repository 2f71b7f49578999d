"""What a notebook shows: a model as its graph with a folded summary, a training as its curves."""

from __future__ import annotations

import math
import re
import sysconfig
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from tests.vis import examples
from torchfunc import Input, Model, Sequential, callbacks, layers
from torchfunc.vis import rendering

SVG = "{http://www.w3.org/2000/svg}"


def svg_of(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])


def hovers(svg: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in svg.iter(f"{SVG}title")]


def test_a_model_shows_its_graph_with_details_under_the_pointer_and_a_folded_summary() -> None:
    page = examples.toy_resnet()._repr_html_()
    svg = svg_of(page)
    told = hovers(svg)
    assert (
        "conv2d_1 (Conv2D)\ninput: (None, 30, 30, 32)\noutput: (None, 28, 28, 64)\nparameters: 18,496 (trained)\n"
        "arguments: filters=64, kernel_size=(3, 3), activation='relu'"
    ) in told
    assert "add → add_1" in told
    assert len([each for each in svg.iter(f"{SVG}g") if each.get("class") == "node"]) == 15
    assert "<details><summary>15 layers</summary><table" in page and "223,242 parameters" in page
    assert page.count("<tr>") == 16


def test_names_are_escaped_wherever_they_stand() -> None:
    evil = "<script>alert('1')</script>\x1b[2J"
    x = Input(shape=(4,), name="x")
    page = Model(x, layers.Dense(2, name=evil)(x), name="<img src=x onerror=alert(2)>")._repr_html_()
    assert "<script" not in page and "<img" not in page and "\x1b" not in page
    assert any(
        each.startswith("<script>alert('1')</script>\\x1b[2J (Dense)") for each in hovers(svg_of(page))
    )


def test_nothing_in_a_page_runs_or_is_loaded() -> None:
    page = examples.tickets()._repr_html_()
    assert not re.search(r"<script|\son\w+=|src=|href=(?!\"#)|@import|url\(", page)


def test_a_long_model_is_shown_folded() -> None:
    x = inputs = Input(shape=(4,), name="x")
    for _ in range(300):
        x = layers.Dense(4)(x)
    page = Model(inputs, x, name="long")._repr_html_()
    assert "× 300" in page and "<summary>301 layers</summary>" in page


class Unspeakable(nn.Module):
    """Has nothing to say of itself."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    def extra_repr(self) -> str:
        raise RuntimeError("not today")


def test_what_cannot_be_shown_is_no_error_and_leaves_the_text() -> None:
    x = Input(shape=(4,), name="x")
    assert Model(x, Unspeakable()(x), name="m")._repr_html_() is None


def test_without_a_program_that_draws_there_is_still_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    page = examples.mlp()._repr_html_()
    assert "<svg" not in page and "dense_1 (Dense)" in page


def test_a_graph_that_takes_too_long_to_draw_is_drawn_with_straight_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rendering, "PATIENCE", 0.0)
    svg = svg_of(examples.toy_resnet()._repr_html_())
    lines = [each for each in svg.iter(f"{SVG}g") if each.get("class") == "edge"]
    assert len(lines) == 16
    for line in lines:
        (path,) = line.iter(f"{SVG}path")
        x, y = zip(
            *(map(float, each) for each in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path.attrib["d"])),
            strict=True,
        )
        bend = (x[1] - x[0]) * (y[-1] - y[0]) - (x[-1] - x[0]) * (y[1] - y[0])
        assert abs(bend) < 0.05 * ((x[-1] - x[0]) ** 2 + (y[-1] - y[0]) ** 2)


def test_models_without_a_graph_show_what_they_hold() -> None:
    class Mine(Model):
        def __init__(self) -> None:
            super().__init__(name="mine")
            self.head = layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.head(x)

    assert "head (Dense)" in Mine()._repr_html_()
    assert "dense (Dense)" in Sequential([layers.Dense(3)])._repr_html_()


def history_of(**values: list[Any]) -> callbacks.History:
    history = callbacks.History()
    for epoch in range(max(map(len, values.values()))):
        history.on_epoch_end(epoch, {name: each[epoch] for name, each in values.items()})
    return history


def dots(page: str) -> list[tuple[float, float]]:
    return [
        (float(each.attrib["cx"]), float(each.attrib["cy"])) for each in svg_of(page).iter(f"{SVG}circle")
    ]


def test_a_training_shows_its_curves_the_validation_beside_the_training() -> None:
    model = examples.mlp()
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = torch.rand(32, 784), torch.randint(0, 10, (32,))
    history = model.fit(x, y, epochs=3, validation_split=0.25, verbose=0)
    page = history._repr_html_()
    words = [each.text for each in svg_of(page).iter(f"{SVG}text") if each.get("font-weight")]
    assert words == ["loss", "accuracy"]
    assert len(dots(page)) == 12
    assert f"epoch 3: validation {history.history['val_loss'][2]:.6g}" in hovers(svg_of(page))


def test_a_curve_is_in_the_proportion_of_its_numbers() -> None:
    xs, ys = zip(*dots(history_of(loss=[4.0, 2.0, 1.0, 0.0])._repr_html_()), strict=True)
    assert xs[1] - xs[0] == pytest.approx(xs[3] - xs[2], abs=0.21)
    assert ys[1] - ys[0] == pytest.approx(2 * (ys[2] - ys[1]), abs=0.31)
    assert list(ys) == sorted(ys)


@pytest.mark.parametrize(
    "values", [[3.0], [2.0, 2.0], [0.0, 0.0], [1e-30, 1e30], [math.nan], [1.0, math.inf]]
)
def test_any_row_of_numbers_is_drawn_within_its_panel(values: list[float]) -> None:
    drawn = dots(history_of(loss=values)._repr_html_())
    assert len(drawn) == len([each for each in values if math.isfinite(each)])
    assert all(0 < x < 440 and 0 < y < 300 for x, y in drawn)


def test_names_of_figures_are_escaped_and_a_history_of_nothing_is_shown_too() -> None:
    assert svg_of(callbacks.History()._repr_html_()) is not None
    page = history_of(**{"<b>": [1.0, 2.0]})._repr_html_()
    assert "&lt;b&gt;" in page and "<b>" not in page
