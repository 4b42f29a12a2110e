"""Qwen2-VL: as Qwen2.5-VL, but all layers see all of a picture, norms are whole and the MLP has no gate."""

from __future__ import annotations

from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.vision.model import Source
from hearth.model.vlm.families import qwen2_5_vl
from hearth.model.vlm.families.qwen2_5_vl import patch_sizes, qwen_family, sight, tower_sizes, vision_settings
from hearth.model.vlm.model import Sight
from hearth.model.vlm.patch_tower import PatchTowerConfig
from hearth.model.vlm.tile_shapes import PatchGrid


def describe(source: Source, text: DecoderConfig) -> Sight:
    s = vision_settings(source, _TOWER_DEFAULTS)
    sizes = tower_sizes(s, text, hidden="embed_dim", out="hidden_size")
    config = PatchTowerConfig(
        grid=PatchGrid(*patch_sizes(s), 0, qwen2_5_vl.MOST_ROWS),
        **sizes,
        inner=s.optional_count("intermediate_size") or s.count("mlp_ratio", most=64) * sizes["hidden"],
        whole=frozenset(range(sizes["layers"])),
        gated=False,
        rms=False,
    )
    return sight(source, config, text)


_LAYER = "visual.blocks.{N}."
RULES: Rules = {
    **qwen2_5_vl.RULES,
    "image.layers.N.up": _LAYER + "mlp.fc1",
    "image.layers.N.down": _LAYER + "mlp.fc2",
}
_TOWER_DEFAULTS = {
    "depth": 32, "embed_dim": 1280, "hidden_size": 3584, "hidden_act": "quick_gelu", "mlp_ratio": 4, "num_heads": 16,
    "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip

FAMILY = qwen_family("qwen2_vl", describe, RULES)
