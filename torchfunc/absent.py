"""What Keras has and torchfunc leaves out on purpose, by namespace, each with what serves instead.

Asked for such a name, its namespace says what to use. `docs/absent.md` shows the same table.
"""

from __future__ import annotations

import sys

_AUTOCAST = "use torch.autocast, or torchao for quantized weights"
_TORCHAO = "use torchao: torchao.quantization.quantize_(model, ...) takes any nn.Module, and a Model is one"
_DISTRIBUTED = (
    "use torch.distributed: DistributedDataParallel or fully_shard take any nn.Module, and a Model is one"
)
_SCOPES = (
    "use torch.func.functional_call(model, weights, args), which calls a model with weights that you give"
)
_CHECKPOINT = (
    "use torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False), which recomputes in the backward"
)
_OWN_FILE = "use safetensors.torch.load_file and save_file, or model.state_dict() and load_state_dict()"
_LEGACY = "use the optimizer of the same name in torchfunc.optimizers; Keras 3 keeps these as refusals alone"
_FLASH = (
    "use torch.nn.attention.sdpa_kernel, which chooses the kernels of attention; flash is taken where it can"
)
_LIMITS = "use fit(epochs=..., steps_per_epoch=...)"
_DRAWING = "use torchvision.utils (draw_bounding_boxes, draw_segmentation_masks, make_grid) and matplotlib"
_DISTILLATION = "use a step of your own: torchfunc.training.Step, with the teacher as one of its parts"

TABLE: dict[str, dict[str, str]] = {
    "torchfunc.datasets": {
        "boston_housing": "use datasets.california_housing; Boston's counts people by the colour of their skin",
    },
    "torchfunc": {
        "Function": "use Model(inputs, outputs), which any graph makes",
        "Operation": "use layers.Layer, or any function through torchfunc.call(function, x)",
        "Quantizer": _TORCHAO,
        "RematScope": _CHECKPOINT,
        "StatelessScope": _SCOPES,
        "SymbolicScope": "nothing is needed: a symbolic tensor is recorded wherever it is used",
        "name_scope": "use the name= of layers and models",
        "distillation": _DISTILLATION,
        "distribution": _DISTRIBUTED,
        "export": "use torch.export.export, or torchfunc.interop.export",
        "quantizers": _TORCHAO,
        "remat": _CHECKPOINT,
        "version": "use torchfunc.__version__",
        "visualization": _DRAWING,
    },
    "torchfunc.callbacks": {
        "OrbaxCheckpoint": "use callbacks.ModelCheckpoint",
    },
    "torchfunc.config": {
        "disable_flash_attention": _FLASH,
        "enable_flash_attention": _FLASH,
        "enable_unsafe_deserialization": "no file executes anything here: pass classes and functions as custom_objects",
        "is_flash_attention_enabled": _FLASH,
        "is_nnx_enabled": "NNX belongs to JAX",
        "max_epochs": _LIMITS,
        "max_steps_per_epoch": _LIMITS,
        "set_backend": "the backend is PyTorch",
        "set_max_epochs": _LIMITS,
        "set_max_steps_per_epoch": _LIMITS,
    },
    "torchfunc.dtype_policies": {
        "AWQDTypePolicy": _TORCHAO,
        "GPTQDTypePolicy": _TORCHAO,
        "Int4DTypePolicy": _TORCHAO,
        "QuantizedDTypePolicy": _AUTOCAST,
        "QuantizedFloat8DTypePolicy": _AUTOCAST,
    },
    "torchfunc.layers": {
        "FlaxLayer": "use the module's PyTorch version: any nn.Module is a layer here",
        "JaxLayer": "use any torch function or nn.Module: they are layers here",
        "TFSMLayer": "convert the SavedModel to PyTorch: any nn.Module is a layer here",
    },
    "torchfunc.optimizers": {"legacy": _LEGACY},
    "torchfunc.saving": {"KerasFileEditor": _OWN_FILE},
    "torchfunc.utils": {
        "Config": "use a dataclass or a dict",
        "legacy": "use saving.serialize_keras_object and saving.deserialize_keras_object",
    },
}

# Where a name is looked for that was asked of another namespace.
_ROOMS = (
    "layers optimizers losses metrics callbacks initializers regularizers constraints activations utils ops"
)
SEARCHED = tuple(f"torchfunc.{room}" for room in _ROOMS.split())


def refusal(place: str, name: str) -> AttributeError:
    """The error for a name that a namespace does not have; names of other rooms are found where these are imported."""
    instead = TABLE.get(place, {}).get(name)
    if instead is not None:
        return AttributeError(f"{place} has no {name!r}, which Keras has: {instead}.")
    told = f"module {place!r} has no attribute {name!r}"
    if (place, name) == ("torchfunc", "keras"):
        return AttributeError(
            f"{told}. Fix: torchfunc takes its place: tf.Model, tf.layers.Dense.", name=name
        )
    for room in SEARCHED:
        if name in vars(sys.modules.get(room, sys)):
            return AttributeError(f"{told}. Fix: {room}.{name}.", name=name)
    return AttributeError(told, name=name, obj=sys.modules[place])  # Python finds what is spelt like it
