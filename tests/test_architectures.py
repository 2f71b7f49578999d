"""Every architecture of keras.applications: Keras's own where torchvision has none, and Keras's words around all."""

from __future__ import annotations

import copy
import json
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras.src.applications import nasnet
from torch import nn

import torchfunc as tf
from torchfunc import applications, layers
from torchfunc.applications import imagenet_utils
from torchfunc.applications.families import Application
from torchfunc.applications.origins import Definition, Torchvision
from torchfunc.errors import (
    DataError,
    GraphError,
    MissingExtraError,
    ShapeError,
    WeightMismatchError,
)
from torchfunc.interop import timm, torchvision

NAMES = [name for name, value in vars(applications).items() if isinstance(value, Application)]
OURS = [name for name in NAMES if isinstance(getattr(applications, name).source, Definition)]
# Keras refuses these two on torch, over a bug that is no more
KERAS = {
    "NASNetMobile": partial(
        nasnet.NASNet,
        penultimate_filters=1056,
        num_blocks=4,
        stem_block_filters=32,
        skip_reduction=False,
        default_size=224,
    ),
    "NASNetLarge": partial(nasnet.NASNet, default_size=331),
}


def of_keras(name: str, **options: Any) -> Any:
    return KERAS.get(name, getattr(keras.applications, name))(weights=None, **options)


def with_numbers(model: Any) -> Any:
    """Weights that keep the outputs apart, and small enough that no sigmoid stands on its edge."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith(("gamma", "variance")):
            weight.assign(generator.uniform(1.0, 1.1, weight.shape))
        elif weight.path.endswith(("bias", "beta", "mean")) and "normalization/" not in weight.path:
            weight.assign(generator.normal(0, 0.1, weight.shape))
    return model


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Xception", {"input_shape": (71, 90, 3)}),
        ("MobileNet", {"input_shape": (40, 33, 3), "alpha": 0.5, "depth_multiplier": 2, "classes": 5}),
        ("ResNet50V2", {"input_shape": (40, 40, 3), "include_top": False, "pooling": "avg"}),
        ("EfficientNetV2B0", {"input_shape": (64, 50, 3)}),
        ("EfficientNetV2B3", {"input_shape": (40, 40, 3), "include_top": False}),
        ("InceptionResNetV2", {"input_shape": (75, 75, 3), "include_top": False, "pooling": "max"}),
        ("NASNetMobile", {"input_shape": (64, 64, 3), "classes": 7}),
        ("NASNetLarge", {"input_shape": (43, 43, 3), "include_top": False}),
    ],
)
def test_a_definition_is_kerass_with_the_weights_in_its_order(name: str, options: dict[str, Any]) -> None:
    theirs = with_numbers(of_keras(name, classifier_activation="softmax", **options))
    model = getattr(applications, name)(classifier_activation="softmax", **options)
    model.set_weights([each.value.detach().numpy() for each in theirs.weights])
    images = np.random.default_rng(1).uniform(0, 255, (2, *options["input_shape"])).astype("float32")
    if "Efficient" not in name:
        images = images / 127.5 - 1
    expected = theirs(images, training=False).detach().numpy()
    with torch.no_grad():
        found = model(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in OURS), ("MobileNet", {"alpha": 0.25}), ("MobileNetV2", {"alpha": 0.35}),
     ("MobileNetV2", {"alpha": 1.4}), ("MobileNetV3Small", {"minimalistic": True}),
     ("MobileNetV3Large", {"alpha": 0.75}), ("MobileNetV3Large", {"minimalistic": True, "alpha": 0.75}),
     ("DenseNet169", {}), ("EfficientNetB3", {}), ("EfficientNetV2S", {}), ("ConvNeXtXLarge", {})],
)  # fmt: skip
def test_a_network_has_as_many_weights_as_kerass(name: str, options: dict[str, Any]) -> None:
    with keras.device("meta"):
        expected = sum(each.numel() for each in weights_of(of_keras(name, **options)))
    with torch.device("meta"):
        model = getattr(applications, name)(include_preprocessing=False, **options)
    assert model.count_params() == expected


def weights_of(model: Any) -> list[torch.Tensor]:
    """Those of Keras's, without the mean and variance of images, which are known."""
    return [each.value for each in model.weights if not each.path.startswith("normalization")]


