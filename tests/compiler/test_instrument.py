"""Networks that are watched. If these fail, calibration looks at other activations than the matrices meet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.vision import CASES
from hearth.calibrate.observer import Observer
from hearth.checkpoint import open_checkpoint
from hearth.compiler.instrument import multiplied
from hearth.compiler.pack import read_parameter
from hearth.compiler.vision import vision_job
from hearth.image import read_preprocess
from hearth.model.evaluate import evaluate
from hearth.model.vision import load_vision


def job_of(name: str, folder: Path) -> Any:
    case = next(case for case in CASES if case.recipe.name == name)
    height, width = case.recipe.size
    rules = {"image_processor_type": "ViTImageProcessor", "size": {"height": height, "width": width}}
    (folder / "preprocessor_config.json").write_text(json.dumps(rules))
    checkpoint = open_checkpoint(case.write(folder))
    model = load_vision(checkpoint, size=case.recipe.size)
    preprocess = read_preprocess(folder, checkpoint.config)
    return vision_job(checkpoint, model, preprocess, name, "f32", "default"), case.pixels()[:1]


@pytest.mark.parametrize("name", ["vit", "swin"])
def test_a_disturbed_product_is_one_with_another_matrix(name: str, cache: Path, tmp_path: Path) -> None:
    """What a change of a matrix does, added to its product, is what the evaluator of graphs says of the changed
    network; without it, of the network as it is."""
    job, pixels = job_of(name, tmp_path)
    parameters = {
        p: read_parameter(p, source, job.checkpoint).reshape(job.network.shapes[p])
        for p, source in job.network.sources.items()
    }
    module = job.network.build()
    rng = np.random.default_rng(1)
    with Observer(job, "image", set(multiplied(job.network, "image")), threads=1) as observer:
        for changed in (None, observer.products[1], observer.products[-1]):
            values, disturbances = dict(parameters), {}
            if changed is not None:
                weight = parameters[changed.weight]
                change = (rng.standard_normal(weight.shape) * 0.1 * weight.std()).astype(np.float32)
                values[changed.weight] = weight + change
                seen = np.array(observer.run({"pixels": pixels})[changed.activations])
                disturbances = {changed.disturbance: seen @ change.T}
            expected = evaluate(module, "image", {"pixels": pixels, **values})
            found = observer.outputs({"pixels": pixels}, disturbances)
            for ours, exact in zip(found.values(), expected, strict=True):
                np.testing.assert_allclose(ours, exact, rtol=0, atol=2e-5 * np.abs(exact).max())


def test_every_matrix_of_a_product_is_found_once(tmp_path: Path) -> None:
    job, _ = job_of("vit", tmp_path)
    counts = multiplied(job.network, "image")
    assert set(counts.values()) == {1}
    assert {n for n, role in job.network.roles.items() if role == "body"} <= set(counts)
