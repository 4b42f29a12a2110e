"""Outputs are read as transformers' processors read them."""

from __future__ import annotations

import numpy as np
import pytest

from golden.vision import HERE
from golden.vision.postprocess import DEPTH_SIZE, PICTURES, SEGMENT_SIZE, THRESHOLDS, drawn_objects
from hearth.model.vision import Head
from hearth.vision import postprocess
from hearth.vision.postprocess import boxes_of, depth_of, match, objects_of, segmentation_of, top_labels

LABELS = [f"label {i}" for i in range(7)]
HEADS = {"detr": Head(no_object=True), "yolos": Head(no_object=True), "rt-detr": Head(scores="sigmoid")}


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(HERE / "postprocess.npz") as arrays:
        return dict(arrays)


def outputs(name: str) -> dict[str, np.ndarray]:
    with np.load(HERE / name / "expected.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", HEADS)
def test_boxes(name: str, expected: dict[str, np.ndarray]):
    given = outputs(name)
    for i, size in enumerate(PICTURES):
        boxes = boxes_of(given["logits"][i], given["boxes"][i], LABELS, HEADS[name], THRESHOLDS[name], size)
        scores = expected[f"{name}.{i}.scores"]
        order = np.argsort(-scores, kind="stable")
        assert len(boxes) == len(scores) > 0
        np.testing.assert_allclose([box.score for box in boxes], scores[order], rtol=1e-5)
        assert [box.index for box in boxes] == expected[f"{name}.{i}.labels"][order].tolist()
        edges = [(box.left, box.top, box.right, box.bottom) for box in boxes]
        np.testing.assert_allclose(edges, expected[f"{name}.{i}.boxes"][order], rtol=1e-4, atol=1e-3)
        assert boxes[0].label == f"label {boxes[0].index}"


def test_a_mask_as_large_as_the_picture(expected: dict[str, np.ndarray]):
    found = segmentation_of(outputs("segformer")["logits"][0], LABELS, SEGMENT_SIZE)
    # Where two labels are equally likely, rounding may decide.
    assert (found.mask == expected["segformer.mask"]).mean() > 0.999
    assert sum(region.share for region in found.regions) == pytest.approx(1)
    assert [region.share for region in found.regions] == sorted((r.share for r in found.regions), reverse=True)


def test_objects_that_each_have_a_mask(expected: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch):
    logits, masks = drawn_objects()
    for chunk in (1 << 25, 1 << 12):  # in one piece, and in many
        monkeypatch.setattr(postprocess, "_CHUNK_BYTES", chunk)
        found = objects_of(logits, masks, LABELS, SEGMENT_SIZE)
        theirs = expected["objects.mask"].astype(int) - 1
        assert len(found.regions) == len(expected["objects.labels"]) == 3
        assert found.objects is not None
        # Ours are ordered by size: which of theirs each is follows from where it is.
        for number, region in enumerate(found.regions):
            mine = found.objects == number
            which = int(np.bincount(theirs[mine] + 1).argmax()) - 1
            assert region.index == expected["objects.labels"][which]
            assert region.score == pytest.approx(expected["objects.scores"][which], abs=2e-6)
            assert region.share == pytest.approx((theirs == which).mean(), abs=1e-3)
            assert (mine == (theirs == which)).mean() > 0.999
            assert set(np.unique(found.mask[mine])) == {region.index}
        assert ((found.mask == -1) == (theirs == -1)).mean() > 0.999
    nothing = objects_of(logits, masks, LABELS, SEGMENT_SIZE, threshold=1.0)
    assert not nothing.regions
    assert (nothing.mask == -1).all()


def test_depths_as_large_as_the_picture(expected: dict[str, np.ndarray]):
    depth = depth_of(outputs("depth-anything")["depth"][0], Head(), DEPTH_SIZE)
    np.testing.assert_allclose(depth.values, expected["depth-anything.depth"], rtol=1e-4, atol=1e-3)
    assert depth.picture().max() == 255


def test_labels_by_their_probability():
    logits = np.array([0.1, 2.0, -1.0], np.float32)
    first, second = top_labels(logits, ["a", "b", "c"], Head(), 2)
    probabilities = np.exp(logits) / np.exp(logits).sum()
    assert (first.label, second.label) == ("b", "a")
    assert first.score == pytest.approx(probabilities[1], rel=1e-6)


def test_logits_of_a_picture_and_texts():
    image, texts = np.array([0.6, 0.8], np.float32), np.array([[1, 0], [0, 1]], np.float32)
    np.testing.assert_allclose(match(image, texts, Head(), 10.0, -1.0), [5.0, 7.0], rtol=1e-6)
