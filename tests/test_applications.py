"""The applications are torchvision's networks, to the bit, and every intermediate tensor can be taken out."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import torchfunc
from torchfunc import applications, layers
from torchfunc.errors import (
    GraphError,
    MissingExtraError,
    SavingError,
    ShapeError,
    TorchfuncError,
    WeightMismatchError,
)
from torchfunc.interop import from_module, torchvision

# the function, torchvision's name, its parameters (as torchvision's documentation has them), a small image
SMALL = [
    ("ResNet18", "resnet18", 11_689_512, 40),
    ("ResNet50", "resnet50", 25_557_032, 40),
    ("MobileNetV3Small", "mobilenet_v3_small", 2_542_856, 40),
    ("MobileNetV3Large", "mobilenet_v3_large", 5_483_032, 40),
    ("EfficientNetB0", "efficientnet_b0", 5_288_548, 40),
    ("DenseNet121", "densenet121", 7_978_856, 40),
    ("ConvNeXtTiny", "convnext_tiny", 28_589_128, 40),
]
LARGE = [("VGG16", "vgg16", 138_357_544), ("VGG19", "vgg19", 143_667_240)]


def built(name: str, /, **options: Any) -> Any:
    torch.manual_seed(0)
    return getattr(applications, name)(**options)


def of_torchvision(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = torchvision.load().models.get_model(name, weights=None, **options)
    return module.eval()


def images(size: int, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, size, size, 3)


def parameters(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


@pytest.mark.parametrize(("name", "builder", "count", "size"), SMALL, ids=[row[0] for row in SMALL])
def test_outputs_equal_torchvisions_to_the_bit_in_both_modes(
    name: str, builder: str, count: int, size: int
) -> None:
    model, network = built(name, input_shape=(size, size, 3)), of_torchvision(builder)
    assert parameters(model) == parameters(network) == count
    assert model.name == builder
    assert not model.training
    x = images(size)
    with torch.no_grad():
        assert torch.equal(model(x), network(x.permute(0, 3, 1, 2)))
        for module in (model, network):
            module.train()
        torch.manual_seed(1)
        ours = model(x)
        torch.manual_seed(1)
        theirs = network(x.permute(0, 3, 1, 2))
    assert torch.equal(ours, theirs)
    expected = network.state_dict()
    found = model.state_dict()
    assert len(found) == len(expected)
    for key, value in expected.items():
        *path, last = key.split(".")
        ours = found.get(f"{'_'.join(path)}.{last}", found.get(key.replace(".", "_")))
        assert torch.equal(ours, value)


@pytest.mark.parametrize(("name", "builder", "count"), LARGE, ids=[row[0] for row in LARGE])
def test_vgg_has_torchvisions_number_of_parameters(name: str, builder: str, count: int) -> None:
    with torch.device("meta"):
        model = getattr(applications, name)()
    assert model.count_params() == parameters(model) == count
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1000)
    assert model.name == builder


def test_features_are_extracted_as_the_guide_does_it() -> None:
    vgg19 = built("VGG19", input_shape=(32, 32, 3))
    features_list = [layer.output for layer in vgg19.layers]
    extraction = torchfunc.Model(inputs=vgg19.input, outputs=features_list)
    img = np.random.random((1, 32, 32, 3)).astype("float32")
    features = extraction(img)
    assert len(features) == len(vgg19.layers) == 48
    network = of_torchvision("vgg19")
    assert_features_equal(features[2:], network, torch.from_numpy(img).permute(0, 3, 1, 2))
    assert torch.equal(features[-1], vgg19(img))


def assert_features_equal(features: list[torch.Tensor], network: nn.Module, x: torch.Tensor) -> None:
    """Compare with a plain loop over torchvision's layers, each on a copy, as some work in place."""
    for part in (*network.features, network.avgpool, "flatten", *network.classifier):
        x = x.flatten(1) if part == "flatten" else part(x.clone())
        assert torch.equal(features.pop(0), x)
    assert not features


def test_layers_before_an_activation_show_their_own_values() -> None:
    resnet = built("ResNet18", input_shape=(40, 40, 3))
    normal, activated = (resnet.get_layer(name).output for name in ("bn1", "relu"))
    before, after = torchfunc.Model(resnet.input, [normal, activated])(images(40))
    assert (before < 0).any()
    assert torch.equal(before.relu(), after)


