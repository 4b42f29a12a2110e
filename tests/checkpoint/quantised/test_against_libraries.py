"""Quantised folders give the weights that the libraries that wrote them give (tests/golden/make_quantised.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hearth.checkpoint import open_checkpoint
from hearth.quant import RowSource
from hearth.quant.source import read_tensor

GOLDEN = Path(__file__).parents[2] / "golden" / "quantised"
UP = "model.layers.0.mlp.up_proj.weight"
# By folder: the type that each weight is shown as.
TYPES = {
    "fp8": dict.fromkeys((UP, "edge.weight", "whole.weight", "powers.weight"), "f32"),
    "awq": {UP: "q5_0"},
    "ct-int3": {UP: "q4"},
    "ct-int4": {UP: "q4"},
    "ct-int4-f32": {UP: "f32"},  # scales that are no f16 numbers
    "ct-int4-zeros": {UP: "q5_0"},
    "ct-int8": {UP: "q8"},
    "ct-w8a8": {UP: "q8"},
    "ct-fp8": {UP: "f32", "blocks.weight": "f32"},
    "ct-nvfp4": {UP: "nvfp4"},
    "ct-mxfp4": {UP: "mxfp4"},
    "modelopt": {UP: "nvfp4", "eight.weight": "f32"},
    "mxfp4": {"model.layers.0.mlp.experts.down_proj.weight": "mxfp4"},
    "mlx": {
        "affine_2_32_f16.weight": "q4a",
        "affine_3_64_f16.weight": "q4a",
        "affine_4_64_bf16.weight": "q4a",
        "affine_4_32_f32.weight": "f32",
        "affine_5_64_f16.weight": "q5_1",
        "affine_6_64_f16.weight": "f32",
        "affine_8_64_bf16.weight": "f32",
        "mxfp4.weight": "mxfp4",
        "nvfp4.weight": "nvfp4",
        "mxfp8.weight": "f32",
        "model.layers.0.mlp.experts.0.up_proj.weight": "q4a",
        "model.layers.0.mlp.experts.1.up_proj.weight": "q4a",
    },
    "bitsandbytes": dict.fromkeys(("nf4_nested.weight", "nf4_plain.weight", "fp4_plain.weight", "int8.weight"), "f32"),
    "bitnet": {UP: "nvfp4"},  # divided by a number whose reciprocal is no f16 number
    "bitnet-auto": {UP: "tq2_0"},
}
# Reciprocals that are rounded once more, and sums that a library fuses with their products.
ROUNDED = ("ct-nvfp4", "mlx", "bitsandbytes")


@pytest.mark.parametrize("name", TYPES)
def test_weights_are_what_the_library_says(name: str) -> None:
    checkpoint = open_checkpoint(GOLDEN / name)
    expected = np.load(GOLDEN / name / "expected.npz")
    assert {tensor: checkpoint.tensors[tensor].dtype for tensor in expected.files} == TYPES[name]
    for tensor in expected.files:
        got = read_tensor(checkpoint, tensor)
        assert got.shape == expected[tensor].shape
        if name in ROUNDED:
            np.testing.assert_allclose(got, expected[tensor], rtol=3e-7, atol=3e-8, err_msg=tensor)
        else:
            np.testing.assert_array_equal(got, expected[tensor], err_msg=tensor)


@pytest.mark.parametrize("name", TYPES)
def test_any_rows_are_read_alone(name: str) -> None:
    """Packing reads a few rows at a time, by several threads, also in another order."""
    checkpoint = open_checkpoint(GOLDEN / name)
    for tensor in TYPES[name]:
        whole = RowSource.of(checkpoint, tensor).read_f32()
        rows = len(whole)
        for begin, end in ((0, 1), (3, 4), (rows // 2 - 1, rows)):
            np.testing.assert_array_equal(RowSource.of(checkpoint, tensor).read_f32(begin, end), whole[begin:end])
        order = np.random.default_rng(1).permutation(rows - 3)
        some = RowSource.of(checkpoint, tensor, (2, rows - 1), order)
        np.testing.assert_array_equal(some.read_f32(1, 6), whole[2 + order[1:6]])


def test_what_is_not_quantised_or_concerns_activations() -> None:
    """Norms and heads stay as they are; scales for activations and keys are no part of the weights."""
    assert set(open_checkpoint(GOLDEN / "fp8").tensors) == {*TYPES["fp8"], "plain.weight"}
    assert open_checkpoint(GOLDEN / "ct-int4").tensors["lm_head.weight"].dtype == "f32"
    assert set(open_checkpoint(GOLDEN / "ct-nvfp4").tensors) == {UP}
    assert set(open_checkpoint(GOLDEN / "modelopt").tensors) == set(TYPES["modelopt"])
    assert "quantization_config" not in open_checkpoint(GOLDEN / "awq").config
