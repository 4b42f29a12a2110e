"""What llama.cpp's converter writes of the towers of Qwen2-VL and Qwen2.5-VL, in the words of their config.json.

Of a tower of windows it says that every so manieth layer sees everything; of the size of a picture, nothing.
"""

from __future__ import annotations

from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.vision.reading import MAX_LAYERS

_WINDOW, _SQUARE = 112, 2  # which llama.cpp assumes
_LEAST_ROWS, _MOST_ROWS = 8, 4096  # embeddings of a picture, likewise
_KEY = "clip.vision."
PATCH_RULES: Rules = {
    "image.patches.frame0": "v.patch_embd.weight",
    "image.patches.frame1": "v.patch_embd.weight.1",
    "image.layers.N.gate": "v.blk.{N}.ffn_gate",
    "image.norm": "v.post_ln",
    "image.projector.first": "mm.0",
    "image.projector.second": "mm.2",
}


def windowed(given: Settings, vision: Settings) -> dict[str, Any]:
    """Qwen2.5-VL's configuration."""
    every = given.optional_count(_KEY + "n_wa_pattern", most=MAX_LAYERS) or 1
    tower = _tower(given, vision)
    return {
        "vision_config": {
            **tower,
            "out_hidden_size": given.count(_KEY + "projection_dim"),
            "window_size": given.optional_count(_KEY + "window_size") or _WINDOW,
            "fullatt_block_indexes": list(range(every - 1, tower["depth"], every)),
        }
    }


def whole(given: Settings, vision: Settings) -> dict[str, Any]:
    """Qwen2-VL's configuration."""
    tower = _tower(given, vision)
    sizes = {"embed_dim": tower["hidden_size"], "hidden_size": given.count(_KEY + "projection_dim")}
    return {"vision_config": {**tower, **sizes}}


def whole_squares(given: Settings, vision: Settings) -> dict[str, Any]:
    """The processor of both."""
    square = _square(given)
    area = (vision.count("patch_size") * square) ** 2
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": vision.count("patch_size"),
        "merge_size": square,
        "min_pixels": given.optional_count(_KEY + "image_min_pixels") or _LEAST_ROWS * area,
        "max_pixels": given.optional_count(_KEY + "image_max_pixels") or _MOST_ROWS * area,
    }


def _tower(given: Settings, vision: Settings) -> dict[str, Any]:
    return {
        **vision.values,
        "depth": vision.count("num_hidden_layers", most=MAX_LAYERS),
        "num_heads": vision.count("num_attention_heads"),
        "spatial_merge_size": _square(given),
        "hidden_size": vision.count("hidden_size"),
    }


def _square(given: Settings) -> int:
    return given.optional_count(_KEY + "spatial_merge_size") or _SQUARE