@pytest.mark.parametrize("name", ["ResNet18", "MobileNetV3Small", "DenseNet121"])
def test_without_the_top_a_model_ends_in_feature_maps(name: str) -> None:
    network = of_torchvision(next(row[1] for row in SMALL if row[0] == name))
    x = images(64)
    expected = last_maps(network, x.permute(0, 3, 1, 2))
    model = built(name, include_top=False, input_shape=(None, None, 3))
    assert torch.equal(model(x), expected.permute(0, 2, 3, 1))


def last_maps(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What torchvision's network pools before it classifies."""
    if not hasattr(network, "avgpool"):
        maps: torch.Tensor = network.features(x).relu()
        return maps
    found: list[torch.Tensor] = []
    network.avgpool.register_forward_pre_hook(lambda module, args: found.append(args[0]))
    network(x)
    return found[0]


def test_without_the_top_maps_are_pooled_to_vectors() -> None:
    x = images(64)
    maps = last_maps(of_torchvision("resnet18"), x.permute(0, 3, 1, 2))
    for pooling, expected in (("avg", maps.mean((2, 3))), ("max", maps.amax((2, 3)))):
        model = built("ResNet18", include_top=False, input_shape=(64, 64, 3), pooling=pooling)
        assert torch.equal(model(x), expected)
        assert model.output_shape == (None, 512)


def test_channels_first_by_argument_or_by_the_global_setting() -> None:
    x = images(40).permute(0, 3, 1, 2)
    expected = built("ResNet18", input_shape=(40, 40, 3))(x.permute(0, 2, 3, 1))
    asked = built("ResNet18", input_shape=(3, 40, 40), data_format="channels_first")
    layers.set_image_data_format("channels_first")
    try:
        default = built("ResNet18", include_top=False)
    finally:
        layers.set_image_data_format("channels_last")
    assert torch.equal(asked(x), expected)
    assert [call.kind for call in asked.graph.calls[:2]] == ["input", "module"]
    assert default.input_shape == (None, 3, None, None)
    assert default.output_shape == (None, 512, None, None)


def test_classes_activation_name_and_input_tensor() -> None:
    raw = torchfunc.Input((40, 40, 3), name="raw")
    model = built(
        "ResNet18", input_tensor=raw / 255.0, classes=7, classifier_activation="softmax", name="seven"
    )
    x = images(40) * 255
    network = of_torchvision("resnet18", num_classes=7)
    expected = network((x / 255.0).permute(0, 3, 1, 2)).softmax(-1)
    assert model.name == "seven"
    assert torch.equal(torchfunc.Model(raw, model.output)(x), expected)


def test_an_application_is_fine_tuned_with_a_head_of_ones_own() -> None:
    base = built("ResNet18", include_top=False, pooling="avg", input_shape=(40, 40, 3))
    base.trainable = False
    model = torchfunc.Model(base.input, layers.Dense(3, name="head")(base.output))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.compile(optimizer="sgd", loss=nn.CrossEntropyLoss())
    model.fit(images(40, 4).numpy(), np.array([0, 1, 2, 0]), epochs=1, batch_size=2, verbose=0)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    weights = {name for name in changed if "running" not in name and "num_batches" not in name}
    assert weights == {"head.weight", "head.bias"}


@pytest.mark.parametrize("name", ["ResNet18", "ConvNeXtTiny"])
def test_an_application_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    model = built(name, input_shape=(40, 40, 3))
    model.save(tmp_path / "model.safetensors")
    loaded = torchfunc.load_model(tmp_path / "model.safetensors")
    x = images(40)
    for each in (loaded.eval(), copy.deepcopy(model)):
        assert torch.equal(each(x), model(x))
    torch.manual_seed(2)
    ours = loaded.train()(x)
    torch.manual_seed(2)
    assert torch.equal(ours, model.train()(x))


def test_weights_come_from_a_file_with_torchvisions_names_or_the_models_own(tmp_path: Path) -> None:
    network = of_torchvision("resnet18")
    save_file(network.state_dict(), tmp_path / "theirs.safetensors")
    torch.manual_seed(5)
    theirs = applications.ResNet18(weights=tmp_path / "theirs.safetensors", input_shape=(40, 40, 3))
    theirs.save_weights(tmp_path / "ours.safetensors")
    ours = applications.ResNet18(weights=str(tmp_path / "ours.safetensors"), input_shape=(40, 40, 3))
    x = images(40)
    expected = network(x.permute(0, 3, 1, 2))
    assert torch.equal(theirs(x), expected)
    assert torch.equal(ours(x), expected)
    with pytest.raises(
        WeightMismatchError, match=r"'fc.weight' is \(1000, 512\) float32 instead of \(5, 512\)"
    ):
        applications.ResNet18(weights=tmp_path / "theirs.safetensors", classes=5)


def test_imagenet_weights_are_torchvisions_best(monkeypatch: pytest.MonkeyPatch) -> None:
    models = torchvision.load().models
    asked: list[Any] = []
    original = models.get_model

    def get_model(name: str, weights: Any) -> nn.Module:
        asked.append((name, weights))
        return original(name, weights=None)

    monkeypatch.setattr(models, "get_model", get_model)
    applications.MobileNetV3Small(weights="imagenet", input_shape=(40, 40, 3))
    assert asked == [("mobilenet_v3_small", "DEFAULT")]


def test_imagenet_weights_without_a_connection_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nonexistent")
    monkeypatch.setattr("os.makedirs", lambda *args, **kwargs: None)
    with pytest.raises(
        TorchfuncError, match=r"no route to host.*weights=None for random ones, or a .safetensors file"
    ):
        applications.MobileNetV3Small(weights="imagenet")


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (
            {"weights": "imagenet", "classes": 10},
            GraphError,
            r"classes=10.*include_top=False, and layers.Dense\(10\)",
        ),
        (
            {"weights": "vgg19.pth"},
            SavingError,
            r"a .safetensors file or one of Keras's.*pickled Python, which runs when it is read",
        ),
        ({"pooling": "mean"}, GraphError, "expected 'avg' or 'max', got pooling='mean'"),
        (
            {"data_format": "NHWC"},
            GraphError,
            "expected 'channels_last' or 'channels_first', got data_format='NHWC'",
        ),
        ({"input_shape": (3, 224, 224)}, ShapeError, r"expected \(height, width, 3\), got \(3, 224, 224\)"),
        ({"input_shape": (224, 224)}, ShapeError, r"expected \(height, width, 3\)"),
        ({"input_shape": 224}, GraphError, r"such as \(224, 224, 3\), got input_shape=224"),
        ({"classes": 0}, GraphError, "expected a positive integer, got classes=0"),
        ({"include_top": "imagenet"}, GraphError, "weights go by their name, got include_top='imagenet'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        applications.ResNet18(**options)


def test_without_torchvision_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingExtraError("torchvision", "vision", "What comes from torchvision")

    monkeypatch.setattr(torchvision, "load", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'torchfunc\[vision\]'"):
        applications.ResNet18()


@pytest.mark.parametrize(
    ("builder", "size"),
    [
        ("alexnet", 64),
        ("squeezenet1_1", 64),
        ("shufflenet_v2_x0_5", 40),
        ("mnasnet0_5", 40),
        ("regnet_y_400mf", 40),
        ("swin_t", 64),
        ("vit_b_16", 224),
    ],
)
def test_other_networks_of_torchvision_are_graphs_by_from_module(builder: str, size: int) -> None:
    network, x = of_torchvision(builder), torch.rand(1, 3, size, size)
    model = from_module(network, (3, size, size))
    assert len(model.layers) > 20
    with torch.no_grad():
        assert torch.equal(model(x), network(x))


def test_a_network_of_torchvision_that_cannot_be_one_graph_is_refused_with_its_line() -> None:
    network = of_torchvision("googlenet", init_weights=False)
    with pytest.raises(GraphError, match=r"GoogLeNet \(googlenet.py, line \d+\).*training mode"):
        from_module(network, (3, 96, 96))


def test_an_application_compiles_to_one_graph() -> None:
    model = built("ResNet18", input_shape=(40, 40, 3))
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    x = images(40)
    assert torch.equal(compiled(x), model(x))


def test_preprocessing_is_torchvisions() -> None:
    torchvision.load()  # which is to come before an import by hand
    from torchvision.transforms.functional import normalize

    pixels = np.random.randint(0, 256, (2, 8, 8, 3)).astype("uint8")
    first = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    expected = normalize(first.float() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    ours = applications.densenet.preprocess_input(pixels)
    assert isinstance(ours, np.ndarray)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected.permute(0, 2, 3, 1).numpy(), rtol=0, atol=1e-6)
    torch.testing.assert_close(applications.densenet.preprocess_input(first, "channels_first"), expected)


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_training_says_whether_a_call_drops_branches(mode: str) -> None:
    layer, x = applications.StochasticDepth(1.0, mode), torch.ones(4, 2)
    assert torch.equal(layer(x, training=False), x) and not layer(x).any()
    assert torch.equal(layer.eval()(x), x) and not layer(x, training=True).any()
