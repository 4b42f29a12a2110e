"""Idefics3 and SmolVLM: a SigLIP tower, squares of its tokens joined, large pictures cut into tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.model.tensors import Places, Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.vision.model import Source, Write
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import whole
from hearth.model.vlm.model import Family, PictureText, Sight, sight_part
from hearth.model.vlm.projectors import PixelShuffle
from hearth.model.vlm.tile_shapes import FixedTile
from hearth.model.vlm.towers import Features, siglip_config, tower_rules

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

_AROUND = "<fake_token_around_image>"


def describe(source: Source, text: DecoderConfig) -> Sight:
    s = source.settings
    config = siglip_config(source, _TOWER_DEFAULTS)
    factor = s.count("scale_factor", most=64)
    if any(side % factor for side in config.grid):
        raise s.corrupt("scale_factor", f"a divisor of the grid of {config.grid[0]} x {config.grid[1]} patches")

    def make(scope: Scope) -> Write:
        # A tile has the size that the tower was trained for, so its patches have the rows of the table in order.
        features = Features(scope, config, layers=config.layers, norm=True)
        projector = PixelShuffle(scope / "projector", config.hidden, text.hidden_size, factor)

        def write(g: Graph, pixels: Any) -> list[Any]:
            return [projector(g, features(g, pixels), config.grid)]

        return write

    picture = PictureText(
        marker="<image>",
        token="<image>",
        token_id=whole(s, "image_token_id", most=text.vocab_size - 1),
        before=f"{_AROUND}<global-img>",
        after=_AROUND,
        before_tile=f"{_AROUND}<row_{{row}}_col_{{column}}>",
        after_row="\n",
        after_tiles="\n",
    )
    return Sight(sight_part(config.size, make), FixedTile(config.size, config.num_patches // factor**2), picture)


_TOWER_DEFAULTS = {
    "hidden_size": 1152, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 16,
    "image_size": 224, "patch_size": 32,
}  # fmt: skip
RULES: Rules = {
    **tower_rules("model.vision_model."),
    "image.projector.projection": "model.connector.modality_projection.proj",
}

FAMILY = Family(
    name="idefics3",
    model_types=("idefics3", "smolvlm"),
    describe=describe,
    naming=Naming(
        RULES,
        marker="model.connector.modality_projection.proj.weight",
        places=Places(ignored=("*position_ids",)),
    ),
    text_names=(("model.text_model.", "model."), ("lm_head.", "lm_head.")),
    defaults={"image_token_id": 128257, "scale_factor": 2},
)
