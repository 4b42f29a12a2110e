"""How well a model that looks at pictures tells them apart, and how much another number format changes what it says.

Networks are compared by what they give themselves, before anything is rounded to a label: the cosine of a format's
output to that of the first model, picture by picture, and how often both put the same label first. Where the pictures'
labels are known, so is how often they are right. Models that give vectors have no labels: a linear probe on top of the
first model's vectors stands in for what they are used for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.errors import UsageError
from hearth.image import ImageSource, read_image
from hearth.measure.labelled import Labelled, match_labels
from hearth.measure.probe import Probe, halves
from hearth.model.vision import Task
from hearth.vision import Vision
from hearth.vision.texts import DEFAULT_TEMPLATE, sentences

Told = Callable[[int, int], None]
_AT_ONCE = 8
_TOP = 5

_OUTPUT: dict[Task, str] = {
    "classify": "logits",
    "embed": "embedding",
    "detect": "logits",
    "segment": "logits",
    "depth": "depth",
    "zero_shot": "embedding",
}
"""What of a network's outputs is compared."""
_ONE_VECTOR: tuple[Task, ...] = ("classify", "embed", "zero_shot")
"""Tasks with one vector for a picture, of which a label follows; others have many places or no labels."""


@dataclass(frozen=True)
class VisionQuality:
    """Attributes:
    pictures: how many were looked at.
    tried: how many of these `top1`, `top5` and `agreement` are of: all, or those that no probe was fitted to.
    top1: the share whose label is put first; None: nobody knows their labels.
    top5: the share whose label is among the first five; None also where there are no more.
    agreement: the share (of segmented pixels, of detected objects: of places) with the label first that the first
        model has first; None: of the first model itself, or where there are no labels.
    cosine, least_cosine: of the output to the first model's, the mean and the least of all pictures; None: of the
        first model itself.
    """

    pictures: int
    tried: int
    top1: float | None
    top5: float | None
    agreement: float | None
    cosine: float | None
    least_cosine: float | None


@dataclass(frozen=True)
class VisionComparison:
    """Attributes:
    base: of the first model.
    others: of those that are compared with it, in their order.
    notices: what a reader of the numbers should know.
    """

    base: VisionQuality
    others: tuple[VisionQuality, ...]
    notices: tuple[str, ...]


@dataclass
class _Seen:
    """What one model gave for the pictures so far."""

    vectors: list[NDArray[np.float32]]
    cosines: list[float]
    agreements: list[float]


def compare_vision(
    base: Vision,
    others: Sequence[Vision],
    pictures: Sequence[Labelled],
    *,
    template: str = DEFAULT_TEMPLATE,
    told: Told | None = None,
) -> VisionComparison:
    """Looks at pictures with several models, and compares all with the first.

    Args:
        base: what others are compared with: usually the model in f32.
        others: the same model in other number formats; none: only `base` is judged, by the pictures' labels.
        template: of zero-shot models: the sentence around each label.
        told: called with (pictures done, pictures in all).

    Raises:
        UsageError: no pictures; models of different tasks or with different labels; a class with a single picture,
            where a probe is fitted.
        StorageError, CorruptFile, Unsupported: as `read_image`; the message names the picture.
    """
    task, models = base.info.task, [base, *others]
    if not pictures:
        raise UsageError("There are no pictures to look at.")
    if any((model.info.task, model.info.labels) != (task, base.info.labels) for model in others):
        raise UsageError("The models do different things, so what they say cannot be compared.")
    seen = [_Seen([], [], []) for _ in models]
    for begin in range(0, len(pictures), _AT_ONCE):
        pixels: list[ImageSource] = [read_image(picture.path) for picture in pictures[begin : begin + _AT_ONCE]]
        outputs = [[out[_OUTPUT[task]] for out in model.outputs(pixels)] for model in models]
        for collected, given in zip(seen, outputs, strict=True):
            collected.cosines += [_cosine(a, b) for a, b in zip(outputs[0], given, strict=True)]
            if task in _ONE_VECTOR:
                collected.vectors += given
            elif task != "depth":
                collected.agreements += [_same_places(a, b) for a, b in zip(outputs[0], given, strict=True)]
        if told is not None:
            told(begin + len(pixels), len(pictures))
    answers = _answers(models, seen, pictures, template) if task in _ONE_VECTOR else _Answers([None] * len(models))
    results = [
        _quality(seen[i], ranks, answers, seen[0] if i else None) for i, ranks in enumerate(answers.ranks)
    ]  # fmt: skip
    return VisionComparison(results[0], tuple(results[1:]), answers.notices)


