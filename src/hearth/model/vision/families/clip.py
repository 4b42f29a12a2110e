"""CLIP: a ViT with a norm before its layers, a causal text tower read at its end token, both projected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Places, Rules
from hearth.model.vision.families import vit
from hearth.model.vision.model import Described, Family, Head, Source, TextTower, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.reading import MAX_HEADS, MAX_LAYERS, activation, divided, whole
from hearth.model.vision.towers import Projected, TextConfig, text_tower


def inner_source(source: Source, key: str, defaults: Mapping[str, Any]) -> Source:
    """What stands in an inner object of the configuration, or, where a file has one tower, in the whole."""
    settings = source.settings
    values = settings.table(key) or ({} if "text_config" in settings.values else settings.values)
    inner = Settings(values, where=f"{settings.where}, {key}", defaults=defaults)
    return replace(source, settings=inner)


def text_config(s: Settings, *, causal: bool, last: bool) -> TextConfig:
    hidden, heads = s.count("hidden_size"), s.count("num_attention_heads", most=MAX_HEADS)
    divided(s, hidden, heads, "num_attention_heads")
    return TextConfig(
        vocab=s.count("vocab_size"),
        length=s.count("max_position_embeddings", most=4096),
        hidden=hidden,
        heads=heads,
        layers=s.count("num_hidden_layers", most=MAX_LAYERS),
        inner=s.count("intermediate_size"),
        activation=activation(s),
        eps=s.number("layer_norm_eps", high=1.0),
        causal=causal,
        last=last,
    )


def describe(source: Source) -> Described:
    inner = inner_source(source, "vision_config", VISION_DEFAULTS)
    config = vit.vit_config(inner, biases="qkvo", pre_norm=True, patch_bias=False)
    size = source.settings.count("projection_dim")
    image = image_part(config.size, ("embedding",), lambda scope: Projected(scope, config, size), "image")
    texts = inner_source(source, "text_config", TEXT_DEFAULTS).settings
    c = text_config(texts, causal=True, last=False)
    end = texts.count("eos_token_id")
    # Files from before the end token was written down say 2; it is the highest id of a text.
    tower = TextTower(c.length, whole(texts, "pad_token_id", most=c.vocab), None if end == 2 else end, highest=end == 2)
    return Described(
        "zero_shot", config.size, (image, text_tower(c, size=size, bias=False)), Head(logit_scale="logit_scale"), tower
    )


def image_rules(tower: str) -> Rules:
    return {
        "image.patches": tower + "embeddings.patch_embedding",
        "image.positions": tower + "embeddings.position_embedding.weight",
        **{f"image.{part}": name for part, name in _layer(tower).items()},
    }


def text_rules(tower: str) -> Rules:
    return {
        "text.embed": tower + "embeddings.token_embedding.weight",
        "text.positions": tower + "embeddings.position_embedding.weight",
        "text.norm": tower + "final_layer_norm",
        **{f"text.{part}": name for part, name in _layer(tower).items()},
    }


def _layer(tower: str) -> dict[str, str]:
    layer = tower + "encoder.layers.{N}."
    return {
        "layers.N.norm1": layer + "layer_norm1",
        **{f"layers.N.{part}": f"{layer}self_attn.{part}_proj" for part in "qkv"},
        "layers.N.o": layer + "self_attn.out_proj",
        "layers.N.norm2": layer + "layer_norm2",
        "layers.N.up": layer + "mlp.fc1",
        "layers.N.down": layer + "mlp.fc2",
    }


RULES: Rules = {
    **image_rules("vision_model."),
    "image.cls_token": "vision_model.embeddings.class_embedding",
    "image.pre_norm": "vision_model.pre_layrnorm",
    "image.norm": "vision_model.post_layernorm",
    "image.projection": "visual_projection",
    **text_rules("text_model."),
    "text.projection": "text_projection",
}
PLACES = Places(ignored=("*position_ids",), elsewhere=frozenset({"logit_scale", "logit_bias"}))
_ALIKE = {"num_hidden_layers": 12, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
VISION_DEFAULTS = {
    **_ALIKE, "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "image_size": 224,
    "patch_size": 32,
}  # fmt: skip
TEXT_DEFAULTS = {
    **_ALIKE, "vocab_size": 49408, "hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8,
    "max_position_embeddings": 77, "pad_token_id": 1, "eos_token_id": 49407,
}  # fmt: skip

FAMILY = Family(
    name="clip",
    model_types=("clip",),
    describe=describe,
    namings=(Naming(RULES, marker="vision_model.pre_layrnorm.weight", places=PLACES),),
    defaults={"projection_dim": 512},
)
