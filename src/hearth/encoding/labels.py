"""What logits mean: labels with scores, of a text or of places in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.task import Task

Float32s = NDArray[np.float32]
_OUTSIDE = "O"


@dataclass(frozen=True)
class Label:
    """A label of a text, or of a place in it.

    Attributes:
        label: as the model names it; of places without the `B-` and `I-` that mark where one begins and goes on.
        score: how sure the model is, in most models from 0 to 1.
        start, end: characters `[start, end)` of the text.
    """

    label: str
    score: float
    start: int
    end: int


def scores(logits: Float32s, task: Task) -> Float32s:
    """Along the last axis, as the model's authors make them."""
    if task.scores == "identity":
        return logits
    if task.scores == "sigmoid":
        return np.float32(1) / (np.float32(1) + np.exp(-logits))
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Float32s = exponents / exponents.sum(axis=-1, keepdims=True)
    return result


def of_text(logits: Float32s, task: Task, text: str) -> list[Label]:
    """All labels of a text, the surest first; logits (labels,)."""
    found = [Label(label, float(s), 0, len(text)) for label, s in zip(task.labels, scores(logits, task), strict=True)]
    return sorted(found, key=lambda one: -one.score)


def of_places(logits: Float32s, task: Task, text: str, spans: Sequence[tuple[int, int] | None]) -> list[Label]:
    """The places of a text that have a label, in order; logits (tokens, labels).

    A word has the label of its first token. A place begins with `B-` or another label than the one before it, and goes
    on with `I-`; its score is the mean of its words'.
    """
    found: list[Label] = []
    sums: list[tuple[float, int]] = []
    all_scores = scores(logits, task)
    before_end, before_kind = -1, ""
    for row, span in zip(all_scores, spans, strict=True):
        if span is None or span[0] == span[1]:
            continue
        start, end = span
        joins = start == before_end and start > 0 and text[start - 1].isalnum() and text[start].isalnum()
        if joins:  # the rest of a word
            if before_kind:
                found[-1] = _longer(found[-1], end)
            before_end = end
            continue
        best = int(row.argmax())
        name = task.labels[best]
        kind = name[2:] if name[:2] in ("B-", "I-") else ("" if name == _OUTSIDE else name)
        score = float(row[best])
        if kind and kind == before_kind and not name.startswith("B-"):
            total, count = sums[-1]
            sums[-1] = (total + score, count + 1)
            found[-1] = Label(kind, (total + score) / (count + 1), found[-1].start, end)
        elif kind:
            sums.append((score, 1))
            found.append(Label(kind, score, start, end))
        before_end, before_kind = end, kind
    return found


def _longer(label: Label, end: int) -> Label:
    return Label(label.label, label.score, label.start, end)
