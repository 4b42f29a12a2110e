"""ConvNeXt and ConvNeXt v2: a classifier on the mean of the last map, or that mean as a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.model.tensors import Places, Rules
from hearth.model.vision.convnext import ConvNext, ConvNextConfig
from hearth.model.vision.layers import LayerNorm, Linear
from hearth.model.vision.model import Described, Family, Source, Write, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import activation, counts, labels_of, num_labels, picture_size

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


def describe(source: Source, version: int) -> Described:
    s = source.settings
    depths = counts(s, "depths", most=200)
    config = ConvNextConfig(
        patch=s.count("patch_size", most=256),
        sizes=counts(s, "hidden_sizes", length=len(depths)),
        depths=depths,
        activation=activation(s),
        layer_scale=version == 1 and s.number("layer_scale_init_value", low=-1.0) > 0,
        response_norm=version == 2,
    )
    step = config.patch << (len(depths) - 1)
    size = picture_size(source, (step, step))
    classifies, labels = source.has("head.weight"), num_labels(s)

    def make(scope: Scope) -> Write:
        trunk = ConvNext(scope, config)
        norm = LayerNorm(scope / "norm", config.sizes[-1], s.number("layer_norm_eps", high=1.0))
        head = Linear(scope / "head", config.sizes[-1], labels, role="head") if classifies else None

        def write(g: Graph, pixels: Any) -> list[Any]:
            x = trunk(g, pixels)
            mean = norm(g, g.mean(x, [1, 2]))
            return [mean, g.tokens(x)] if head is None else [head(g, mean)]

        return write

    if not classifies:
        return Described("embed", size, (image_part(size, ("embedding", "hidden"), make),))
    return Described("classify", size, (image_part(size, ("logits",), make),), labels=labels_of(s, labels))


def rules(prefix: str) -> Rules:
    stage = prefix + "encoder.stages.{N}."
    block = stage + "layers.{M}."
    return {
        "patches": prefix + "embeddings.patch_embeddings",
        "patch_norm": prefix + "embeddings.layernorm",
        "stages.N.halve_norm": stage + "downsampling_layer.0",
        "stages.N.halve": stage + "downsampling_layer.1",
        "stages.N.blocks.M.depthwise": block + "dwconv",
        "stages.N.blocks.M.norm": block + "layernorm",
        "stages.N.blocks.M.up": block + "pwconv1",
        "stages.N.blocks.M.down": block + "pwconv2",
        "stages.N.blocks.M.scale": block + "layer_scale_parameter",
        "stages.N.blocks.M.response": block + "grn",
        "norm": prefix + "layernorm",
        "head": "classifier",
    }


def _family(version: int, model_type: str) -> Family:
    prefix = f"{model_type}."
    places = Places(base_prefix=prefix, outside_base=("classifier.",))
    return Family(
        name=model_type,
        model_types=(model_type,),
        describe=lambda source: describe(source, version),
        namings=(Naming(rules(prefix), marker=prefix + "embeddings.patch_embeddings.weight", places=places),),
        defaults={
            "patch_size": 4, "hidden_sizes": [96, 192, 384, 768], "depths": [3, 3, 9, 3], "hidden_act": "gelu",
            "layer_norm_eps": 1e-12, "layer_scale_init_value": 1e-6, "image_size": 224,
        },
    )  # fmt: skip


FAMILY = _family(1, "convnext")
V2 = _family(2, "convnextv2")
