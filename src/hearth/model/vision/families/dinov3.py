"""DINOv3's transformer: registers, rotated patches instead of a table of positions, MLPs gated or not."""

from __future__ import annotations

from hearth.model.tensors import Places, Rules
from hearth.model.vision.families import vit
from hearth.model.vision.model import Described, Family, Source
from hearth.model.vision.names import Naming
from hearth.model.vision.reading import whole


def describe(source: Source) -> Described:
    s = source.settings
    flags = {"q": "query_bias", "k": "key_bias", "v": "value_bias", "o": "proj_bias"}
    config = vit.vit_config(
        source,
        registers=whole(s, "num_register_tokens"),
        table=False,
        placed=(),
        rope_theta=s.number("rope_theta"),
        biases="".join(part for part, key in flags.items() if s.flag(key)),
        mlp_bias=s.flag("mlp_bias"),
        gated=s.flag("use_gated_mlp"),
        layer_scale=True,
    )
    return vit.embedder(config, pooled=False)


RULES: Rules = {
    "patches": "embeddings.patch_embeddings",
    "cls_token": "embeddings.cls_token",
    "register_tokens": "embeddings.register_tokens",
    "layers.N.norm1": "layer.{N}.norm1",
    **{f"layers.N.{part}": f"layer.{{N}}.attention.{part}_proj" for part in "qkvo"},
    "layers.N.norm2": "layer.{N}.norm2",
    "layers.N.scale1": "layer.{N}.layer_scale1.lambda1",
    "layers.N.scale2": "layer.{N}.layer_scale2.lambda1",
    **{f"layers.N.{part}": f"layer.{{N}}.mlp.{part}_proj" for part in ("gate", "up", "down")},
    "norm": "norm",
}

FAMILY = Family(
    name="dinov3",
    model_types=("dinov3_vit",),
    describe=describe,
    namings=(Naming(RULES, marker="embeddings.cls_token", places=Places(ignored=("*mask_token", "*register_tokens"))),),
    defaults={
        "patch_size": 16,
        "hidden_size": 384,
        "intermediate_size": 1536,
        "num_hidden_layers": 12,
        "num_attention_heads": 6,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "rope_theta": 100.0,
        "image_size": 224,
        "query_bias": True,
        "key_bias": False,
        "value_bias": True,
        "proj_bias": True,
        "mlp_bias": True,
        "num_register_tokens": 0,
    },
)
