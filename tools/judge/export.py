"""The folder of a trained model: configuration, weights in f16, how its pixels are prepared, how it was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image
from transformers import AutoModelForImageClassification, PreTrainedModel

from tools.judge.models import SIDE, Recipe

RECORD = "training.json"


def name_classes(model: PreTrainedModel, names: tuple[str, ...]) -> None:
    """Writes the classes into the configuration, where programs look for them."""
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: index for index, name in enumerate(names)}


def save_folder(model: PreTrainedModel, recipe: Recipe, record: dict[str, Any], folder: Path) -> None:
    """Writes config.json, model.safetensors (f16), preprocessor_config.json and training.json."""
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    model.float()
    preparation = {
        "image_processor_type": recipe.processor,
        "do_resize": True,
        "size": {"height": SIDE, "width": SIDE},
        "resample": int(Image.Resampling.BICUBIC),
        "do_center_crop": False,  # DeiT's processor pads to 224 x 224 unless told otherwise
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": recipe.mean,
        "image_std": recipe.std,
    }
    _write(folder / "preprocessor_config.json", preparation)
    _write(folder / RECORD, record)


def load_folder(folder: Path) -> PreTrainedModel:
    """The model of a written folder, in f32."""
    return AutoModelForImageClassification.from_pretrained(folder, dtype="float32").eval()


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
