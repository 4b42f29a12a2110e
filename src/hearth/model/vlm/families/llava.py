"""LLaVA 1.5: a CLIP tower read before its last layer, without its class token, and an MLP of two layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.vision.model import Source, Write
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import activation, whole
from hearth.model.vlm.model import Family, PictureText, Sight, sight_part
from hearth.model.vlm.projectors import MlpProjector
from hearth.model.vlm.tile_shapes import FixedTile
from hearth.model.vlm.towers import TOWER_PLACES, Features, tower_config, tower_rules

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

_TOWER = "vision_tower."


def describe(source: Source, text: DecoderConfig) -> Sight:
    s = source.settings
    config = tower_config(source, model_type="clip_vision_model", defaults=_TOWER_DEFAULTS)
    layer = s.get("vision_feature_layer")
    if type(layer) is not int or not -config.layers - 1 <= layer <= config.layers:
        raise s.unsupported("vision_feature_layer", f"Hearth reads one layer of a tower of {config.layers}.")
    layers = layer if layer >= 0 else config.layers + 1 + layer
    dropped = s.choice("vision_feature_select_strategy", {"default": True, "full": False})
    if dropped and not config.prefix:
        # "default" drops the first token, which here is a patch.
        raise s.unsupported("vision_feature_select_strategy", "This tower has no class token to drop.")

    def make(scope: Scope) -> Write:
        features = Features(scope, config, layers=layers, norm=False, whole=not dropped)
        projector = MlpProjector(
            scope / "projector", config.hidden, text.hidden_size, activation(s, "projector_hidden_act"),
            bias=s.flag("multimodal_projector_bias"),
        )  # fmt: skip

        def write(g: Graph, pixels: Any) -> list[Any]:
            return [projector(g, features(g, pixels))]

        return write

    token_id = whole(s, "image_token_index", most=text.vocab_size - 1)
    unused = ("*post_layernorm.*", *(f"*.encoder.layers.{i}.*" for i in range(layers, config.layers)))
    rows = config.num_patches + (0 if dropped else config.num_prefix)
    tile = FixedTile(config.size, rows)
    token = s.text("image_token")
    return Sight(sight_part(config.size, make), tile, PictureText(token, token, token_id), unused=unused)


_TOWER_DEFAULTS = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "image_size": 336, "patch_size": 14,
}  # fmt: skip
RULES: Rules = {
    **tower_rules(_TOWER),
    "image.projector.first": "multi_modal_projector.linear_1",
    "image.projector.second": "multi_modal_projector.linear_2",
}
_NAMING = Naming(
    RULES,
    marker="multi_modal_projector.linear_1.weight",
    places=TOWER_PLACES,
)

FAMILY = Family(
    name="llava",
    model_types=("llava",),
    describe=describe,
    naming=_NAMING,
    text_names=(
        ("language_model.model.", "model."),
        ("language_model.lm_head.", "lm_head."),
        ("model.language_model.", "model."),
        ("lm_head.", "lm_head."),
    ),
    # The configurations of the first ones leave nearly all to Llama's defaults.
    text_defaults={
        "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "vocab_size": 32000,
    },
    defaults={
        "image_token": "<image>", "image_token_index": 32000, "projector_hidden_act": "gelu",
        "vision_feature_select_strategy": "default", "vision_feature_layer": -2, "multimodal_projector_bias": True,
    },
)  # fmt: skip
