"""Compiled vision models compute what transformers computes, and `Vision` answers with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from golden.vision import CASES, Case, draw_text, text_inputs
from golden.vision.published import BY_NAME, folder_of
from hearth import Vision
from hearth.errors import UsageError
from hearth.image.spec import load_spec
from hearth.prepare import prepare
from hearth.runtime import Model, Session
from hearth.vision.draw import annotated

IN_CI = ("vit", "clip", "swin", "segformer", "detr-masks", "convnext")
"""Together they hold every kind of layer: both attentions, windows, convolutions of each kind, resizing, pooling."""
ROUNDED = {"rt-detr": 5e-5}
"""Nearness of models that magnify rounding: torch's own f32 is 3e-5 off here."""


def looked_at(session: Session, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """What a network says of pictures, as many at once as it takes."""
    (most, *_) = session.model.info.functions["image"].inputs["pixels"].most
    parts = [
        {name: value.copy() for name, value in session.run("image", {"pixels": pixels[i : i + most]}).items()}
        for i in range(0, len(pixels), most)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.recipe.name, marks=[] if case.recipe.name in IN_CI else [pytest.mark.slow])
        for case in CASES
    ],
)
def test_a_compiled_model_computes_what_transformers_computes(case: Case, cache: Path, tmp_path: Path):
    folder = folder_of(case.recipe.name, tmp_path)
    opened = prepare(str(folder), kinds=("vision",), size=case.recipe.size, quant="f32", precision="high")
    spec = load_spec(opened.bundle.path)
    with Session(Model(opened.bundle.path), threads=1) as session:
        actual = looked_at(session, case.pixels())
        if spec.text is not None:
            image = actual["embedding"].copy()
            texts = session.run("text", text_inputs(spec.text, draw_text(case.recipe)))
            actual = {"image": image, "text": texts["embedding"]}
    for name, expected in case.expected().items():
        most = ROUNDED.get(case.recipe.name, 1e-5) * np.abs(expected).max()
        assert np.abs(actual[name] - expected).max() <= most, name


@pytest.mark.parametrize("name", ["vit", "detr", "segformer"])
def test_eight_bits_change_little(name: str, cache: Path, tmp_path: Path):
    case = BY_NAME[name]
    opened = prepare(str(folder_of(name, tmp_path)), kinds=("vision",), size=case.recipe.size)
    with Session(Model(opened.bundle.path), threads=1) as session:
        actual = session.run("image", {"pixels": case.pixels()})
    for output, expected in case.expected().items():
        similar = (actual[output] * expected).sum() / np.linalg.norm(actual[output]) / np.linalg.norm(expected)
        assert similar > 0.998, output


# -- Vision ------------------------------------------------------------------------------------------------------


def pictures(case: Case, count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(5).integers(0, 256, (count, *case.recipe.size, 3), np.uint8))


def normalised(picture: np.ndarray) -> np.ndarray:
    """As a ViT's processor does it, whose mean and deviation are a half."""
    return (picture / np.float32(255) - 0.5) / 0.5


def test_vision_classifies_by_the_softmax_of_the_network(cache: Path, tmp_path: Path):
    case = BY_NAME["vit"]
    several = pictures(case, 3)
    with Vision(folder_of("vit", tmp_path), quant="f32", precision="high", threads=1) as model:
        found = model.classify(several, top=3)
        single = model.classify(several[1], top=3)
        bundle = model.info.manifest
        names = model.info.labels
    opened = prepare(str(tmp_path), kinds=("vision",), quant="f32", precision="high")
    assert bundle == opened.bundle.manifest
    with Session(Model(opened.bundle.path), threads=1) as session:
        logits = session.run("image", {"pixels": np.stack([normalised(p) for p in several])})["logits"]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    best = np.argsort(-shares[1])[:3]
    assert [label.label for label in single] == [names[i] for i in best]
    np.testing.assert_allclose([label.score for label in single], shares[1][best], rtol=1e-5)
    np.testing.assert_allclose([x.score for x in found[1]], [x.score for x in single], rtol=1e-5)


def test_vision_finds_objects_where_the_network_says(cache: Path, tmp_path: Path):
    case = BY_NAME["detr"]
    (picture,) = pictures(case, 1)
    with Vision(folder_of("detr", tmp_path), quant="f32", precision="high", threads=1) as model:
        boxes = model.detect(picture, threshold=0.05)
        height, width = picture.shape[:2]
        assert boxes
        assert [b.score for b in boxes] == sorted((b.score for b in boxes), reverse=True)
        assert all(-width < b.left < b.right < 2 * width and -height < b.top < b.bottom < 2 * height for b in boxes)
        assert model.detect(picture, threshold=0.999) == []
        with pytest.raises(UsageError, match="it finds objects"):
            model.classify(picture)


def test_vision_gives_each_object_a_mask(cache: Path, tmp_path: Path):
    case = BY_NAME["detr-masks"]
    height, width = case.recipe.size
    several = list(np.random.default_rng(6).integers(0, 256, (2, height + 9, width - 4, 3), np.uint8))
    with Vision(folder_of("detr-masks", tmp_path), quant="f32", precision="high", threads=1) as model:
        first, second = model.segment(several)  # one after the other: the network takes one picture at once
        assert model.segment(several[1]).regions == second.regions
    for picture, found in zip(several, (first, second), strict=True):
        assert found.mask.shape == picture.shape[:2]
        assert found.objects is not None
        assert set(np.unique(found.objects)) - {-1} == set(range(len(found.regions)))
        assert annotated(picture, found).size == picture.shape[1::-1]


def test_vision_segments_at_the_size_of_the_picture(cache: Path, tmp_path: Path):
    case = BY_NAME["segformer"]
    height, width = case.recipe.size
    picture = np.random.default_rng(6).integers(0, 256, (height + 9, width - 4, 3), np.uint8)
    with Vision(folder_of("segformer", tmp_path), quant="f32", precision="high", threads=1) as model:
        mask = model.segment(picture).mask
        count = len(model.info.labels)
    assert mask.shape == picture.shape[:2]
    assert mask.min() >= 0
    assert mask.max() < count


def test_vision_compares_pictures_with_labels(cache: Path, tmp_path: Path):
    case = BY_NAME["clip"]
    (picture,) = pictures(case, 1)
    with Vision(folder_of("clip", tmp_path), quant="f32", precision="high", threads=1) as model:
        found = model.zero_shot(picture, ["cat", "doge", "yak"], template="{}")
        image, texts = model.embed(picture), model.embed_texts(["cat", "doge", "yak"])
        with pytest.raises(UsageError, match="tokens; the model reads 11"):
            model.zero_shot(picture, ["an elephant"], template="{}")
        with pytest.raises(UsageError, match="one text"):
            model.zero_shot(picture, "cat")
        with pytest.raises(UsageError, match="no texts"):
            model.embed_texts([])
        opened = prepare(str(tmp_path), kinds=("vision",), quant="f32", precision="high")
        spec = load_spec(opened.bundle.path)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, rtol=1e-6)
    weights = np.exp(spec.logit_scale * (texts @ image))
    by_label = {label.label: label.score for label in found}
    np.testing.assert_allclose([by_label[n] for n in ("cat", "doge", "yak")], weights / weights.sum(), rtol=1e-4)
