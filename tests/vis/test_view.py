"""The page of a model, as a person uses it: in a browser, with clicks, keys and a wheel."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from torch import nn

from tests.vis import examples
from torchfunc import Input, Model, layers
from torchfunc.errors import GraphError, ShapeError


class Page:
    """A model's page that is open in the browser."""

    def __init__(self, browser: Any, model: Model, folder: Path, **options: Any) -> None:
        model.view(folder / "m.html", **options)
        self.browser = browser
        browser.get_log("browser")
        browser.get((folder / "m.html").as_uri())

    def one(self, selector: str) -> Any:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def every(self, selector: str) -> list[Any]:
        return list(self.browser.find_elements(By.CSS_SELECTOR, selector))

    def box(self, path: str) -> Any:
        """The box of a layer."""
        names = json.loads(self.one("#data").get_attribute("textContent"))["layers"]
        return self.one(f"#box{[each['path'] for each in names].index(path)}")

    def click(self, path: str) -> None:
        ActionChains(self.browser).move_to_element(self.box(path)).click().perform()

    def tab(self, name: str) -> None:
        self.one(f"nav [data-tab={name}]").click()

    def search(self, *keys: str) -> None:
        self.one("#search").send_keys(*keys)

    @property
    def told(self) -> str:
        return str(self.one("#layer").text)

    @property
    def seen(self) -> tuple[float, float, float]:
        """Where the graph lies, and its scale."""
        transform = self.one("#graph svg").get_attribute("style").split("transform: ")[1]
        x, y, scale = re.findall(r"-?[\d.]+(?:e-?\d+)?", transform)[:3]
        return float(x), float(y), float(scale)

    def chosen(self) -> list[str]:
        return [str(each.get_attribute("id")) for each in self.every("#graph .chosen")]

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture
def resnet(browser: Any, tmp_path: Path) -> Iterator[Page]:
    page = Page(browser, examples.toy_resnet(), tmp_path)
    yield page
    assert page.complaints() == []


def test_a_click_on_a_layer_tells_its_config_weights_and_costs(browser: Any, tmp_path: Path) -> None:
    model = examples.toy_resnet()
    page = Page(browser, model, tmp_path)
    page.click("conv2d_1")

    assert page.chosen() == [page.box("conv2d_1").get_attribute("id")]
    weight = model.conv2d_1.weight.detach()
    for words in (
        "conv2d_1 Conv2D", "filters 64", 'activation "relu"', "kernel_initializer GlorotUniform(seed=null",
        "parameters 18,496 (trained)", f"FLOPs {2 * 28 * 28 * 64 * 9 * 32:,}", "memory 196.0 KB", "(64, 32, 3, 3) float32",
        f"{float(weight.mean()):.3g}", f"{float(weight.std(correction=0)):.3g}", f"{float(weight.max()):.3g}",
        "x = self.conv2d_1(x)",
    ):  # fmt: skip
        assert words in page.told, words
    assert page.complaints() == []


