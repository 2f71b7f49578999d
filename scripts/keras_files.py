"""Takes every architecture of `keras.applications` through files, both ways, and prints the largest differences.

    KERAS_BACKEND=torch python scripts/keras_files.py                    # all of them, the smallest first
    KERAS_BACKEND=torch python scripts/keras_files.py VGG16 ResNet50

Each is made by Keras with random weights, for its smallest images; written by Keras and read here, written here and
read by Keras, and called on the same images three times. Differences are those of the outputs, as shares of the
largest output. It takes minutes, and up to 3 GB of memory: one architecture is done with before the next begins.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

import torchfunc as tf

# the smallest images that each takes without its top, in pixels; 32 where it is not said
SIZES = {"InceptionResNetV2": 75, "InceptionV3": 75, "Xception": 71}
WEIGHTS = {"gamma": (0.5, 1.5), "moving_variance": (0.5, 1.5)}
# by the number of their weights
ARCHITECTURES = (
    "MobileNetV3Small MobileNetV2 MobileNet MobileNetV3Large EfficientNetB0 NASNetMobile EfficientNetV2B0 "
    "EfficientNetB1 EfficientNetV2B1 DenseNet121 EfficientNetB2 EfficientNetV2B2 EfficientNetB3 DenseNet169 "
    "EfficientNetV2B3 VGG16 EfficientNetB4 DenseNet201 VGG19 EfficientNetV2S Xception InceptionV3 ResNet50 "
    "ResNet50V2 ConvNeXtTiny EfficientNetB5 EfficientNetB6 ResNet101 ResNet101V2 ConvNeXtSmall EfficientNetV2M "
    "InceptionResNetV2 ResNet152 ResNet152V2 EfficientNetB7 NASNetLarge ConvNeXtBase EfficientNetV2L "
    "ConvNeXtLarge ConvNeXtXLarge"
).split()


def architecture(name: str) -> keras.Model:
    """The architecture with random weights of a size that keeps its outputs apart."""
    size = SIZES.get(name, 32)
    model = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(size, size, 3), pooling="avg"
    )
    generator = np.random.default_rng(0)
    for variable in model.weights:
        bounds = next((each for word, each in WEIGHTS.items() if variable.path.endswith(word)), None)
        if bounds is not None:
            variable.assign(generator.uniform(*bounds, size=variable.shape))
        elif variable.path.endswith(("bias", "beta", "moving_mean")):
            variable.assign(generator.normal(0, 0.1, size=variable.shape))
    return model


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, as a share of the largest number."""
    return float(np.abs(one - other).max() / max(np.abs(one).max(), 1e-12))


def both_ways(name: str, folder: Path) -> tuple[float, float, int]:
    """How far what was read here, and what Keras read of what was written here, are from the architecture itself."""
    model = architecture(name)
    images = np.random.default_rng(1).uniform(0, 255, size=(2, *model.input_shape[1:])).astype(np.float32)
    expected, count = model.predict(images, verbose=0), model.count_params()
    there, back = folder / "there.keras", folder / "back.keras"
    model.save(there)
    del model
    gc.collect()
    ours = tf.load_model(there)
    read = difference(expected, ours.predict(images, verbose=0))
    ours.save(back)
    del ours
    gc.collect()
    written = difference(expected, keras.models.load_model(back).predict(images, verbose=0))
    return read, written, count


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="architectures; all of them by default")
    parser.add_argument("--most", type=float, default=1e-4, help="the largest difference that is in order")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(ARCHITECTURES))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}. Known: {', '.join(ARCHITECTURES)}")
    failed = 0
    print(f"{'architecture':<20} {'weights':>12} {'read':>9} {'written':>9} {'seconds':>8}")
    for name in options.names or ARCHITECTURES:
        keras.utils.clear_session()
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            try:
                read, written, count = both_ways(name, Path(folder))
            except Exception as error:
                # Keras itself has no NASNet on torch
                failed += "not available with the torch backend" not in str(error)
                print(f"{name:<20} {type(error).__name__}: {str(error)[:300]}", flush=True)
                continue
        failed += not (read <= options.most and written <= options.most)
        seconds = time.perf_counter() - start
        print(f"{name:<20} {count:>12,} {read:>9.1e} {written:>9.1e} {seconds:>8.1f}", flush=True)
    print(f"{failed} failed" if failed else "all within bounds")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
