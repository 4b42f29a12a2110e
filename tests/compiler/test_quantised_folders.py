"""Folders with quantised weights, compiled: their logits are those of the model with the same weights as f32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.checkpoint.quantised.making import METHODS, write_experts, write_folder, write_gpt_oss, write_model
from tests.compiler.compiled import Piece, Sequences, open_session

from hearth.checkpoint import open_checkpoint
from hearth.compiler import compile_model
from hearth.quant.source import read_tensor
from hearth.runtime import Model

IDS = (np.arange(23, dtype=np.int32) * 37) % 96
# The body's format that each method is taken over in; None: it is f32 for us, and rounded anew.
KEPT = {
    "gptq": "q4", "gptq-zeros": "q5_0", "gptq-order": None, "gptq-8": "q8", "awq": "q5_0", "fp8": None, "w8a8": "q8",
    "mxfp4": "mxfp4", "nvfp4": "nvfp4", "mlx": "q4a", "nf4": None, "bitnet": "nvfp4",
}  # fmt: skip


def logits(folder: Path, **how: str) -> NDArray[np.float32]:
    bundle = compile_model(folder, name=folder.name, precision="high", **how)  # type: ignore[arg-type]
    with Model(bundle) as model, open_session(model) as session:
        (found,) = Sequences(session).run([Piece(0, IDS)])
    return np.array(found)


def plain(folder: Path, quantised: Path) -> Path:
    """The same model, every weight as f32."""
    checkpoint = open_checkpoint(quantised)
    return write_folder(folder, checkpoint.config, {name: read_tensor(checkpoint, name) for name in checkpoint.tensors})


@pytest.mark.parametrize("method", METHODS)
def test_logits_are_those_of_the_same_weights_as_floats(cache: Path, tmp_path: Path, method: str) -> None:
    quantised = write_model(tmp_path / method, method)
    expected = logits(plain(tmp_path / f"{method}-plain", quantised), quant="f32", head="f32")
    # Without a wish for another format, what was published in one of ours stays as it is.
    wish = {"quant": "f32"} if KEPT[method] is None else {}
    got = logits(quantised, head="f32", **wish)
    np.testing.assert_allclose(got, expected, atol=1e-4, rtol=1e-4)
    assert np.abs(expected).max() > 0.1


def test_stacked_experts_are_taken_apart(cache: Path, tmp_path: Path) -> None:
    quantised = write_experts(tmp_path / "experts")
    expected = logits(plain(tmp_path / "plain", quantised), quant="f32", head="f32")
    np.testing.assert_allclose(logits(quantised, head="f32"), expected, atol=1e-4, rtol=1e-4)


def test_gpt_oss_as_published(cache: Path, tmp_path: Path) -> None:
    """Its experts stay in MXFP4, and are what transformers makes of them: f32, transposed, under a shorter name."""
    published = write_gpt_oss(tmp_path / "published")
    checkpoint = open_checkpoint(published)
    tensors = {name: read_tensor(checkpoint, name) for name in checkpoint.tensors}
    for name in [name for name in tensors if "experts" in name and name.endswith(".weight")]:
        tensors[name.removesuffix(".weight")] = np.ascontiguousarray(tensors.pop(name).transpose(0, 2, 1))
    written = write_folder(tmp_path / "written", checkpoint.config, tensors)
    expected = logits(written, quant="f32", head="f32")
    np.testing.assert_allclose(logits(published, head="f32"), expected, atol=1e-4, rtol=1e-4)
    assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("method", [method for method in METHODS if KEPT[method]])
def test_what_is_taken_over_is_said_in_the_manifest(cache: Path, tmp_path: Path, method: str) -> None:
    from hearth.bundle import open_bundle

    quantised = write_model(tmp_path / method, method, skip=("k_proj",))
    made = open_bundle(compile_model(quantised, name=method)).manifest
    assert KEPT[method] in made.quant
