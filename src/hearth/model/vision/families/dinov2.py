"""DINOv2, with and without registers: layer scale, a gated MLP in the giant one, positions for any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.model.tensors import Fused, Places, Rules
from hearth.model.vision.families import vit
from hearth.model.vision.layers import Linear
from hearth.model.vision.model import Described, Family, Source, Write, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import labels_of, num_labels, whole
from hearth.model.vision.vit import Vit, VitConfig

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


def dinov2_config(source: Source, **differences: Any) -> VitConfig:
    s = source.settings
    inner = int(s.count("hidden_size") * s.number("mlp_ratio", high=64))
    gated = s.flag("use_swiglu_ffn")
    if gated:
        # Two thirds of it, in whole eights.
        inner = (int(inner * 2 / 3) + 7) // 8 * 8
        differences = {"activation": "silu", **differences}
    registers = whole(s, "num_register_tokens")
    return vit.vit_config(
        source, inner=inner, gated=gated, layer_scale=True, registers=registers,
        # The model with registers makes its table of positions smaller with a wider kernel.
        antialias=registers > 0, **differences,
    )  # fmt: skip


def describe(source: Source) -> Described:
    config = dinov2_config(source)
    if not source.has("head.weight"):
        return vit.embedder(config, pooled=False)
    labels = num_labels(source.settings)

    def make(scope: Scope) -> Write:
        trunk = Vit(scope, config)
        head = Linear(scope / "head", 2 * config.hidden, labels, role="head")

        def write(g: Graph, pixels: Any) -> list[Any]:
            tokens = trunk(g, pixels)
            # The class token beside the mean of the patches.
            return [head(g, g.concat([g.row(tokens, 0), g.mean(trunk.patch_tokens(g, tokens), [1])], 1))]

        return write

    part = image_part(config.size, ("logits",), make)
    return Described("classify", config.size, (part,), labels=labels_of(source.settings, labels))


def rules(prefix: str) -> Rules:
    layer = prefix + "encoder.layer.{N}."
    gate_up = Fused(layer + "mlp.weights_in", ("gate", "up"))
    return {
        **vit.bert_like(prefix),
        "register_tokens": prefix + "embeddings.register_tokens",
        "layers.N.norm1": layer + "norm1",
        "layers.N.norm2": layer + "norm2",
        "layers.N.scale1": layer + "layer_scale1.lambda1",
        "layers.N.scale2": layer + "layer_scale2.lambda1",
        "layers.N.gate": gate_up,
        "layers.N.up": (layer + "mlp.fc1", gate_up),
        "layers.N.down": (layer + "mlp.fc2", layer + "mlp.weights_out"),
    }


DEFAULTS = {
    **vit.FAMILY.defaults,
    "mlp_ratio": 4,
    "layer_norm_eps": 1e-6,
    "patch_size": 14,
    "use_swiglu_ffn": False,
}


def _family(name: str, model_type: str, defaults: dict[str, Any]) -> Family:
    prefix = f"{model_type}."
    places = Places(base_prefix=prefix, outside_base=("classifier.",), ignored=("*mask_token",))
    naming = Naming(rules(prefix), marker=prefix + "embeddings.position_embeddings", places=places)
    return Family(name=name, model_types=(model_type,), describe=describe, namings=(naming,), defaults=defaults)


FAMILY = _family("dinov2", "dinov2", DEFAULTS)
WITH_REGISTERS = _family("dinov2", "dinov2_with_registers", {**DEFAULTS, "num_register_tokens": 4, "patch_size": 16})
