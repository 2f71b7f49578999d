"""The laws that every image layer keeps: shapes, dtypes, seeds, single images, dicts, graphs, files, compilers, workers."""

from __future__ import annotations

import copy
import doctest
import importlib
import json
import pickle
import pkgutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import torchfunc as tf
from tests.layers.augmentation.rows import ALWAYS, FORMATS, OF_BATCHES, ROWS, SEEDED, everything, images, made
from torchfunc import layers
from torchfunc.layers import augmentation
from torchfunc.tree import leaves, map_leaves

each_kind = pytest.mark.parametrize("kind", ROWS)
each_format = pytest.mark.parametrize("data_format", FORMATS)
MODULES = [each.name for each in pkgutil.iter_modules(augmentation.__path__)]
WHOLE = ("Resizing", "RandomGrayscale", "ContrastLimitedAdaptiveHistogramEqualization", "MaxNumBoundingBoxes")


@each_kind
@each_format
def test_what_is_said_while_a_graph_is_built_is_what_comes_out(kind: str, data_format: str) -> None:
    layer, given = made(kind, data_format=data_format), images(data_format=data_format)
    for dtype in (torch.float32, torch.uint8):
        symbol, output = layer(tf.Input(given.shape[1:], dtype=dtype)), layer(given.to(dtype))
        assert symbol.shape == (None, *output.shape[1:])
        assert (
            symbol.dtype
            == output.dtype
            == (torch.uint8 if dtype is torch.uint8 and kind in WHOLE else torch.float32)
        )
    assert layer.compute_output_shape((5, *given.shape[1:])) == (5, *output.shape[1:])


@each_kind
def test_sizes_may_be_unknown(kind: str) -> None:
    inputs = tf.Input((None, None, 3))
    model = tf.Model(inputs, made(kind)(inputs))
    for size in ((8, 9), (12, 7)):
        output = model(images(2, *size))
        assert output.shape == ((2, 5, 6, 3) if kind.endswith(("Crop", "Resizing")) else (2, *size, 3))


@each_kind
@each_format
def test_one_image_is_a_batch_of_one(kind: str, data_format: str) -> None:
    given = images(data_format=data_format)
    one, batch = made(kind, data_format=data_format)(given[0]), made(kind, data_format=data_format)(given[:1])
    torch.testing.assert_close(one, batch[0] if kind != "CutMix" else given[0])


