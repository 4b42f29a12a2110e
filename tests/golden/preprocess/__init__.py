"""What transformers' image processors make of drawn pictures. `make_golden.py` makes the numbers."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
_SMALL = {"height": 24, "width": 24}

# Contents of preprocessor_config.json as models publish them, at small sizes.
CONFIGS: dict[str, dict[str, Any]] = {
    "vit": {"image_processor_type": "ViTImageProcessor", "size": _SMALL, "resample": 2},
    "vit-old": {"feature_extractor_type": "ViTFeatureExtractor", "size": 20, "do_resize": True, "do_normalize": True},
    "deit": {"image_processor_type": "DeiTImageProcessor", "size": _SMALL, "crop_size": {"height": 20, "width": 18}},
    "dinov2": {
        "image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 27}, "resample": 3,
        "crop_size": {"height": 24, "width": 24}, "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225], "do_convert_rgb": True,
    },
    "clip": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 24}, "crop_size": 24},
    "crop-larger": {
        "image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 17}, "crop_size": 24,
    },
    "siglip": {"image_processor_type": "SiglipImageProcessor", "size": _SMALL, "image_mean": [0.5] * 3},
    "convnext": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 24}, "crop_pct": 0.875},
    "resnet": {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 30, "crop_pct": 0.9, "resample": 3},
    "detr": {"image_processor_type": "DetrImageProcessor", "size": {"shortest_edge": 25, "longest_edge": 40}},
    "detr-long": {"image_processor_type": "DetrImageProcessor", "size": {"shortest_edge": 30, "longest_edge": 33}},
    "yolos": {"image_processor_type": "YolosImageProcessor", "size": {"shortest_edge": 37, "longest_edge": 70}},
    "rt-detr": {"image_processor_type": "RTDetrImageProcessor", "size": {"height": 32, "width": 32}},
    "segformer": {"image_processor_type": "SegformerImageProcessor", "size": _SMALL, "do_reduce_labels": True},
    "depth-anything": {
        "image_processor_type": "DPTImageProcessor", "size": {"height": 28, "width": 28}, "resample": 3,
        "keep_aspect_ratio": True, "ensure_multiple_of": 14, "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225], "do_pad": False, "size_divisor": None,
    },
    "efficientnet": {
        "image_processor_type": "EfficientNetImageProcessor", "size": _SMALL, "resample": 3, "include_top": True,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.47853944, 0.4732864, 0.47434163],
    },
    "mobilevit": {
        "image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 28}, "resample": 2,
        "crop_size": {"height": 24, "width": 24}, "do_flip_channel_order": True,
    },
    "not-resized": {"image_processor_type": "ViTImageProcessor", "do_resize": False, "do_normalize": False},
    "lanczos": {"image_processor_type": "ViTImageProcessor", "size": _SMALL, "resample": 1, "rescale_factor": 0.01},
}  # fmt: skip
SIZES = ((61, 47), (33, 50), (21, 20))


def draw_picture(height: int, width: int) -> NDArray[np.uint8]:
    """Slopes, an edge and noise: u8 (height, width, 3)."""
    seed = np.random.RandomState(zlib.crc32(f"{height}x{width}".encode()))
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    slopes = np.stack([255 * x, 255 * y, 255 * (x > y)], -1)
    noise = seed.randint(-40, 41, (height, width, 3))
    return np.clip(slopes + noise, 0, 255).astype(np.uint8)


def expected(name: str) -> dict[tuple[int, int], NDArray[np.float32]]:
    """By size of the picture what the processor makes of it: (h, w, 3)."""
    with np.load(HERE / f"{name}.npz") as arrays:
        return {tuple(json.loads(size)): arrays[size] for size in arrays.files}
