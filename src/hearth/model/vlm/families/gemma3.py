"""Gemma 3: a SigLIP tower, squares of its tokens averaged; the tokens of a picture see all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.vision.model import Source, Write
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import whole
from hearth.model.vlm.model import Family, PictureText, Sight, sight_part
from hearth.model.vlm.projectors import PoolProjector
from hearth.model.vlm.tile_shapes import FixedTile
from hearth.model.vlm.towers import TOWER_PLACES, Features, tower_config, tower_rules

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

_BEGIN, _END = "<start_of_image>", "<end_of_image>"


def describe(source: Source, text: DecoderConfig) -> Sight:
    s = source.settings
    config = tower_config(source, model_type="siglip_vision_model")
    rows = s.count("mm_tokens_per_image", most=1 << 16)
    side = int(rows**0.5)
    if side * side != rows or config.grid[0] != config.grid[1] or config.grid[0] % side:
        raise s.corrupt("mm_tokens_per_image", f"a square that divides the grid of {config.grid[0]} x {config.grid[1]}")
    square = config.grid[0] // side

    def make(scope: Scope) -> Write:
        features = Features(scope, config, layers=config.layers, norm=True)
        # Norms multiply by 1 + weight; the converter to GGUF adds the 1 itself.
        offset = 0.0 if s.kind == "gguf" else 1.0
        projector = PoolProjector(scope / "projector", config.hidden, text.hidden_size, square, config.eps, offset)

        def write(g: Graph, pixels: Any) -> list[Any]:
            return [projector(g, features(g, pixels), config.grid)]

        return write

    picture = PictureText(
        marker=_BEGIN,
        token="<image_soft_token>",
        token_id=whole(s, "image_token_index", most=text.vocab_size - 1),
        before=f"\n\n{_BEGIN}",
        after=f"{_END}\n\n",
    )
    return Sight(sight_part(config.size, make), FixedTile(config.size, rows), picture, ahead=True)


RULES: Rules = {
    **tower_rules("vision_tower."),
    "image.projector.norm": "multi_modal_projector.mm_soft_emb_norm",
    "image.projector.projection": "multi_modal_projector.mm_input_projection_weight",
}

FAMILY = Family(
    name="gemma3",
    model_types=("gemma3",),
    describe=describe,
    naming=Naming(
        RULES,
        marker="multi_modal_projector.mm_input_projection_weight",
        places=TOWER_PLACES,
    ),
    text_names=(
        ("language_model.model.", "model."),
        ("language_model.lm_head.", "lm_head."),
        ("model.language_model.", "model."),
        ("language_model.", "model."),
        ("lm_head.", "lm_head."),
    ),
    text_type="gemma3_text",
    text_defaults={"tie_word_embeddings": True},
    defaults={"mm_tokens_per_image": 256, "image_token_index": 262144},
)
