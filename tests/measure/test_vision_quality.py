"""What a number format changes of what a model says of pictures. If these fail, `hearth eval` tells wrong numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from golden.vision import CASES
from hearth import Vision
from hearth.errors import UsageError
from hearth.measure import Labelled, compare_vision, labelled_pictures
from hearth.measure.probe import Probe, halves

COUNT = 12


def published(name: str, folder: Path) -> Path:
    """A golden model as its authors would publish it, its pictures taken in its own size."""
    case = next(case for case in CASES if case.recipe.name == name)
    height, width = case.recipe.size
    settings = {"image_processor_type": "ViTImageProcessor", "size": {"height": height, "width": width}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return case.write(folder)


def drawn(folder: Path, size: tuple[int, int] = (40, 40)) -> list[Path]:
    """Pictures that differ: noise of several brightnesses and tints."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    paths = []
    for i in range(COUNT):
        tint = rng.uniform(0.2, 1, 3)
        pixels = (rng.integers(0, 256, (*size, 3)) * tint).astype(np.uint8)
        paths.append(folder / f"{i:02d}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def test_a_classifier_against_labels_that_f32_gives(cache: Path, tmp_path: Path) -> None:
    """Labelled by f32 itself, f32 is always right, and int8 as often as it says the same."""
    model, paths = published("vit", tmp_path / "model"), drawn(tmp_path / "pictures")
    with Vision(model, quant="f32", threads=1) as exact, Vision(model, threads=1) as rounded:
        said = [exact.classify(path, top=1)[0].label for path in paths]
        right = compare_vision(exact, [rounded], [Labelled(p, s) for p, s in zip(paths, said, strict=True)])
        other = next(label for label in exact.info.labels if label not in said)
        wrong = compare_vision(exact, [rounded], [Labelled(p, other) for p in paths])
        a, b = (model.outputs(paths)[0]["logits"].astype(np.float64) for model in (exact, rounded))
        alone = compare_vision(exact, [rounded], [Labelled(paths[0], None)])
    assert (right.base.top1, right.base.agreement, right.base.cosine) == (1.0, None, None)
    assert right.others[0].top1 == right.others[0].agreement
    assert (wrong.base.top1, wrong.others[0].agreement) == (0.0, right.others[0].agreement)
    assert right.others[0].least_cosine <= right.others[0].cosine <= 1
    assert alone.base.top1 is None
    assert alone.others[0].cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-12)


def test_a_model_beside_itself_differs_in_nothing(cache: Path, tmp_path: Path) -> None:
    paths = drawn(tmp_path / "pictures")
    for name in ("segformer", "detr", "depth-anything"):
        with Vision(published(name, tmp_path / name), threads=1) as model:
            (same,) = compare_vision(model, [model], [Labelled(path, None) for path in paths[:2]]).others
        assert same.cosine == pytest.approx(1, abs=1e-12), name
        assert same.agreement == (None if name == "depth-anything" else 1.0), name
        assert (same.top1, same.pictures) == (None, 2), name


def test_vectors_are_judged_by_a_probe(cache: Path, tmp_path: Path) -> None:
    """Two kinds of pictures that any network tells apart."""
    for name, level in (("dark", 40), ("bright", 200)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(8):
            noise = np.random.default_rng(i).integers(-30, 30, (40, 40, 3))
            Image.fromarray((level + noise).astype(np.uint8)).save(tmp_path / "pictures" / name / f"{i}.png")
    pictures = labelled_pictures(tmp_path / "pictures")
    model = published("dinov2", tmp_path / "model")
    with Vision(model, quant="f32", threads=1) as exact, Vision(model, threads=1) as rounded:
        found = compare_vision(exact, [rounded], pictures)
        with pytest.raises(UsageError, match="single picture"):
            compare_vision(exact, [], pictures[:9])
    assert (found.base.top1, found.others[0].top1, found.others[0].agreement) == (1.0, 1.0, 1.0)
    assert (found.base.pictures, found.base.tried) == (16, 8)
    assert "probe" in found.notices[0]


def test_models_that_do_different_things_are_not_compared(cache: Path, tmp_path: Path) -> None:
    with (
        Vision(published("vit", tmp_path / "a"), threads=1) as one,
        Vision(published("dinov2", tmp_path / "b"), threads=1) as other,
    ):
        with pytest.raises(UsageError, match="different things"):
            compare_vision(one, [other], [Labelled(drawn(tmp_path / "p")[0], None)])
        with pytest.raises(UsageError, match="no pictures"):
            compare_vision(one, [], [])


def test_a_probe_is_ridge_regression() -> None:
    """As numpy's least squares solve it, the ridge being rows of their own."""
    rng = np.random.default_rng(0)
    x, classes = rng.standard_normal((40, 6)).astype(np.float32), rng.integers(0, 3, 40)
    probe = Probe.fit(x, classes, 3)
    y = np.eye(3)[classes]
    centred = x.astype(np.float64) - x.astype(np.float64).mean(0)
    ridge = np.sqrt(1e-2 * np.square(centred).sum() / 6) * np.eye(6)
    weight, *_ = np.linalg.lstsq(np.vstack([centred, ridge]), np.vstack([y - y.mean(0), np.zeros((6, 3))]), rcond=None)
    np.testing.assert_allclose(probe.scores(x), centred @ weight + y.mean(0), atol=1e-12)


def test_halves_share_each_class() -> None:
    classes = np.array([2, 0, 2, 2, 0, 1, 1, 2])
    fitted, tried = halves(classes)
    assert sorted([*fitted, *tried]) == list(range(8))
    for part in (fitted, tried):
        assert np.bincount(classes[part], minlength=3).tolist() == [1, 1, 2]
