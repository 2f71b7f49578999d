"""From outside: networks of timm, torchvision and transformers go in as one node and call by call, with equal gradients."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.test_scripts import script


@pytest.fixture(scope="module")
def tries() -> ModuleType:
    return script("from_module")


@pytest.mark.parametrize(
    "name",
    "resnet18 mobilenetv3_small_050 ghostnet_050 mnasnet_small poolformer_s12 "
    "squeezenet1_1 shufflenet_v2_x0_5 bert distilbert opt vit t5".split(),
)
def test_a_network_of_another_library_goes_in_both_ways(name: str, tries: ModuleType) -> None:
    network = next(each for each in tries.networks() if each.name == name)
    found = tries.tried(network)
    assert (found.one_node, found.from_module) == ("equal", "equal")


def test_what_stands_against_a_network_is_told_and_stands_in_the_table(tries: ModuleType) -> None:
    network = next(each for each in tries.networks() if each.name == "llama")
    found = tries.tried(network)
    assert found.one_node == "equal" and found.from_module.startswith(
        "GraphError: LlamaModel (masking_utils.py, line "
    )
    assert "Fix: call it as one node: module(x)." in found.from_module
    text = tries.page([found])
    assert "| transformers | 1 | 1 | 0 |  |" in text and "| transformers llama | equal | GraphError: " in text
