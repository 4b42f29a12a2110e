"""The program for pictures in docs/c-api.md, compiled as it stands there, says what `Vision` says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.runtime.test_c_api import example, run
from tests.vision.test_compiled_vision import folder_of

from hearth import Vision
from hearth.prepare import prepare

SIDE = 224


def test_a_c_program_classifies_a_picture(cache: Path, tmp_path: Path):
    model = tmp_path / "model"
    model.mkdir()
    folder_of("vit", model)
    picture = np.random.default_rng(7).integers(0, 256, (61, 333, 3), np.uint8)
    (tmp_path / "picture.ppm").write_bytes(b"P6\n333 61\n255\n" + picture.tobytes())
    with Vision(model, size=(SIDE, SIDE), threads=1) as vision:
        (best,) = vision.classify(picture, top=1)
    bundle = prepare(str(model), kinds=("vision",), size=(SIDE, SIDE)).bundle.path
    program = example("classify", bundle, tmp_path)
    done = run(program, bundle, tmp_path / "picture.ppm")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"label {best.index}, logit ")
    wrong = run(program, tmp_path, tmp_path / "picture.ppm")
    assert (wrong.returncode, wrong.stdout) == (1, "")
