"""From a network's outputs for one picture to what they say, as transformers' processors do it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hearth.model.vision import Head
from hearth.model.vision.resampling import cubic_matrix, linear_matrix
from hearth.vision.results import Box, Depth, Label, Region, Segmentation

F32 = NDArray[np.float32]
_CHUNK_BYTES = 32 << 20


def softmax(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Over the last axis."""
    e: NDArray[np.float64] = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    total: NDArray[np.float64] = e.sum(-1, keepdims=True)
    return e / total


def sigmoid(x: NDArray[np.floating]) -> NDArray[np.float64]:
    e: NDArray[np.float64] = np.exp(-x.astype(np.float64))
    return 1 / (1 + e)


def top_labels(logits: F32, labels: Sequence[str], head: Head, top: int) -> list[Label]:
    """The most probable labels of logits (labels,), the first the best."""
    scores = sigmoid(logits) if head.scores == "sigmoid" else softmax(logits)
    best = np.argsort(-scores, kind="stable")[:top]
    return [Label(labels[i], float(scores[i]), int(i)) for i in best]


def boxes_of(
    logits: F32, boxes: F32, labels: Sequence[str], head: Head, threshold: float, size: tuple[int, int]
) -> list[Box]:
    """Objects above a threshold, the surest first.

    Args:
        logits: (queries, labels, or one more where the last means nothing); boxes: (queries, 4), as parts of the
            picture: centre and size.
        size: height and width of the picture, in pixels.
    """
    if head.scores == "sigmoid":
        # A query may have several labels; of all of them as many count as there are queries.
        scores = sigmoid(logits).reshape(-1)
        best = np.argsort(-scores, kind="stable")[: len(logits)]
        queries, numbers, scores = best // logits.shape[1], best % logits.shape[1], scores[best]
    else:
        every = softmax(logits)
        every = every[:, :-1] if head.no_object else every
        queries, numbers, scores = np.arange(len(logits)), every.argmax(-1), every.max(-1)
    height, width = size
    found = []
    for query, number, score in zip(queries, numbers, scores, strict=True):
        if score > threshold:
            x, y, w, h = (float(v) for v in boxes[query])
            edges = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
            found.append(Box(labels[number], float(score), *edges, int(number)))
    return sorted(found, key=lambda box: -box.score)


def segmentation_of(logits: F32, labels: Sequence[str], size: tuple[int, int]) -> Segmentation:
    """The likeliest label of each pixel: logits (h, w, labels) made as large as the picture, bilinear."""
    height, width = size
    rows, columns = linear_matrix(logits.shape[0], height), linear_matrix(logits.shape[1], width)
    rows, columns = rows.astype(np.float32), columns.astype(np.float32)
    mask = np.empty(size, np.int32)
    # Scores of all pixels at once would take gigabytes.
    step = max(1, _CHUNK_BYTES // (4 * width * logits.shape[2]))
    for begin in range(0, height, step):
        part = np.tensordot(rows[begin : begin + step], logits, 1)  # (rows, w, labels)
        mask[begin : begin + step] = np.matmul(columns, part).argmax(-1)
    counted = np.bincount(mask.reshape(-1), minlength=len(labels))
    order = [int(i) for i in np.argsort(-counted, kind="stable") if counted[i]]
    return Segmentation(mask, tuple(Region(labels[i], float(counted[i] / mask.size), i) for i in order))


def objects_of(
    logits: F32, masks: F32, labels: Sequence[str], size: tuple[int, int], threshold: float = 0.5
) -> Segmentation:
    """The objects in a picture that are surer than a threshold, each pixel to the likeliest of them.

    Args:
        logits: (queries, labels and one more that means nothing); masks: (queries, h, w), made as large as the
            picture, bilinear.
    """
    every = softmax(logits).astype(np.float32)
    numbers, scores = every.argmax(-1), every.max(-1)
    kept = np.flatnonzero((numbers != len(labels)) & (scores > threshold))
    owners = np.full(size, -1, np.int32)
    own, seen = (np.zeros(len(kept), np.int64) for _ in range(2))
    for begin, chances in _enlarged(sigmoid(masks[kept]).astype(np.float32) * scores[kept, None, None], size):
        best = chances.argmax(0)
        owners[begin : begin + len(best)] = best
        own += np.bincount(best.reshape(-1), minlength=len(kept))
        seen += (chances >= _SURE).sum((1, 2))
    # What others cover for the most part is no object.
    sound = [int(i) for i in range(len(kept)) if own[i] and seen[i] and own[i] / seen[i] > _MOSTLY]
    order = sorted(sound, key=lambda i: -own[i])
    place = np.full(len(kept) + 1, -1, np.int32)  # the last for pixels of none
    place[order] = np.arange(len(order))
    objects = place[owners]
    label = np.append(numbers[kept[order]], -1).astype(np.int32)
    regions = tuple(
        Region(labels[numbers[kept[i]]], float(own[i] / owners.size), int(numbers[kept[i]]), float(scores[kept[i]]))
        for i in order
    )
    return Segmentation(label[objects], regions, objects)


_SURE, _MOSTLY = 0.5, 0.8


def _enlarged(maps: F32, size: tuple[int, int]) -> Iterator[tuple[int, F32]]:
    """Maps (n, h, w) at another size, bilinear: a row number, and (n, rows, width) from there on."""
    if not len(maps):
        return
    height, width = size
    rows = linear_matrix(maps.shape[1], height).astype(np.float32)
    columns = linear_matrix(maps.shape[2], width).astype(np.float32)
    step = max(1, _CHUNK_BYTES // (4 * width * len(maps)))
    for begin in range(0, height, step):
        part: F32 = np.matmul(rows[begin : begin + step], maps) @ columns.T
        yield begin, part


def depth_of(depth: F32, head: Head, size: tuple[int, int]) -> Depth:
    """Depth (h, w) made as large as the picture, bicubic."""
    rows, columns = (cubic_matrix(have, want, antialias=False) for have, want in zip(depth.shape, size, strict=True))
    return Depth((rows @ depth.astype(np.float64) @ columns.T).astype(np.float32), head.metric)


def match(image: F32, texts: F32, head: Head, scale: float, bias: float) -> F32:
    """Logits (texts,) of a picture's vector (d,) and texts' vectors (texts, d), all of length 1."""
    logits: F32 = (texts @ image * np.float32(scale) + np.float32(bias)).astype(np.float32)
    return logits
