"""Tries which networks of timm, torchvision and transformers go in as one node and by from_module, and writes the table.

python scripts/from_module.py                 all, and docs/from_module.md
python scripts/from_module.py bert resnet18   some, without the page
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

import torchfunc as tf
from torchfunc.interop import timm, torchvision
from torchfunc.tree import leaves

PAGE = Path(__file__).parent.parent / "docs" / "from_module.md"
LARGEST = 100_000_000  # parameters of a network that is tried: larger ones are the same forwards
SIZES = (64, 128, 224)  # the first that a network takes

TIMM = """
resnet18 efficientnet_b0 mobilenetv3_small_050 vit_tiny_patch16_224 convnext_atto densenet121 regnetx_002 vgg11
mixer_s16_224 ghostnet_050 mnasnet_small repvgg_a0 levit_128s poolformer_s12 rexnet_100 xcit_nano_12_p16_224
swin_tiny_patch4_window7_224 deit_tiny_patch16_224 resnext50_32x4d seresnet50 inception_v3 dpn48b
beit_base_patch16_224 cait_xxs24_224 coat_tiny convit_tiny crossvit_tiny_240 cspresnet50 dla34 edgenext_xx_small
efficientformer_l1 fastvit_t8 hardcorenas_a hrnet_w18_small maxvit_tiny_tf_224 mobilevit_xxs nfnet_f0 pit_ti_224
res2net50_26w_4s twins_pcpvt_small
""".split()
TRANSFORMERS = """
albert bart beit bert bloom convnext deberta-v2 deit distilbert electra gemma gpt2 gpt_neo gpt_neox llama mistral
mpnet opt phi qwen2 resnet roberta t5 vit xlm-roberta
""".split()
SMALL = {
    **dict.fromkeys("hidden_size d_model n_embd dim".split(), 32),
    **dict.fromkeys("num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers".split(), 2),
    **dict.fromkeys("num_attention_heads n_head n_heads num_heads num_key_value_heads".split(), 2),
    **dict.fromkeys("encoder_attention_heads decoder_attention_heads".split(), 2),
    **dict.fromkeys("intermediate_size ffn_dim encoder_ffn_dim decoder_ffn_dim d_ff hidden_dim".split(), 64),
    **dict.fromkeys("head_dim d_kv embedding_size".split(), 16),
    "vocab_size": 100,
    "image_size": 32,
    "patch_size": 8,
    "use_cache": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "attention_types": [[["global"], 2]],
    "word_embed_proj_dim": 32,
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [8, 16, 16, 16],
    "num_decoder_layers": 2,
    "max_position_embeddings": 64,
}


class Network(NamedTuple):
    source: str
    name: str
    make: Callable[[], nn.Module]


@dataclass
class Found:
    """What came of a network: `equal`, or what stood against it, for each way; and times in seconds."""

    network: Network
    one_node: str
    from_module: str
    seconds: float
    others: float | None  # torch.fx, or torch.export where that cannot trace it


def main() -> None:
    warnings.simplefilter("ignore")
    chosen = set(sys.argv[1:])
    found = []
    for network in networks():
        if not chosen or network.name in chosen:
            each = tried(network)
            if each is not None:
                found.append(each)
                times = f"{each.seconds:6.2f} s of {each.others or float('nan'):6.2f}"
                print(
                    f"{network.source:13} {network.name:32} {times}  {each.one_node} | {each.from_module}",
                    flush=True,
                )
    if not chosen:
        PAGE.write_text(page(found), encoding="utf-8")


def networks() -> list[Network]:
    """All that are tried."""
    models, lib = torchvision.load().models, timm.load()
    found = [Network("timm", name, lambda name=name: lib.create_model(name)) for name in TIMM]
    for name in models.list_models(module=models):
        found.append(Network("torchvision", name, lambda name=name: models.get_model(name, weights=None)))
    for module in (models.segmentation, models.detection):
        for name in models.list_models(module=module):
            bare = partial(models.get_model, name, weights=None, weights_backbone=None)
            found.append(Network("torchvision", name, bare))
    return found + [Network("transformers", name, lambda name=name: tiny(name)) for name in TRANSFORMERS]


def tiny(name: str) -> nn.Module:
    """A model of transformers with a few small layers."""
    import transformers

    config = transformers.AutoConfig.for_model(name)
    for key, value in SMALL.items():
        if hasattr(config, key) and not (name in ("resnet", "convnext") and key == "hidden_size"):
            setattr(config, key, value)
    # the decoder of T5 takes a second text
    module: nn.Module = (
        transformers.T5EncoderModel(config) if name == "t5" else transformers.AutoModel.from_config(config)
    )
    return module


def tried(network: Network) -> Found | None:
    """What comes of a network; None for one that is too large."""
    try:
        with torch.device("meta"):
            module = network.make()
    except NotImplementedError:  # it draws its weights with NumPy
        module = network.make()
    if sum(each.numel() for each in module.parameters()) > LARGEST:
        return None
    torch.manual_seed(0)
    module = network.make().eval()
    try:
        x = fitting(module, network.source)
    except Exception as error:
        return Found(network, *2 * [f"does not run here by itself: {said(error)}"], 0.0, None)
    inputs = tf.Input(x.shape[1:], dtype=x.dtype)
    one_node = outcome(module, x, lambda: tf.Model(inputs, module(inputs)))
    start = time.process_time()
    by_tracing = outcome(module, x, lambda: tf.interop.from_module(module, inputs))
    seconds, others = timed(lambda: tf.interop.from_module(module, inputs)), None
    if by_tracing != "equal":
        seconds = time.process_time() - start
    else:
        others = timed(lambda: fx.symbolic_trace(module)) or timed(lambda: torch.export.export(module, (x,)))
    return Found(network, one_node, by_tracing, seconds or 0.0, others)


def fitting(module: nn.Module, source: str) -> Tensor:
    """Data that a network takes: tokens, or pictures of the smallest size."""
    generator = torch.Generator().manual_seed(0)
    if source == "transformers" and getattr(module, "main_input_name", "") == "input_ids":
        return torch.randint(3, 90, (2, 7), generator=generator)
    sizes = (32, *SIZES) if source == "transformers" else SIZES
    for size in sizes:
        x = torch.rand(2, 3, size, size, generator=generator)
        try:
            with torch.no_grad():
                module(x)
            return x
        except Exception:
            if size == sizes[-1]:
                raise
    raise AssertionError


def outcome(module: nn.Module, x: Tensor, make: Callable[[], Any]) -> str:
    """`equal`, where outputs and the gradients of all weights are; or what stood against it."""
    try:
        ours, theirs = (computed(each, module, x) for each in (make().eval(), module))
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
    except Exception as error:
        return said(error)
    return "equal"


def computed(model: Any, module: nn.Module, x: Tensor) -> list[Any]:
    """What it returns, and the gradients of the weights of the module, None for those that are not used."""
    torch.manual_seed(0)
    model.train().eval()  # some keep in inference mode what was computed from weights
    returned = [each for each in leaves(plain(model(x))) if isinstance(each, Tensor)]
    floats = [each for each in returned if each.is_floating_point() and each.requires_grad]
    if not floats:
        return returned
    loss = torch.stack([each.square().mean() for each in floats]).sum()
    weights = [each for each in module.parameters() if each.requires_grad]
    return [*(each.detach() for each in returned), *torch.autograd.grad(loss, weights, allow_unused=True)]


def plain(returned: Any) -> Any:
    return dict(returned) if hasattr(returned, "items") else returned


def timed(call: Callable[[], Any]) -> float | None:
    start = time.process_time()
    try:
        call()
    except Exception:
        return None
    return time.process_time() - start


def said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def page(found: list[Found]) -> str:
    """The table in Markdown."""
    lines = [
        "# Networks from outside",
        "",
        "Which networks of other libraries go into a graph, as one node (`module(inputs)`) and call by call",
        "(`interop.from_module`), with outputs and gradients of all weights equal to those of the network itself.",
        "`python scripts/from_module.py` makes this page. Networks of transformers are tiny ones of their config; of",
        f"torchvision all are tried that have at most {LARGEST // 10**6} million weights.",
        "",
        "| Library | Networks | As one node | By `from_module` | Time, in that of torch.fx or torch.export |",
        "|---|---|---|---|---|",
    ]
    for source in dict.fromkeys(each.network.source for each in found):
        own = [each for each in found if each.network.source == source]
        one, by = (sum(getattr(each, way) == "equal" for each in own) for way in ("one_node", "from_module"))
        ratios = sorted(each.seconds / each.others for each in own if each.others)
        ratio = f"{ratios[len(ratios) // 2]:.1f}x, at most {ratios[-1]:.1f}x" if ratios else ""
        lines.append(f"| {source} | {len(own)} | {one} | {by} | {ratio} |")
    lines += ["", "| Network | As one node | By `from_module` |", "|---|---|---|"]
    lines += [
        f"| {each.network.source} {each.network.name} | {cell(each.one_node)} | {cell(each.from_module)} |"
        for each in found
    ]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    main()
