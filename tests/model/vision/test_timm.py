"""Models as timm publishes them: every tensor has its place, and the logits are timm's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from vision_weights import parameters_of

from golden.timm import EMBED, LABELS, NAMES, expected, write
from golden.vision.draws import draw_pixels
from hearth.checkpoint import open_checkpoint
from hearth.errors import Unsupported
from hearth.image import read_preprocess
from hearth.model.evaluate import evaluate
from hearth.model.vision import load_vision

# The others take up to a minute each in numpy.
QUICK = (
    "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224", "convnext_atto",
    "convnextv2_atto", "mobilevit_xxs", "tf_efficientnet_lite0",
)  # fmt: skip
IGNORED = ("num_batches_tracked", "relative_position_index")


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_has_its_place(name: str, tmp_path: Path):
    checkpoint = open_checkpoint(write(name, tmp_path, empty=True))
    model = load_vision(checkpoint)
    size = (NAMES[name], NAMES[name])
    assert (model.task, len(model.labels)) == (("embed", 0) if name in EMBED else ("classify", LABELS))
    assert model.size == read_preprocess(tmp_path, checkpoint.config).size == size
    assert all(unused.endswith(IGNORED) for unused in model.unused)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_numbers_are_timm_s(name: str, tmp_path: Path):
    checkpoint = open_checkpoint(write(name, tmp_path))
    network = load_vision(checkpoint).network
    inputs = {**parameters_of(network, checkpoint), "pixels": draw_pixels(name, 1, NAMES[name], NAMES[name])}
    logits = evaluate(network.build(), "image", inputs)[0]
    assert np.abs(logits - expected(name)).max() <= 1e-5 * np.abs(expected(name)).max()


@pytest.mark.parametrize(
    "change",
    [{"architecture": "vit_tiny_patch16_gap_224"}, {"model_args": {"depth": 3}}, {"architecture": "resnet18d"}],
)
def test_what_timm_s_name_does_not_say_is_refused(change: dict[str, object], tmp_path: Path):
    folder = write("vit_tiny_patch16_224", tmp_path, empty=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(Unsupported):
        load_vision(open_checkpoint(folder))
