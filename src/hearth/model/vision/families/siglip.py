"""SigLIP: no class token, a learned query that pools the patches; texts see all of themselves, padding too."""

from __future__ import annotations

from hearth.model.tensors import Fused, Rules
from hearth.model.vision.families import vit
from hearth.model.vision.families.clip import PLACES, image_rules, inner_source, text_config, text_rules
from hearth.model.vision.model import Described, Family, Head, Source, TextTower, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.reading import whole
from hearth.model.vision.towers import Probed, text_tower


def describe(source: Source) -> Described:
    inner = inner_source(source, "vision_config", VISION_DEFAULTS)
    config = vit.vit_config(inner, biases="qkvo", prefix=(), placed=())
    image = image_part(config.size, ("embedding",), lambda scope: Probed(scope, config), "image")
    texts = inner_source(source, "text_config", TEXT_DEFAULTS).settings
    c = text_config(texts, causal=False, last=True)
    size = texts.optional_count("projection_size") or c.hidden
    head = Head(scores="sigmoid", logit_scale="logit_scale", logit_bias="logit_bias")
    tower = TextTower(c.length, whole(texts, "pad_token_id", most=c.vocab), None)
    return Described("zero_shot", config.size, (image, text_tower(c, size=size, bias=True)), head, tower)


_HEAD = "vision_model.head."
_QKV = ("q", "k", "v")
RULES: Rules = {
    **image_rules("vision_model."),
    "image.norm": "vision_model.post_layernorm",
    "image.head.probe": _HEAD + "probe",
    **{f"image.head.{part}.weight": Fused(_HEAD + "attention.in_proj_weight", _QKV) for part in _QKV},
    **{f"image.head.{part}.bias": Fused(_HEAD + "attention.in_proj_bias", _QKV) for part in _QKV},
    "image.head.o": _HEAD + "attention.out_proj",
    "image.head.norm": _HEAD + "layernorm",
    "image.head.up": _HEAD + "mlp.fc1",
    "image.head.down": _HEAD + "mlp.fc2",
    **text_rules("text_model."),
    "text.projection": "text_model.head",
}
_ALIKE = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
}  # fmt: skip
VISION_DEFAULTS = {**_ALIKE, "image_size": 224, "patch_size": 16}
TEXT_DEFAULTS = {**_ALIKE, "vocab_size": 32000, "max_position_embeddings": 64, "pad_token_id": 1}

FAMILY = Family(
    name="siglip",
    model_types=("siglip",),
    describe=describe,
    namings=(Naming(RULES, marker="vision_model.head.probe", places=PLACES),),
)
