"""What a vision model cannot be is told, by name, before anything is computed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from golden.vision import CASES
from hearth.checkpoint import open_checkpoint
from hearth.errors import CorruptFile, HearthError, Unsupported
from hearth.model import load_family
from hearth.model.vision import load_vision

Edit = Callable[..., Path]
ONE_OF_EACH = (
    "vit", "deit", "dinov2", "dinov3", "clip", "siglip", "yolos", "swin", "swinv2", "resnet", "convnext", "segformer",
    "detr", "depth-anything", "dpt", "rt-detr", "efficientnet", "mobilevit",
)  # fmt: skip


@pytest.fixture
def published(tmp_path: Path) -> Edit:
    """A golden model as a folder, with changes to its configuration."""

    def write(name: str, **changes: Any) -> Path:
        case = next(case for case in CASES if case.recipe.name == name)
        case.write(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
        return tmp_path

    return write


def test_a_model_that_sees_is_not_asked_to_write(published: Edit):
    with pytest.raises(Unsupported, match="hearth vision"):
        load_family(open_checkpoint(published("vit")))


def test_a_model_that_writes_is_not_asked_to_see():
    language = Path(__file__).parents[2] / "golden" / "qwen3"
    with pytest.raises(Unsupported, match="language model"):
        load_vision(open_checkpoint(language))


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("vit", {"num_channels": 1}, "num_channels"),
        ("vit", {"hidden_act": "mish"}, "mish"),
        ("detr", {"position_embedding_type": "learned"}, "learned"),
        ("detr", {"dilation": True}, "dilation"),
        ("detr-timm", {"backbone_config": {"model_type": "timm_backbone", "backbone": "swin_tiny"}}, "swin_tiny"),
        ("rt-detr", {"num_feature_levels": 4}, "num_feature_levels"),
        ("mobilevit", {"output_stride": 8}, "output_stride"),
        ("depth-anything", {"backbone_config": {"model_type": "beit"}}, "backbone_config"),
        ("segformer", {"reshape_last_stage": False}, "reshape_last_stage"),
        ("efficientnet", {"pooling_type": "max"}, "pooling_type"),
        ("dpt", {"is_hybrid": True}, "is_hybrid"),
    ],
)
def test_what_hearth_does_not_compute_is_refused_by_name(
    name: str, changes: dict[str, Any], named: str, published: Edit
):
    with pytest.raises(Unsupported) as caught:
        load_vision(open_checkpoint(published(name, **changes)))
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("vit", {"num_attention_heads": 5}),
        ("vit", {"hidden_size": -4}),
        ("vit", {"image_size": [1 << 20, 8]}),
        ("vit", {"id2label": {"0": "a", "2": "b"}}),
        ("swin", {"num_heads": [2]}),
        ("swinv2", {"pretrained_window_sizes": [1, 2, 3]}),
        ("resnet", {"depths": [2, "x"]}),
        ("convnext", {"hidden_sizes": [8]}),
        ("clip", {"projection_dim": 21}),
        ("yolos", {"num_detection_tokens": 7}),
    ],
)
def test_damaged_configurations_are_refused(name: str, changes: dict[str, Any], published: Edit):
    with pytest.raises(CorruptFile):
        load_vision(open_checkpoint(published(name, **changes)))


@pytest.mark.parametrize("case", [c for c in CASES if c.recipe.name in ONE_OF_EACH], ids=lambda c: c.recipe.name)
def test_any_value_in_place_of_another_gives_an_error_of_ours(case: Any, tmp_path: Path):
    checkpoint = open_checkpoint(case.write(tmp_path))
    config = dict(checkpoint.config)
    for key in config.keys() - {"model_type"}:
        for value in (None, True, -1, 1 << 40, 0.5, "x", [], [0], {"model_type": 3}):
            checkpoint.config = {**config, key: value}
            with contextlib.suppress(HearthError):
                load_vision(checkpoint)


def test_a_tensor_that_has_no_place_is_named(published: Edit):
    folder = published("vit", num_hidden_layers=1)
    with pytest.raises(Unsupported, match=r"encoder\.layer\.1"):
        load_vision(open_checkpoint(folder))


def test_a_tensor_that_is_missing_is_named(published: Edit):
    folder = published("swin", depths=[2, 3])
    with pytest.raises(CorruptFile, match=r"blocks\.2"):
        load_vision(open_checkpoint(folder))


@pytest.mark.parametrize(("name", "size"), [("swin-padded", (20, 20)), ("vit", (2, 2)), ("rt-detr", (50, 64))])
def test_pictures_that_a_model_cannot_be_made_for(name: str, size: tuple[int, int], published: Edit):
    with pytest.raises(Unsupported, match="ictures"):
        load_vision(open_checkpoint(published(name)), size=size)