@dataclass(frozen=True)
class _Answers:
    """What models put first of the pictures that are tried.

    Attributes:
        ranks: of each model, i64 (pictures, labels): the labels of a picture, the first the best; None: none.
        truth: the right ones; None: nobody knows.
    """

    ranks: list[NDArray[np.int64] | None]
    truth: NDArray[np.int64] | None = None
    notices: tuple[str, ...] = ()


def _answers(models: Sequence[Vision], seen: list[_Seen], pictures: Sequence[Labelled], template: str) -> _Answers:
    base = models[0]
    labels = [picture.label for picture in pictures if picture.label is not None]
    names = sorted(set(labels)) if len(labels) == len(pictures) else []
    vectors: list[NDArray[Any]] = [np.stack(each.vectors) for each in seen]
    if base.info.task == "classify":
        matching = match_labels(names, base.info.labels)
        truth = None
        if names and matching.indices is not None:
            truth = np.array([matching.indices[label] for label in labels])
        notices = (matching.notice,) if matching.notice and names else ()
        return _Answers([_ranked(logits) for logits in vectors], truth, notices)
    if not names:
        return _Answers([None] * len(models))
    numbers = {name: i for i, name in enumerate(names)}
    truth = np.array([numbers[label] for label in labels])
    if base.info.task == "zero_shot":
        texts = sentences([name.replace("_", " ") for name in names], template)
        scores = [v @ model.embed_texts(texts).T for model, v in zip(models, vectors, strict=True)]
        return _Answers([_ranked(each) for each in scores], truth)
    fitted, tried = halves(truth)
    probe = Probe.fit(vectors[0][fitted], truth[fitted], len(names))
    notice = f"Labels are by a linear probe, fitted to {len(fitted)} of the pictures and tried on {len(tried)}."
    return _Answers([_ranked(probe.scores(v[tried])) for v in vectors], truth[tried], (notice,))


def _quality(
    seen: _Seen, ranks: NDArray[np.int64] | None, answers: _Answers, base: _Seen | None
) -> VisionQuality:  # fmt: skip
    top1 = top5 = agreement = None
    if ranks is not None and answers.truth is not None:
        hits = ranks == answers.truth[:, None]
        top1 = float(hits[:, 0].mean())
        top5 = float(hits[:, :_TOP].any(axis=1).mean()) if ranks.shape[1] > _TOP else None
    if base is not None:
        first = answers.ranks[0]
        if ranks is not None and first is not None:
            agreement = float((ranks[:, 0] == first[:, 0]).mean())
        elif seen.agreements:
            agreement = float(np.mean(seen.agreements))
    count = len(seen.cosines)
    return VisionQuality(
        pictures=count,
        tried=count if ranks is None else len(ranks),
        top1=top1,
        top5=top5,
        agreement=agreement,
        cosine=None if base is None else float(np.mean(seen.cosines)),
        least_cosine=None if base is None else min(seen.cosines),
    )


def _ranked(scores: NDArray[Any]) -> NDArray[np.int64]:
    ranks: NDArray[np.int64] = np.argsort(-scores, axis=1, kind="stable")
    return ranks


def _cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Of two arrays as vectors; 1 where both are zero."""
    x, y = a.reshape(-1).astype(np.float64), b.reshape(-1).astype(np.float64)
    lengths = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / lengths if lengths else float(not x.any() and not y.any())


def _same_places(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float((a.argmax(-1) == b.argmax(-1)).mean())