TRACED = [name for name in NAMES if isinstance(getattr(applications, name).source, Torchvision)]


@pytest.mark.parametrize("name", [each for each in TRACED if each not in ("ConvNeXtXLarge", "InceptionV3")])
def test_a_network_of_torchvisions_has_the_parameters_that_it_states(name: str) -> None:
    builder = getattr(applications, name).source.name
    with torch.device("meta"):
        model = getattr(applications, name)()
    stated = torchvision.load().models.get_model_weights(builder).DEFAULT.meta["num_params"]
    assert sum(each.numel() for each in model.parameters()) == stated
    assert len(model.layers) > 20


def test_the_size_of_images_is_kerass() -> None:
    for name in ("EfficientNetB2", "EfficientNetV2B1", "InceptionV3", "NASNetLarge", "VGG16"):
        with keras.device("meta"):
            expected = of_keras(name).input_shape
        with torch.device("meta"):
            assert getattr(applications, name)().input_shape == expected


def test_without_the_top_images_have_any_size() -> None:
    for name in ("ResNet18", "MobileNet", "Xception"):
        model = getattr(applications, name)(include_top=False)
        assert model.input_shape == (None, None, None, 3)
        assert tuple(model(torch.rand(1, 96, 128, 3)).shape[1:3]) == (3, 4)


@pytest.mark.parametrize("name", ["ResNet18", "MobileNetV2", "Xception"])
def test_images_may_have_one_channel(name: str) -> None:
    model = getattr(applications, name)(input_shape=(75, 75, 1), classes=10)
    assert model(torch.rand(2, 75, 75, 1)).shape == (2, 10)
    with pytest.raises(ShapeError, match=r"expected \(height, width, 3\), got \(75, 75, 1\)"):
        getattr(applications, name)(input_shape=(75, 75, 1), weights="imagenet")


@pytest.mark.parametrize(
    ("name", "last_layer"), [("MobileNet", "conv_preds"), ("EfficientNetV2B0", "predictions")]
)
def test_a_definition_takes_channels_first_comes_back_from_its_file_and_trains(
    name: str, last_layer: str, tmp_path: Path
) -> None:
    x = torch.rand(2, 40, 40, 3)
    torch.manual_seed(0)
    last = getattr(applications, name)(input_shape=(40, 40, 3), include_top=False)
    torch.manual_seed(0)
    first = getattr(applications, name)(
        input_shape=(3, 40, 40), include_top=False, data_format="channels_first"
    )
    torch.testing.assert_close(first(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), last(x))
    last.save(tmp_path / "model.safetensors")
    assert torch.equal(tf.load_model(tmp_path / "model.safetensors").eval()(x), last(x))
    model = getattr(applications, name)(input_shape=(40, 40, 3), classes=3)
    model.compile(optimizer="sgd", loss=nn.CrossEntropyLoss())
    before = copy.deepcopy(model.state_dict())
    model.fit(x.numpy(), np.array([0, 1]), verbose=0)
    assert not torch.equal(model.get_layer("predictions" if name != "MobileNet" else "conv_preds").weight,
                           before[("predictions" if name != "MobileNet" else "conv_preds") + ".weight"])  # fmt: skip


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own writing
@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_kerass_files_of_weights_fill_a_definition(suffix: str, tmp_path: Path) -> None:
    theirs = with_numbers(of_keras("MobileNet", include_top=False, input_shape=(40, 40, 3), alpha=0.25))
    path = tmp_path / f"theirs{suffix}"
    (theirs.save_weights if "weights" in suffix else theirs.save)(path)
    model = applications.MobileNet(weights=path, include_top=False, input_shape=(40, 40, 3), alpha=0.25)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 40, 40, 3)).astype("float32")
    expected = theirs(images, training=False).detach()
    torch.testing.assert_close(model(torch.from_numpy(images)), expected, rtol=1e-5, atol=1e-5)


