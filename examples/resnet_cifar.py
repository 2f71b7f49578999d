"""The guide's toy ResNet, trained on CIFAR-10, or where there is no network on handwritten digits.

python examples/resnet_cifar.py --epochs 5
python examples/resnet_cifar.py --data digits
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import torchfunc as keras
from torchfunc import layers


def main() -> None:
    options = parse_options()
    options.save.parent.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(options.seed)
    (x_train, y_train), (x_test, y_test), data = load_images(options.data, options.data_dir)
    model = toy_resnet()
    model.summary()
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss="categorical_crossentropy",
        metrics=["acc"],
        device=options.device,
    )
    model.fit(
        x_train,
        keras.utils.to_categorical(y_train, 10),
        batch_size=options.batch_size,
        epochs=options.epochs or {"cifar10": 5, "digits": 35}[data],
        validation_split=0.1,
    )
    loss, accuracy = model.evaluate(x_test, keras.utils.to_categorical(y_test, 10), verbose=2)
    print(f"Held-out images: loss {loss:.4f}, accuracy {accuracy:.2%}")
    save_and_compare(model, x_test[:100], options.save)


def toy_resnet() -> keras.Model:
    """Nine convolutions with two residual connections: 223,242 parameters."""
    inputs = keras.Input(shape=(32, 32, 3), name="img")
    x = layers.Conv2D(32, 3, activation="relu")(inputs)
    x = layers.Conv2D(64, 3, activation="relu")(x)
    block_1_output = layers.MaxPooling2D(3)(x)

    x = layers.Conv2D(64, 3, activation="relu", padding="same")(block_1_output)
    x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
    block_2_output = layers.add([x, block_1_output])

    x = layers.Conv2D(64, 3, activation="relu", padding="same")(block_2_output)
    x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
    block_3_output = layers.add([x, block_2_output])

    x = layers.Conv2D(64, 3, activation="relu")(block_3_output)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(256, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(10, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="toy_resnet")


def load_images(data: str, folder: str | None):
    """Training and held-out images in [0, 1] with their labels, and which data they are."""
    if data == "cifar10":
        try:
            train, test = keras.datasets.cifar10.load_data(folder)
            return scaled(train), scaled(test), "cifar10"
        except (keras.errors.DataError, ImportError) as error:
            reason = str(error).split(". ")[0]
            print(f"CIFAR-10 is not to be had ({reason}); training on scikit-learn's digits instead.")
    train, test = keras.datasets.digits.load_data()
    return scaled(enlarged(train)), scaled(enlarged(test)), "digits"


def scaled(pair):
    images, labels = pair
    return images.astype("float32") / 255.0, labels


def enlarged(pair):
    """Grey images of 8x8 as colour images of 32x32."""
    images, labels = pair
    big = torch.nn.functional.interpolate(
        torch.from_numpy(images).float()[:, None], size=(32, 32), mode="bilinear"
    )
    return np.repeat(big[:, 0, :, :, None].numpy(), 3, axis=-1), labels


def save_and_compare(model: keras.Model, images: np.ndarray, path: Path) -> None:
    """Write the model and its picture, load the model back, and show that both predict the same."""
    model.save(path)
    print(f"Wrote {path}")
    picture = path.with_suffix(".png")
    try:
        keras.utils.plot_model(model, picture, show_shapes=True)
        print(f"Wrote {picture}")
    except (ImportError, keras.errors.TorchfuncError) as error:
        print(f"No picture: {error}")
    loaded = keras.models.load_model(path)
    equal = np.array_equal(model.predict(images, verbose=0), loaded.predict(images, verbose=0))
    print(f"The loaded model predicts {'the same, to the bit' if equal else 'SOMETHING ELSE'}.")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=positive, help="by default 5 on CIFAR-10, 35 on the digits")
    parser.add_argument("--batch-size", type=positive, default=64)
    parser.add_argument("--device", help="cuda, cpu, ...; CUDA where there is one by default")
    parser.add_argument("--data", choices=["cifar10", "digits"], default="cifar10")
    parser.add_argument("--data-dir", help="where the CIFAR-10 files are, or are to be put")
    parser.add_argument(
        "--save", type=model_path, default="toy_resnet.safetensors", help="where the model is written"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


def model_path(text: str) -> Path:
    """Refused before the training rather than after it."""
    path = Path(text)
    if path.suffix not in ("", ".safetensors"):
        raise argparse.ArgumentTypeError(f"expected a folder or a '.safetensors' file, got {text!r}")
    return path


if __name__ == "__main__":
    main()
