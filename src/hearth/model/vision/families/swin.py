"""Swin and Swin v2: a classifier on the mean of the last map, or that mean as a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.errors import Unsupported
from hearth.model.tensors import Places, Rules
from hearth.model.vision.layers import Linear
from hearth.model.vision.model import Described, Family, Source, Write, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import MAX_HEADS, activation, counts, labels_of, num_labels, pair, picture_size, wholes
from hearth.model.vision.swin import Swin, SwinConfig

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


def swin_config(source: Source, version: int) -> SwinConfig:
    s = source.settings
    patch, trained = pair(s, "patch_size"), pair(s, "image_size")
    grid = trained[0] // patch[0], trained[1] // patch[1]
    hidden, depths = s.count("embed_dim"), counts(s, "depths", most=100)
    heads = counts(s, "num_heads", length=len(depths), most=MAX_HEADS)
    if any((hidden << i) % h for i, h in enumerate(heads)):
        raise s.corrupt("num_heads", "heads that divide the size of their stage")
    stages = len(depths)
    given = version == 2 and s.get("pretrained_window_sizes") is not None
    pretrained = wholes(s, "pretrained_window_sizes", length=stages, most=256) if given else (0,) * stages
    config = SwinConfig(
        size=picture_size(source, patch),
        patch=patch,
        hidden=hidden,
        depths=depths,
        heads=heads,
        window=s.count("window_size", most=256),
        mlp_ratio=s.number("mlp_ratio", high=64),
        activation=activation(s),
        eps=s.number("layer_norm_eps", high=1.0),
        qkv_bias=s.flag("qkv_bias"),
        version=version,
        nominal=grid,
        trained=grid if s.flag("use_absolute_embeddings") else None,
        pretrained_windows=pretrained,
    )
    sides = (
        [-(-n >> (len(depths) - 1)) for n in config.grid] if version == 1 else [n >> (len(depths) - 1) for n in grid]
    )
    smallest = min(sides)
    if smallest < (config.window if version == 1 else 1):
        raise Unsupported(
            f"Pictures of {config.size[0]} x {config.size[1]} pixels are too small for this model.",
            why=f"Its last map has {smallest} places on a side, its windows {config.window}.",
        )
    return config


def describe(source: Source, version: int) -> Described:
    config = swin_config(source, version)
    classifies = source.has("head.weight")
    labels = num_labels(source.settings)

    def make(scope: Scope) -> Write:
        swin = Swin(scope, config)
        head = Linear(scope / "head", swin.channels, labels, role="head") if classifies else None

        def write(g: Graph, pixels: Any) -> list[Any]:
            x = swin(g, pixels)
            mean = g.mean(x, [1, 2])
            return [mean, g.tokens(x)] if head is None else [head(g, mean)]

        return write

    if not classifies:
        return Described("embed", config.size, (image_part(config.size, ("embedding", "hidden"), make),))
    part = image_part(config.size, ("logits",), make)
    return Described("classify", config.size, (part,), labels=labels_of(source.settings, labels))


def rules(prefix: str) -> Rules:
    stage = prefix + "encoder.layers.{N}."
    block = stage + "blocks.{M}."
    return {
        "patches": prefix + "embeddings.patch_embeddings.projection",
        "patch_norm": prefix + "embeddings.norm",
        "positions": prefix + "embeddings.position_embeddings",
        "stages.N.blocks.M.norm1": block + "layernorm_before",
        "stages.N.blocks.M.q": block + "attention.self.query",
        "stages.N.blocks.M.k": block + "attention.self.key",
        "stages.N.blocks.M.v": block + "attention.self.value",
        "stages.N.blocks.M.o": block + "attention.output.dense",
        "stages.N.blocks.M.bias_table": block + "attention.self.relative_position_bias_table",
        "stages.N.blocks.M.logit_scale": block + "attention.self.logit_scale",
        "stages.N.blocks.M.bias_mlp.K": block + "attention.self.continuous_position_bias_mlp.{K}",
        "stages.N.blocks.M.norm2": block + "layernorm_after",
        "stages.N.blocks.M.up": block + "intermediate.dense",
        "stages.N.blocks.M.down": block + "output.dense",
        "stages.N.merge.norm": stage + "downsample.norm",
        "stages.N.merge.reduction": stage + "downsample.reduction",
        "norm": prefix + "layernorm",
        "head": "classifier",
    }


# Tables that follow from the window; old versions of the libraries saved them.
_TABLES = ("*relative_position_index", "*relative_coords_table", "*attn_mask", "*mask_token")


def _family(version: int, model_type: str, defaults: dict[str, Any]) -> Family:
    prefix = f"{model_type}."
    places = Places(base_prefix=prefix, outside_base=("classifier.",), ignored=_TABLES)
    naming = Naming(rules(prefix), marker=prefix + "embeddings.patch_embeddings.projection.weight", places=places)
    return Family(
        name=model_type,
        model_types=(model_type,),
        describe=lambda source: describe(source, version),
        namings=(naming,),
        defaults={
            "image_size": 224, "patch_size": 4, "embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24],
            "window_size": 7, "mlp_ratio": 4.0, "qkv_bias": True, "hidden_act": "gelu", "layer_norm_eps": 1e-5,
            **defaults,
        },
    )  # fmt: skip


FAMILY = _family(1, "swin", {})
V2 = _family(2, "swinv2", {})