MODULES = {
    "convnext": "ConvNeXtTiny", "densenet": "DenseNet121", "efficientnet": "EfficientNetB0",
    "efficientnet_v2": "EfficientNetV2B0", "inception_resnet_v2": "InceptionResNetV2",
    "inception_v3": "InceptionV3", "mobilenet": "MobileNet", "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3": "MobileNetV3Small", "nasnet": "NASNetMobile", "resnet": "ResNet50", "resnet50": "ResNet50",
    "resnet_v2": "ResNet50V2", "vgg16": "VGG16", "vgg19": "VGG19", "xception": "Xception",
}  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_preprocessing_is_kerass(module: str, order: str) -> None:
    ours = getattr(applications, module).preprocess_input
    theirs = getattr(keras.applications, module).preprocess_input
    generator = np.random.default_rng(0)
    for shape in ((3, 3, 3), (2, 3, 3, 3)):
        for kind in ("uint8", "float32", "float64"):
            pixels = generator.uniform(0, 256, shape).astype(kind)
            expected = theirs(pixels.copy(), data_format=order)
            found = ours(pixels, data_format=order)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=0, atol=0)
            tensor = ours(torch.from_numpy(pixels), data_format=order)
            assert isinstance(tensor, torch.Tensor)
            np.testing.assert_allclose(tensor.numpy(), expected, rtol=0, atol=1e-4 if "16" in kind else 2e-5)


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_preprocessing_is_recorded_and_leaves_its_images_as_they_are(mode: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype("float32")
    before = pixels.copy()
    expected = imagenet_utils.preprocess_input(pixels, mode=mode)
    assert (pixels == before).all()
    inputs = tf.Input((4, 4, 3), dtype="uint8")
    model = tf.Model(inputs, imagenet_utils.preprocess_input(inputs, mode=mode))
    whole = pixels.astype("uint8")
    expected = keras.applications.imagenet_utils.preprocess_input(whole, mode=mode)
    np.testing.assert_allclose(model(torch.from_numpy(whole)).numpy(), expected, rtol=0, atol=2e-5)
    model.save(tmp_path / "model.safetensors")
    again = tf.load_model(tmp_path / "model.safetensors")
    assert torch.equal(again(torch.from_numpy(whole)), model(torch.from_numpy(whole)))


def test_an_unknown_mode_or_order_of_axes_is_refused() -> None:
    with pytest.raises(GraphError, match="expected 'caffe', 'tf' or 'torch', got mode='keras'"):
        imagenet_utils.preprocess_input(np.ones((1, 2, 2, 3)), mode="keras")
    with pytest.raises(
        GraphError, match="expected 'channels_last' or 'channels_first', got data_format='NHWC'"
    ):
        applications.vgg16.preprocess_input(np.ones((1, 2, 2, 3)), data_format="NHWC")


@pytest.mark.parametrize("name", ["VGG16", "MobileNetV2", "EfficientNetB0", "InceptionV3", "DenseNet121"])
def test_with_imagenet_weights_a_model_takes_what_its_preprocess_input_gives(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those weights are of images in torchvision's form, which is not Keras's."""
    models = torchvision.load().models
    original, made = models.get_model, []

    def get_model(builder: str, weights: Any) -> nn.Module:
        torch.manual_seed(0)
        more = {"transform_input": True, "init_weights": False} if builder == "inception_v3" else {}
        made.append(copy.deepcopy(original(builder, weights=None, **more)).eval())
        return copy.deepcopy(made[0])

    monkeypatch.setattr(models, "get_model", get_model)
    model = getattr(applications, name)(weights="imagenet", input_shape=(80, 80, 3))
    module = next(each for each, one in MODULES.items() if one.startswith(name[:11]))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 80, 80, 3)).astype("float32")
    found = model(torch.from_numpy(getattr(applications, module).preprocess_input(pixels)))
    standard = models.get_model_weights(getattr(applications, name).source.name).DEFAULT.transforms()
    mean, deviation = (torch.tensor(each) for each in (standard.mean, standard.std))
    expected = made[0](((torch.from_numpy(pixels) / 255 - mean) / deviation).permute(0, 3, 1, 2))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_weights_of_a_model_that_preprocesses_do_not_fit_one_that_does_not(tmp_path: Path) -> None:
    made = applications.MobileNetV2(include_preprocessing=True, input_shape=(40, 40, 3))
    made.save_weights(tmp_path / "w.safetensors")
    with pytest.raises(WeightMismatchError):
        applications.MobileNetV2(weights=tmp_path / "w.safetensors", input_shape=(40, 40, 3))
    same = applications.MobileNetV2(
        weights=tmp_path / "w.safetensors", include_preprocessing=True, input_shape=(40, 40, 3)
    )
    x = torch.rand(1, 40, 40, 3)
    assert torch.equal(same(x), made(x))


def test_a_layer_that_scales_channels_is_its_formula_and_comes_back(tmp_path: Path) -> None:
    x = torch.rand(2, 4, 4, 3)
    layer = applications.ChannelScaling((1.0, 2.0, 3.0), (0.5, 0.0, -1.0), reverse=True)
    expected = x.flip(-1) * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([0.5, 0.0, -1.0])
    assert torch.equal(layer(x), expected)
    first = applications.ChannelScaling((1.0, 2.0, 3.0), (0.5, 0.0, -1.0), True, "channels_first")
    assert torch.equal(first(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), expected)
    model = tf.Sequential([tf.Input((4, 4, 3)), layer])
    model.save(tmp_path / "m.safetensors")
    assert torch.equal(tf.load_model(tmp_path / "m.safetensors")(x), expected)


@pytest.fixture
def timm_without_weights(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """What timm would make, with random weights instead of those that it downloads."""
    package, made = timm.load(), []
    original = package.create_model

    def create_model(name: str, pretrained: bool, **options: Any) -> nn.Module:
        assert pretrained
        network = original(name, pretrained=False, **options)
        made.append(copy.deepcopy(network).eval())
        return network

    monkeypatch.setattr(package, "create_model", create_model)
    return made


@pytest.mark.parametrize("name", ["MobileNet", "EfficientNetV2B0", "ResNet50V2"])
def test_imagenet_weights_that_torchvision_lacks_are_timms_with_its_network(
    name: str, timm_without_weights: list[nn.Module], tmp_path: Path
) -> None:
    x, made = torch.rand(2, 40, 40, 3), timm_without_weights
    options = {"weights": "imagenet", "input_shape": (40, 40, 3), "include_preprocessing": False}
    model = getattr(applications, name)(**options)
    maps = getattr(applications, name)(include_top=False, pooling="avg", **options)
    first = x.permute(0, 3, 1, 2)
    assert torch.equal(model(x), made[0](first))
    assert torch.equal(maps(x), made[1](first).mean((2, 3)))
    model.save(tmp_path / "m.safetensors")
    assert torch.equal(tf.load_model(tmp_path / "m.safetensors").eval()(x), model(x))


@pytest.mark.usefixtures("timm_without_weights")
def test_timms_networks_take_what_preprocess_input_gives() -> None:
    model = applications.EfficientNetV2B0(weights="imagenet", input_shape=(40, 40, 3))
    plain = applications.MobileNet(weights="imagenet", input_shape=(40, 40, 3))
    scaling = next(each for each in model.layers if isinstance(each, applications.ChannelScaling))
    pixels = torch.rand(1, 3, 4, 4) * 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (pixels / 255 - mean[:, None, None]) / deviation[:, None, None]
    torch.testing.assert_close(scaling(pixels), expected)
    # timm's has values from -1 to 1, as the family has
    assert not any(isinstance(each, applications.ChannelScaling) for each in plain.layers)


def test_every_network_that_timm_stands_for_is_one_of_its_with_weights() -> None:
    names = [getattr(applications, each).pretrained for each in NAMES]
    known = set(timm.load().list_pretrained())
    asked = {each.name for each in names if each is not None and not isinstance(each, Torchvision)}
    assert len(asked) == 11 and asked <= known


def test_without_timm_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"'timm', which is not installed.*'torchfunc\[timm\]'"):
        applications.Xception(weights="imagenet")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        (
            "ResNet152V2",
            {},
            "Neither torchvision nor timm has weights.*the file of weights that Keras publishes",
        ),
        ("MobileNetV2", {"alpha": 0.5}, "expected alpha=1.0, got weights='imagenet' with alpha=0.5"),
        ("MobileNetV3Small", {"minimalistic": True}, "expected minimalistic=False"),
        (
            "VGG16",
            {"include_preprocessing": "yes"},
            "expected True, False or None, got include_preprocessing='yes'",
        ),
    ],
)
def test_imagenet_weights_that_nobody_has_are_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(GraphError, match=words):
        getattr(applications, name)(weights="imagenet", **options)


def test_predictions_are_told_by_name(tmp_path: Path) -> None:
    scores = np.zeros((2, 1000), "float32")
    scores[0, [285, 1]] = 0.75, 0.25
    scores[1, 999] = 1.0
    found = applications.resnet50.decode_predictions(scores, top=2)
    assert found[0] == [("n02124075", "Egyptian_cat", 0.75), ("n01443537", "goldfish", 0.25)]
    assert found[1][0] == ("n15075141", "toilet_tissue", 1.0)
    assert applications.vgg16.decode_predictions(torch.from_numpy(scores), top=2) == found
    index = {str(place): [f"n{place}", f"class {place}"] for place in range(1000)}
    (tmp_path / "index.json").write_text(json.dumps(index))
    named = imagenet_utils.decode_predictions(scores, 1, class_index=tmp_path / "index.json")
    assert named == [[("n285", "class 285", 0.75)], [("n999", "class 999", 1.0)]]
    (tmp_path / "index.json").write_text(json.dumps({"0": ["n0", "zero"]}))
    with pytest.raises(DataError, match="1000 classes, got class_index=.*index.json"):
        imagenet_utils.decode_predictions(scores, class_index=tmp_path / "index.json")
    with pytest.raises(ShapeError, match=r"expected \(batch, 1000\), got scores \(2, 10\)"):
        imagenet_utils.decode_predictions(scores[:, :10])


def test_the_likeliest_classes_are_kerass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    index = {str(place): [f"n{place}", f"class {place}"] for place in range(1000)}
    (tmp_path / "index.json").write_text(json.dumps(index))
    monkeypatch.setattr(keras.src.applications.imagenet_utils, "CLASS_INDEX", index)
    scores = np.random.default_rng(0).random((3, 1000))
    theirs = keras.applications.imagenet_utils.decode_predictions(scores, top=7)
    assert imagenet_utils.decode_predictions(scores, top=7, class_index=tmp_path / "index.json") == theirs


def test_ids_are_those_of_wordnet_in_order() -> None:
    places = imagenet_utils.decode_predictions(np.arange(1000.0)[None], top=1000)[0]
    ids = [each[0] for each in reversed(places)]
    assert ids == sorted(ids) and len(set(ids)) == 1000


def test_the_modules_of_the_families_have_kerass_names() -> None:
    for module, name in MODULES.items():
        family = getattr(applications, module)
        assert getattr(family, name) is getattr(applications, name)
        assert family.decode_predictions is imagenet_utils.decode_predictions


def test_layers_of_a_definition_have_kerass_names() -> None:
    with torch.device("meta"):
        model = applications.Xception()
    assert model.get_layer("block14_sepconv2_act").output.shape == (None, 10, 10, 2048)
    assert isinstance(model.get_layer("block5_sepconv1"), layers.SeparableConv2D)
