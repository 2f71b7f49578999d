"""Counts which networks of timm and torchvision go in as one node and by from_module, with equal outputs.

python scripts/from_module.py                 all families
python scripts/from_module.py resnet18 vgg11  some of timm's
"""

from __future__ import annotations

import sys
import time

import torch
from torch import nn

import torchfunc as tf
from torchfunc.interop import timm, torchvision

FAMILIES = """
resnet18 efficientnet_b0 mobilenetv3_small_050 vit_tiny_patch16_224 convnext_atto densenet121 regnetx_002 vgg11
mixer_s16_224 ghostnet_050 mnasnet_small repvgg_a0 levit_128s poolformer_s12 rexnet_100 xcit_nano_12_p16_224
swin_tiny_patch4_window7_224 deit_tiny_patch16_224 resnext50_32x4d seresnet50 inception_v3 dpn48b
""".split()


def main() -> None:
    lib = timm.load()
    networks = {name: lambda name=name: lib.create_model(name) for name in sys.argv[1:] or FAMILIES}
    if not sys.argv[1:]:
        models = torchvision.load().models
        for name in ("resnet18", "alexnet", "googlenet", "squeezenet1_0", "shufflenet_v2_x0_5", "vit_b_16"):
            networks[f"torchvision {name}"] = lambda name=name: models.get_model(name, weights=None)
    counts = {"one node": 0, "from_module": 0}
    for name, make in networks.items():
        for way in counts:
            start, said = time.process_time(), tried(make().eval(), way)
            counts[way] += said == "equal"
            print(f"{name:32} {way:12} {time.process_time() - start:5.1f} s  {said}", flush=True)
    print(f"{counts} of {len(networks)}")


def tried(network: nn.Module, way: str) -> str:
    """`equal`, or what stood against it."""
    x, inputs = torch.rand(2, 3, 224, 224), tf.Input((3, 224, 224))
    try:
        model = (
            tf.Model(inputs, network(inputs))
            if way == "one node"
            else tf.interop.from_module(network, inputs)
        )
        with torch.no_grad():
            torch.testing.assert_close(model.eval()(x), network(x))
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return "equal"


if __name__ == "__main__":
    main()
