"""Writes docs/applications.md: which network stands behind each name of `applications`.

python scripts/applications.py            writes the page
python scripts/applications.py --print    prints it
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torchfunc import applications
from torchfunc.applications.families import Application
from torchfunc.applications.origins import Definition, Source, Timm

PAGE = Path(__file__).resolve().parent.parent / "docs" / "applications.md"
FORMS = {
    "caffe": "BGR less ImageNet's mean",
    "tf": "-1 to 1",
    "torch": "less ImageNet's mean, over its deviation",
    "pixels": "0 to 255",
}
HEAD = """# Which network stands behind a name

`applications` has every architecture of `keras.applications`, by Keras's names and arguments, and each in the module
where Keras has it: `applications.resnet50.ResNet50`, `preprocess_input`, `decode_predictions`.

- **torchvision's**: its own network, traced into a graph, with its names and weights: equal to it to the bit. The ResNets
  halve their maps in the second convolution of a block, and have no bias there, where Keras halves in the first.
- **Keras's definition**: our layers under Keras's names; with the same weights the outputs are Keras's. `weights=` takes the
  files that Keras publishes and writes (`.h5`, `.weights.h5`, `.keras`), too.
- **"imagenet"** says whose trained weights `weights="imagenet"` stands for. Where these are timm's
  (`pip install 'torchfunc[timm]'`), the network is timm's as well, as its weights are of that network.

What differs from Keras on purpose: `weights=None` and `classifier_activation=None` by default, so that nothing reaches for
the network unasked, and a top gives logits; write `classifier_activation="softmax"` for probabilities.

**Images.** A model with `weights="imagenet"` takes what the `preprocess_input` of its module gives, as in Keras, although
torchvision and timm have trained on another form: the layer `preprocessing` at its beginning changes one into the other.
With `include_preprocessing=False` it takes the form that the network was trained on, and with `True` it begins so whatever
the weights. A file of weights holds the numbers of that layer, so that it does not fit a model without it. The definitions
of Keras that begin with a rescaling, the small EfficientNetV2, do so here.

`scripts/applications.py` writes this page.

| name | network | "imagenet" | images of `preprocess_input` | size |
|---|---|---|---|---|
"""


def page() -> str:
    rows = {name: each for name, each in vars(applications).items() if isinstance(each, Application)}
    return HEAD + "".join(row(name, each) for name, each in rows.items())


def row(name: str, application: Application) -> str:
    trained = "none" if application.pretrained is None else owner(application.pretrained)
    return f"| `{name}` | {owner(application.source)} | {trained} | {FORMS[application.form]} | {application.size} |\n"


def owner(source: Source) -> str:
    if isinstance(source, Definition):
        return "Keras's definition"
    if isinstance(source, Timm):
        return f"timm's `{source.name}`"
    return "torchvision's parts" if source.name == "convnext_xlarge" else f"torchvision's `{source.name}`"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="print the page")
    if parser.parse_args().print:
        print(page(), end="")
    else:
        PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
