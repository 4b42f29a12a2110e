"""Qwen2.5-VL: pictures of any size, of which most layers see windows; squares of patches joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Fused, Places, Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.vision.model import Source
from hearth.model.vision.names import Naming
from hearth.model.vision.reading import MAX_HEADS, MAX_LAYERS, activation, divided, whole, wholes
from hearth.model.vlm.model import Family, PictureText, Sight
from hearth.model.vlm.patch_tower import PatchTowerConfig, patch_tower
from hearth.model.vlm.tile_shapes import PatchGrid

_BEGIN, _TOKEN, _END = "<|vision_start|>", "<|image_pad|>", "<|vision_end|>"
MOST_ROWS = 4096
"""Embeddings of the largest picture. Files allow four times as many, but the memory of the largest is taken with the
model, and what layers that see everything compute grows with its square."""
_MOST_SIDE, _MOST_PATCH, _MOST_SQUARE = 1 << 10, 64, 8


def describe(source: Source, text: DecoderConfig) -> Sight:
    s = vision_settings(source, _TOWER_DEFAULTS)
    layers, (patch, square) = s.count("depth", most=MAX_LAYERS), patch_sizes(s)
    window = s.count("window_size", most=_MOST_SIDE) // (patch * square)
    if not window:
        raise s.corrupt("window_size", f"at least the {patch * square} pixels of a square")
    sees_all = wholes(s, "fullatt_block_indexes", most=MAX_LAYERS)
    config = PatchTowerConfig(
        grid=PatchGrid(patch, square, window, MOST_ROWS),
        **tower_sizes(s, text, hidden="hidden_size", out="out_hidden_size"),
        inner=s.count("intermediate_size"),
        whole=frozenset(sees_all) & frozenset(range(layers)),
        gated=True,
        rms=True,
    )
    return sight(source, config, text)


def vision_settings(source: Source, defaults: Mapping[str, Any]) -> Settings:
    """What a configuration says of the tower. Raises Unsupported for what Hearth does not compute."""
    outer = source.settings
    inner = outer.table("vision_config")
    s = Settings(inner, where=f"{outer.where}, vision_config", kind=outer.kind, defaults=defaults)
    for key in ("in_channels", "in_chans"):
        if s.get(key) not in (None, 3):
            raise s.unsupported(key, "Pictures have three colours.")
    return s


def patch_sizes(s: Settings) -> tuple[int, int]:
    """Pixels of a patch's edge, patches of a square's."""
    return s.count("patch_size", most=_MOST_PATCH), s.count("spatial_merge_size", most=_MOST_SQUARE)


def tower_sizes(s: Settings, text: DecoderConfig, *, hidden: str, out: str) -> dict[str, Any]:
    """What is read alike of all towers.

    Args:
        hidden, out: keys of the sizes of a token and of an embedding.
    """
    size, heads = s.count(hidden), s.count("num_heads", most=MAX_HEADS)
    divided(s, size, 4 * heads, hidden)  # rows and columns turn pairs of a half of each head
    if s.count(out) != text.hidden_size:
        raise s.corrupt(out, f"the {text.hidden_size} of the language model")
    rope = s.nested(s.table("rope_parameters"), "rope_parameters")
    if rope.get("rope_type") not in (None, "axial", "default"):
        raise rope.unsupported("rope_type", "Patches turn by their rows and columns.")
    return {
        "frames": s.count("temporal_patch_size", most=64),
        "hidden": size,
        "heads": heads,
        "layers": s.count("depth", most=MAX_LAYERS),
        "out": text.hidden_size,
        "activation": activation(s),
        "rope_theta": rope.optional_number("rope_theta") or 10000.0,
        # llama.cpp's converter cuts the weights of patches into those of each picture of a film.
        "split_frames": s.kind == "gguf",
    }


def sight(source: Source, config: PatchTowerConfig, text: DecoderConfig) -> Sight:
    picture = PictureText(
        marker=f"{_BEGIN}{_TOKEN}{_END}",
        token=_TOKEN,
        token_id=whole(source.settings, "image_token_id", most=text.vocab_size - 1),
        before=_BEGIN,
        after=_END,
    )
    return Sight(patch_tower(config), config.grid, picture)


def qwen_family(name: str, describe: Any, rules: Rules) -> Family:
    """A family whose files are named alike."""
    return Family(
        name=name,
        model_types=(name,),
        describe=describe,
        naming=Naming(
            rules, marker="visual.patch_embed.proj.weight", places=Places(prefixes=(("model.visual.", "visual."),))
        ),
        text_names=(
            ("model.language_model.", "model."),
            ("language_model.model.", "model."),
            ("language_model.lm_head.", "lm_head."),
            *((f"model.{part}.", f"model.{part}.") for part in ("embed_tokens", "layers", "norm")),
            ("lm_head.", "lm_head."),
        ),
        text_type=f"{name}_text",
        text_beside=True,
        defaults={"image_token_id": 151655},
    )


_LAYER = "visual.blocks.{N}."
RULES: Rules = {
    "image.patches": "visual.patch_embed.proj",
    "image.layers.N.norm1": _LAYER + "norm1",
    **{f"image.layers.N.{part}": Fused(_LAYER + "attn.qkv", ("q", "k", "v")) for part in "qkv"},
    "image.layers.N.o": _LAYER + "attn.proj",
    "image.layers.N.norm2": _LAYER + "norm2",
    **{f"image.layers.N.{part}": f"{_LAYER}mlp.{part}_proj" for part in ("gate", "up", "down")},
    "image.norm": "visual.merger.ln_q",
    "image.projector.first": "visual.merger.mlp.0",
    "image.projector.second": "visual.merger.mlp.2",
}
_TOWER_DEFAULTS = {
    "depth": 32, "hidden_size": 3584, "hidden_act": "silu", "intermediate_size": 3420, "num_heads": 16,
    "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112, "out_hidden_size": 3584,
    "fullatt_block_indexes": (7, 15, 23, 31),
}  # fmt: skip

FAMILY = qwen_family("qwen2_5_vl", describe, RULES)
