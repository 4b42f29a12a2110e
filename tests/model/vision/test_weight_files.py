"""Files of weights as torchvision publishes them: every tensor has its place, and the logits are torchvision's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from vision_weights import parameters_of

from golden.torchvision import DRAWN, LABELS, NAMES, SIZES, expected, write
from golden.vision.draws import draw_pixels
from hearth.checkpoint import open_checkpoint
from hearth.errors import Unsupported
from hearth.image import read_preprocess
from hearth.model.evaluate import evaluate
from hearth.model.vision import load_vision
from hearth.model.vision.families.weight_files import models, pictures_of

# The others take a minute in numpy.
QUICK = ("efficientnet_b0",)


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_has_its_place(name: str, tmp_path: Path):
    checkpoint = open_checkpoint(write(name, tmp_path, empty=True))
    preprocess = read_preprocess(checkpoint.path, checkpoint.config)
    size = SIZES.get(name, 224)
    assert preprocess.size == (size, size)
    model = load_vision(checkpoint, size=preprocess.size)
    assert (model.task, model.size, len(model.labels)) == ("classify", (size, size), LABELS)
    tables = ("num_batches_tracked", "relative_position_index", "relative_coords_table")
    assert all(unused.endswith(tables) for unused in model.unused)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_logits_are_torchvision_s(name: str, tmp_path: Path):
    checkpoint = open_checkpoint(write(name, tmp_path))
    size = DRAWN.get(name, 224)
    network = load_vision(checkpoint, size=(size, size)).network
    inputs = {**parameters_of(network, checkpoint), "pixels": draw_pixels(name, 1, size, size)}
    (logits,) = evaluate(network.build(), "image", inputs)
    assert np.abs(logits - expected(name)).max() <= 1e-5 * np.abs(expected(name)).max()


def test_the_hash_in_a_name_tells_weights_apart():
    assert pictures_of("resnet50-0676ba61.pth").edge == 256
    assert pictures_of("resnet50-11ad3fa6.pth").edge == pictures_of("resnet50.pth").edge == 232
    assert pictures_of("efficientnet_b1_rwightman-bac287d4.pth").resample == "bicubic"
    assert pictures_of("swin_v2_t-b137f0e2.pth").size == 256


@pytest.mark.parametrize("name", ["model.pth", "resnet50d.pth", "wide_resnet50_2-95faca4d.pth", "RESNET50.pth"])
def test_a_name_that_says_no_model_is_refused(name: str, tmp_path: Path):
    path = write("resnet18", tmp_path, empty=True).rename(tmp_path / name)
    with pytest.raises(Unsupported, match="does not say which model") as refused:
        load_vision(open_checkpoint(path))
    assert all(known in str(refused.value) for known in models())
