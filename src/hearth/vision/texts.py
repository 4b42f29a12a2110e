"""Texts for a zero-shot model: tokens of one length, and where each text's meaning is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hearth.arguments import text, texts
from hearth.chat.tokenizer import Tokenizer
from hearth.errors import UsageError
from hearth.model.vision import TextTower

DEFAULT_TEMPLATE = "This is a photo of {}."
"""What labels are put into: models learned from captions, not from single words."""


def sentences(labels: Sequence[str], template: str) -> list[str]:
    """The labels in their template. Raises UsageError for a template without a place, or no labels."""
    labels = texts("labels", labels, "zero_shot(image, [label, ...])")
    if not labels or not all(label.strip() for label in labels):
        raise UsageError("There are no labels to choose from.", hint='Name some: --labels "a cat, a dog".')
    if text("template", template).count("{}") != 1:
        raise UsageError(f"The template {template!r} has no place for a label.", hint=f"As in: {DEFAULT_TEMPLATE}")
    return [template.replace("{}", label.strip()) for label in labels]


def text_inputs(given: Sequence[str], tokenizer: Tokenizer, tower: TextTower) -> dict[str, NDArray[np.generic]]:
    """Inputs of the function `text`: token_ids i32 (texts, length), and pooling f32 where the network asks for it.

    Raises:
        UsageError: a text is longer than the model can read.
    """
    ids = np.full((len(given), tower.length), tower.pad_id, np.int32)
    for row, sentence in zip(ids, given, strict=True):
        tokens = tokenizer.encode(sentence)
        if len(tokens) > tower.length:
            raise UsageError(
                f"{sentence[:60]!r} has {len(tokens)} tokens; the model reads {tower.length}.", hint="Use fewer words."
            )
        row[: len(tokens)] = tokens
    if not tower.pooled:
        return {"token_ids": ids}
    where = ids.argmax(1) if tower.highest else (ids == tower.end_id).argmax(1)
    return {"token_ids": ids, "pooling": np.eye(tower.length, dtype=np.float32)[where]}