def test_what_is_searched_is_listed_taken_and_brought_into_the_middle(resnet: Page) -> None:
    resnet.search("CONV2D_")
    found = [each.text for each in resnet.every("#found li")]
    assert found == [f"conv2d_{number} Conv2D" for number in range(1, 7)]
    assert len(resnet.every("#graph .node.dim")) == 9

    resnet.search(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    assert resnet.told.startswith("conv2d_3 Conv2D") and not resnet.one("#found").is_displayed()
    assert resnet.every("#graph .dim") == []
    place, graph = resnet.box("conv2d_3").rect, resnet.one("#graph").rect
    assert place["x"] + place["width"] / 2 == pytest.approx(graph["x"] + graph["width"] / 2, abs=3)
    assert place["y"] + place["height"] / 2 == pytest.approx(graph["y"] + graph["height"] / 2, abs=3)


def test_a_type_can_be_searched_and_what_is_not_there_is_said(resnet: Page) -> None:
    resnet.search("pooling global")
    assert [each.text for each in resnet.every("#found li")] == [
        "global_average_pooling2d GlobalAveragePooling2D"
    ]
    resnet.search(Keys.ESCAPE)
    resnet.search("lstm")
    assert resnet.one("#found").text == "no layer of this name or type"
    resnet.search(Keys.ESCAPE)
    assert resnet.every("#graph .dim") == [] and not resnet.one("#found").is_displayed()


def test_a_slash_begins_a_search_and_signs_zoom(resnet: Page) -> None:
    before = resnet.seen
    resnet.one("body").send_keys("+")
    assert resnet.seen[2] == pytest.approx(before[2] * 1.25, abs=1e-4)
    resnet.one("body").send_keys("/", "add_1", Keys.ENTER)
    assert resnet.told.startswith("add_1 Add")


def test_the_graph_is_moved_by_dragging_and_zoomed_by_the_wheel_and_the_buttons(resnet: Page) -> None:
    graph, before = resnet.one("#graph"), resnet.seen
    ActionChains(resnet.browser).move_to_element_with_offset(graph, 200, 0).click_and_hold().move_by_offset(
        60, -40
    ).release().perform()
    moved = resnet.seen
    assert moved == pytest.approx((before[0] + 60, before[1] - 40, before[2]), abs=0.1)
    assert resnet.chosen() == []

    wheel = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(graph)
    ActionChains(resnet.browser).scroll_from_origin(wheel, 0, -200).perform()
    near = resnet.seen
    assert near[2] > moved[2] * 1.2
    middle = [graph.rect[side] / 2 for side in ("width", "height")]
    still = [(half - place) / moved[2] for half, place in zip(middle, moved, strict=False)]
    assert [(half - place) / near[2] for half, place in zip(middle, near, strict=False)] == pytest.approx(
        still, abs=1
    )
    resnet.one("#out").click()
    assert resnet.seen[2] == pytest.approx(near[2] * 0.8, abs=1e-4)

    resnet.one("#fit").click()
    inside = resnet.one("#graph svg").rect
    assert inside["y"] >= graph.rect["y"] - 1 and inside["height"] == pytest.approx(
        graph.rect["height"], abs=1
    )


def test_bars_show_parameters_flops_and_memory_by_layer_and_lead_to_the_layer(resnet: Page) -> None:
    def bars() -> dict[str, str]:
        words = (each.text.split("\n") for each in resnet.every("#bars .bar"))
        return {name: rest[-1] if rest else "" for name, *rest in words}

    assert bars()["conv2d_1"] == "28.9 M (49.8 %)"
    assert "input of (1, 32, 32, 3)" in resnet.one("#bars").text
    resnet.one("#bars nav button").click()
    assert bars()["conv2d_1"] == "18,496 (8.3 %)" and "add" not in bars()
    lengths = {
        each.text.split("\n")[0]: each.find_element(By.TAG_NAME, "i").rect["width"]
        for each in resnet.every("#bars .bar")
    }
    assert lengths["conv2d_1"] / lengths["conv2d_2"] == pytest.approx(18496 / 36928, abs=0.02)

    resnet.every("#bars .bar")[-1].click()
    assert resnet.chosen() == [resnet.box("dense_1").get_attribute("id")]
    resnet.tab("layer")
    assert resnet.told.startswith("dense_1 Dense")


def test_the_code_marks_the_line_of_the_layer_and_a_line_leads_to_its_layer(resnet: Page) -> None:
    resnet.click("max_pooling2d")
    resnet.tab("code")
    assert resnet.one("#code").text.startswith("def forward(self, img):")
    assert [each.text.strip() for each in resnet.every("#code .chosen")] == [
        "max_pooling2d = self.max_pooling2d(x)"
    ]
    line = next(each for each in resnet.every("#code button") if "add_1" in each.text)
    line.click()
    assert resnet.chosen() == [resnet.box("add_1").get_attribute("id")]
    resnet.tab("layer")
    assert "x = self.add_1([x, add])" in resnet.told
    resnet.one("#layer pre button").click()
    assert [each.text.strip() for each in resnet.every("#code .chosen")] == ["x = self.add_1([x, add])"]


def test_nested_models_are_frames_with_code_of_their_own(browser: Any, tmp_path: Path) -> None:
    page = Page(browser, examples.nested_autoencoder(), tmp_path)
    page.search("decoder reshape", Keys.ENTER)
    assert "x = self.reshape(encoded_img)" in page.told
    page.tab("code")
    assert [each.text for each in page.every("#code h3")] == ["the model", "encoder", "decoder"]
    assert [each.text.strip() for each in page.every("#code .chosen")] == ["x = self.reshape(encoded_img)"]
    page.tab("layer")
    page.search("decoder functional", Keys.ENTER)
    assert page.told.startswith("decoder Functional") and "9,569" in page.told
    assert page.complaints() == []


def test_functions_own_weights_and_modules_of_others_are_told_too(browser: Any, tmp_path: Path) -> None:
    x = Input(shape=(8, 16), name="x")
    y = torch.cat([nn.Linear(16, 16)(x) * nn.Parameter(torch.arange(16.0)), x], dim=-1)
    page = Page(browser, Model(x, y, name="m"), tmp_path)
    page.click("linear")
    assert "arguments in_features=16, out_features=16, bias=True" in page.told and "weight" in page.told
    page.click("cat")
    assert "h = torch.cat([h, x], dim=-1)" in page.told
    page.click("parameter")
    assert "7.5 4.61 0 15" in page.told.replace("\n", " ")
    assert page.complaints() == []


def test_names_run_nothing_and_the_page_loads_nothing(browser: Any, tmp_path: Path) -> None:
    evil = "</script><script>window['ran'] = 1</script><img src=x onerror='ran = 2'>"
    x = Input(shape=(4,), name="x")
    page = Page(browser, Model(x, layers.Dense(2, name=evil)(x), name="{{data}}" + evil), tmp_path)
    page.click(evil)
    page.tab("code")
    page.tab("bars")
    assert browser.execute_script(
        "return [window.ran || 0, performance.getEntriesByType('resource').length]"
    ) == [0, 0]
    assert page.one("h1").text == "{{data}}" + evil and page.complaints() == []
    browser.execute_script(
        "document.body.append(Object.assign(document.createElement('img'), {src: 'http://localhost:9/x'}))"
    )
    time.sleep(0.2)
    assert any("Content Security Policy" in each for each in page.complaints())


def test_sizes_that_are_unknown_leave_the_flops_out_and_say_how_to_have_them(
    browser: Any, tmp_path: Path
) -> None:
    page = Page(browser, examples.tickets(), tmp_path)
    assert (
        "FLOPs are not counted" in page.one("#bars").text and "input_size=(1, 32)" in page.one("#bars").text
    )
    assert len(page.every("#bars nav button")) == 1
    sizes = [(1, 10), (1, 20), (1, 12)]
    assert "FLOPs" in Page(browser, examples.tickets(), tmp_path, input_size=sizes).one("#totals").text
    with pytest.raises(ShapeError, match="input_size: expected"):
        examples.tickets().view(tmp_path / "m.html", input_size=(1, 2))


def test_a_model_without_a_graph_has_no_view(tmp_path: Path) -> None:
    class Mine(Model):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(GraphError, match="has no graph, so it has no picture to move in"):
        Mine(name="mine").view(tmp_path / "m.html")


def thousand() -> Model:
    x = inputs = Input(shape=(8,), name="x")
    for _ in range(333):
        x = layers.add([x, layers.Dense(8)(layers.Dense(8, activation="relu")(x))])
    return Model(inputs, x, name="thousand")


def test_a_thousand_layers_open_in_two_seconds_and_are_found_at_once(browser: Any, tmp_path: Path) -> None:
    page = Page(browser, thousand(), tmp_path)
    opened = browser.execute_script(
        "return performance.timing.loadEventEnd - performance.timing.navigationStart"
    )
    assert len(page.every("#graph .node")) == 1000 and opened < 2000
    begin = browser.execute_script("return performance.now()")
    page.search("dense_600", Keys.ENTER)
    assert page.told.startswith("dense_600 Dense")
    assert browser.execute_script("return performance.now()") - begin < 2000
    assert page.complaints() == []