@each_kind
def test_both_data_formats_give_the_same_image(kind: str) -> None:
    given = images()
    last = made(kind, data_format="channels_last")(given)
    first = made(kind, data_format="channels_first")(given.permute(0, 3, 1, 2).contiguous())
    if kind == "RandomErasing":  # whose noise lies in the order of memory
        last, first = last == given, first == given.permute(0, 3, 1, 2)
    torch.testing.assert_close(first.permute(0, 2, 3, 1), last, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("kind", SEEDED)
def test_a_seed_repeats_the_same_changes_and_a_copy_goes_on_from_there(kind: str) -> None:
    given, one, other = images(), made(kind), made(kind)
    first = one(given)
    torch.testing.assert_close(first, other(given), rtol=0, atol=0)
    twins = [copy.deepcopy(one), pickle.loads(pickle.dumps(one))]
    second = one(given)
    for twin in twins:
        torch.testing.assert_close(twin(given), second, rtol=0, atol=0)
    many = [made(kind, seed=seed)(given) for seed in range(8)]
    assert any(not torch.equal(each, many[0]) for each in many[1:])


@pytest.mark.parametrize("kind", SEEDED)
def test_without_a_seed_pytorchs_own_random_numbers_are_drawn(kind: str) -> None:
    layer, given = made(kind, seed=None), images()
    torch.manual_seed(4)
    first = layer(given)
    torch.manual_seed(4)
    torch.testing.assert_close(layer(given), first, rtol=0, atol=0)


@pytest.mark.parametrize("kind", [kind for kind in SEEDED if kind not in OF_BATCHES])
def test_each_image_of_a_batch_is_changed_in_its_own_way(kind: str) -> None:
    same = images(1).repeat(16, 1, 1, 1)
    layers_of_it = [made(kind, seed=seed) for seed in range(6)]
    assert any(
        not torch.equal(each, output[0])
        for layer in layers_of_it
        for output in [layer(same)]
        for each in output
    )


@each_kind
def test_inference_changes_nothing_but_what_always_acts(kind: str) -> None:
    data = everything(kind)
    layer = made(kind, bounding_box_format="xyxy").eval()
    if kind not in ALWAYS:
        torch.testing.assert_close(layer(data["images"]), data["images"], rtol=0, atol=0)
        torch.testing.assert_close(made(kind)(data["images"], training=False), data["images"], rtol=0, atol=0)
        if kind != "CutMix":
            for mine, before in zip(leaves(layer(data)), leaves(data), strict=True):
                torch.testing.assert_close(mine, before, rtol=0, atol=0, check_dtype=False)
    assert layer.get_random_transformation(data, training=False) is None or kind in ALWAYS


@each_kind
@each_format
def test_a_dict_keeps_its_keys_and_everything_has_the_shape_of_its_image(kind: str, data_format: str) -> None:
    data = everything(kind, data_format)
    before = copy.deepcopy(data)
    layer = made(kind, data_format=data_format, bounding_box_format="xyxy")
    found = layer(data)
    assert list(found) == list(data)
    for mine, given in zip(leaves(data), leaves(before), strict=True):
        torch.testing.assert_close(mine, given, rtol=0, atol=0)  # what was given stays
    space = slice(1, 3) if data_format == "channels_last" else slice(2, 4)
    assert found["segmentation_masks"].shape[space] == found["images"].shape[space]
    assert found["labels"].shape == (3, 3) and torch.equal(found["weights"], data["weights"])
    one = layer({key: map_leaves(lambda leaf: leaf[0], value) for key, value in data.items()})
    for mine, whole in zip(leaves(one), leaves(found), strict=True):
        assert mine.shape == whole.shape[1:]
    arrays = layer(map_leaves(lambda leaf: leaf.numpy(), data))
    for mine, whole in zip(leaves(arrays), leaves(found), strict=True):
        assert mine.shape == whole.shape and mine.dtype == whole.dtype


@each_kind
def test_a_dict_of_symbols_is_one_call_of_a_model(kind: str) -> None:
    data = {key: value for key, value in everything(kind).items() if key != "weights"}
    if kind == "MixUp":
        del data["bounding_boxes"]  # of which there are twice as many in training
    symbols = map_leaves(lambda leaf: tf.Input(leaf.shape[1:], dtype=leaf.dtype), data)
    layer = made(kind, bounding_box_format="xyxy")
    outputs = layer(symbols)
    model = tf.Model(symbols, outputs).eval()
    for mine, expected, symbol in zip(
        leaves(model(data)), leaves(layer.eval()(data)), leaves(outputs), strict=True
    ):
        torch.testing.assert_close(mine, expected, rtol=0, atol=0)
        assert symbol.shape[1:] == tuple(mine.shape[1:]) and symbol.dtype == mine.dtype


@each_kind
def test_a_config_and_a_file_give_the_layer_back(kind: str, tmp_path: Path) -> None:
    layer, given = made(kind, data_format="channels_last", bounding_box_format="rel_xyxy"), images()
    config = json.loads(json.dumps(layer.get_config()))
    twin = type(layer).from_config(config)
    assert json.loads(json.dumps(twin.get_config())) == config
    torch.testing.assert_close(twin(given), made(kind)(given), rtol=0, atol=0)
    inputs = tf.Input(given.shape[1:])
    model = tf.Model(inputs, layer(inputs))
    model.save(tmp_path / "m.safetensors")
    loaded = tf.load_model(tmp_path / "m.safetensors")
    torch.testing.assert_close(loaded.train()(given), model.train()(given), rtol=0, atol=0)
    assert loaded.layers[-1].get_config() == layer.get_config()
    clone = tf.models.clone_model(model)
    torch.testing.assert_close(clone.eval()(given), model.eval()(given), rtol=0, atol=0)


@each_kind
def test_one_whole_graph_under_torch_compile(kind: str) -> None:
    layer, given = made(kind, seed=None) if kind in SEEDED else made(kind), images()
    for training in (False, True):
        layer.train(training)
        torch._dynamo.reset()
        # AugMix and RandAugment choose in Python
        whole = not training or kind not in ("AugMix", "RandAugment")
        compiled = torch.compile(layer, fullgraph=whole, backend="eager")
        torch.manual_seed(0)
        mine = compiled(given)
        torch.manual_seed(0)
        torch.testing.assert_close(mine, layer(given), rtol=1e-5, atol=1e-3)


# the dynamo of PyTorch 2.11 does not know what shape gamma numbers have, unless all sizes are fixed
GAMMA_HAS_A_SHAPE = torch._C._dispatch_has_kernel_for_dispatch_key("aten::_standard_gamma", "Meta")


@pytest.mark.parametrize("kind", [kind for kind in ROWS if kind not in ("AugMix", "RandAugment")])
def test_one_compiled_graph_takes_batches_of_any_size(kind: str) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(made(kind), fullgraph=True, dynamic=True, backend="eager")
    if kind in ("CutMix", "MixUp") and not GAMMA_HAS_A_SHAPE:
        with pytest.raises(torch._dynamo.exc.Unsupported, match="_standard_gamma"):
            compiled(images(2))
        return
    for number in (2, 5):
        assert compiled(images(number)).shape[0] == number


@each_kind
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_floats_keep_their_precision_and_no_image_is_an_image_too(kind: str, dtype: torch.dtype) -> None:
    given, layer = images().to(dtype), made(kind)
    output = layer(given)
    assert output.dtype == dtype and bool(torch.isfinite(output).all())
    assert layer(given[:0]).shape == (0, *output.shape[1:])


# the values of the others are steps
@pytest.mark.parametrize(
    "kind", [kind for kind in ROWS if "Equalization" not in kind and kind != "RandomPosterization"]
)
def test_gradients_reach_the_images(kind: str) -> None:
    given = images().requires_grad_()
    made(kind)(given).sum().backward()
    assert given.grad is not None and bool(torch.isfinite(given.grad).all())


class Pictures(Dataset[Any]):
    """Eight times the same image, changed by a layer in the worker that loads it."""

    def __init__(self, layer: Any) -> None:
        self.image, self.layer = images(1)[0], layer

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Tensor:
        changed: Tensor = self.layer(self.image)
        return changed


@pytest.mark.parametrize("seed", [3, None])
def test_the_workers_of_a_loader_draw_differently_in_each_epoch_and_alike_in_each_run(seed: Any) -> None:
    def run() -> list[Tensor]:
        torch.manual_seed(0)
        loader = DataLoader(Pictures(layers.RandomBrightness(0.3, seed=seed)), batch_size=1, num_workers=2)
        return [torch.cat(list(loader))[:, 0, 0, 0] for _ in range(2)]

    epochs = run()
    assert len(set(torch.cat(epochs).tolist())) == 16
    for mine, again in zip(epochs, run(), strict=True):
        torch.testing.assert_close(mine, again, rtol=0, atol=0)


def test_a_class_of_yours_says_what_is_drawn_and_what_it_does() -> None:
    class Darker(layers.BaseImagePreprocessingLayer):
        def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
            return {"by": 10.0} if training else None

        def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
            return images - transformation["by"] if training else images

        def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
            return labels + 1

    given, layer = images(), Darker()
    torch.testing.assert_close(layer(given), given - 10)
    torch.testing.assert_close(layer(given[0]), given[0] - 10)
    torch.testing.assert_close(layer.eval()(given), given)
    assert layer({"images": given, "labels": torch.zeros(3)}, training=True)["labels"].tolist() == [1, 1, 1]
    assert layer(tf.Input((8, 9, 3))).shape == (None, 8, 9, 3)

    class Halved(layers.RandomFlip):
        def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
            return super().transform_images(images, transformation, training)[:, ::2]

    assert Halved()(given).shape == (3, 4, 9, 3) and Halved()(tf.Input((8, 9, 3))).shape == (None, 4, 9, 3)


def test_layers_train_in_a_model_and_rest_in_prediction() -> None:
    inputs = tf.Input((8, 8, 3))
    x = layers.Rescaling(1 / 255)(layers.RandomContrast(0.5)(layers.RandomFlip()(inputs)))
    model = tf.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    model.compile(optimizer="sgd", loss="mse")
    given = images(4, 8, 8)
    assert len(model.fit(given, torch.zeros(4, 2), epochs=2, verbose=0).history["loss"]) == 2
    torch.testing.assert_close(
        torch.as_tensor(model.predict(given, verbose=0)),
        torch.as_tensor(model.predict(given, verbose=0)),
        rtol=0,
        atol=0,
    )


def test_a_pipeline_is_its_layers_one_after_the_other(tmp_path: Path) -> None:
    chain = [layers.Resizing(6, 6), layers.RandomFlip(seed=1), layers.Rescaling(1 / 255), torch.nn.ReLU()]
    pipeline, given = layers.Pipeline(chain, name="ready"), images()
    expected = layers.RandomFlip(seed=1)(layers.Resizing(6, 6)(given)) / 255
    torch.testing.assert_close(pipeline(given), expected)
    torch.testing.assert_close(pipeline(given.numpy(), training=False), layers.Resizing(6, 6)(given) / 255)
    assert pipeline.layers == chain
    twin = layers.Pipeline.from_config(json.loads(json.dumps(pipeline.get_config())))
    assert twin.name == "ready" and twin.get_config() == pipeline.get_config()
    inputs = tf.Input((8, 9, 3))
    model = tf.Model(inputs, pipeline(inputs))
    model.save(tmp_path / "m.safetensors")
    loaded = tf.load_model(tmp_path / "m.safetensors")
    torch.testing.assert_close(loaded.eval()(given), model.eval()(given), rtol=0, atol=0)
    data = layers.Pipeline([layers.CenterCrop(4, 4), layers.RandomInvert((1.0, 1.0))])(
        {"images": given, "labels": given}
    )
    assert data["images"].shape == (3, 4, 4, 3) and data["labels"] is given


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_say_what_comes_out(name: str) -> None:
    module = importlib.import_module(f"torchfunc.layers.augmentation.{name}")
    names = {"torch": torch, "layers": layers, "utils": tf.utils}
    for test in doctest.DocTestFinder().find(module, extraglobs=names):
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
        assert runner.run(test).failed == 0, test.name
