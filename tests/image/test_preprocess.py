"""Pictures are made ready as transformers does it, within one of 256 levels; what is not known is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from golden.preprocess import CONFIGS, draw_picture, expected
from hearth.errors import CorruptFile, Unsupported
from hearth.image import Preprocess, read_preprocess


def rules(tmp_path: Path, values: dict[str, object], config: dict[str, object] | None = None) -> Preprocess:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    return read_preprocess(tmp_path, config or {})


@pytest.mark.parametrize("name", CONFIGS)
def test_a_picture_becomes_what_transformers_makes_of_it(name: str, tmp_path: Path):
    preprocess = rules(tmp_path, CONFIGS[name])
    for size, pixels in expected(name).items():
        actual = preprocess.apply(draw_picture(*size))
        assert actual.shape == pixels.shape
        assert actual.shape[:2] == preprocess.placement(*size).size
        level = 1 / 255 / np.asarray(preprocess.std)
        assert (np.abs(actual - pixels) <= 1.01 * level).all()
        # Nearly all are the very same.
        assert (np.abs(actual - pixels) <= 0.01 * level).mean() > 0.9


def test_timm_says_it_in_config_json(tmp_path: Path):
    timm = {
        "input_size": [3, 32, 32],
        "crop_pct": 0.9,
        "interpolation": "bicubic",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.2, 0.2],
    }
    preprocess = read_preprocess(tmp_path, {"pretrained_cfg": timm})
    place = preprocess.placement(50, 70)
    assert (place.resized, place.size, place.offset) == ((35, 49), (32, 32), (2, 8))
    assert preprocess.apply(draw_picture(50, 70)).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"do_sharpen": True}, "do_sharpen"),
        ({"image_processor_type": "MllamaImageProcessor"}, "MllamaImageProcessor"),
        ({"size": {"area": 100}}, "area"),
        ({"pad_size": {"height": 3, "width": 3}}, "pad_size"),
    ],
)
def test_what_would_change_pixels_is_refused_by_name(change: dict[str, object], named: str, tmp_path: Path):
    with pytest.raises(Unsupported, match=named):
        rules(tmp_path, {**CONFIGS["vit"], **change})


@pytest.mark.parametrize(
    "change",
    [
        {"resample": 9},
        {"size": 0},
        {"size": {"height": 1 << 20, "width": 2}},
        {"image_std": [0.5, 0, 0.5]},
        {"image_mean": [0.5, 0.5]},
        {"image_processor_type": None},
        {"rescale_factor": -1},
    ],
)
def test_damaged_rules_are_refused(change: dict[str, object], tmp_path: Path):
    with pytest.raises(CorruptFile):
        rules(tmp_path, {**CONFIGS["vit"], **change})


def test_a_model_without_rules_is_refused(tmp_path: Path):
    with pytest.raises(CorruptFile, match=r"preprocessor_config\.json"):
        read_preprocess(tmp_path, {})
