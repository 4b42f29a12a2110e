"""The names of ImageNet's 1,000 classes, for models that do not say them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_NAMES = Path(__file__).with_suffix(".txt")


def labels_of_head(count: int) -> dict[str, Any]:
    """What transformers' configuration says of the labels of a head with `count` rows; nothing where there is none."""
    names = _NAMES.read_text(encoding="utf-8").splitlines()
    if count == len(names):
        return {"id2label": {str(i): name for i, name in enumerate(names)}}
    return {"num_labels": count} if count else {}
