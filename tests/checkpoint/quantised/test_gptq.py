"""GPTQ against the layout that its authors describe, number by number (`making.gptq`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.checkpoint.quantised.making import gptq, write_folder

from hearth.checkpoint import open_checkpoint
from hearth.errors import CorruptFile, Unsupported
from hearth.quant.source import read_tensor

NAME = "model.layers.0.mlp.up_proj"


def folder(path: Path, stored: dict[str, Any], **how: Any) -> Path:
    config = {"model_type": "llama", "quantization_config": {"quant_method": "gptq", **how}}
    return write_folder(path, config, {f"{NAME}.{key}": value for key, value in stored.items()})


@pytest.mark.parametrize(
    ("how", "settings", "dtype"),
    [
        ({}, {"sym": True}, "q4"),
        ({"group": 96}, {"sym": True}, "q4"),  # one for the whole row
        ({"symmetric": False}, {"sym": False}, "q5_0"),
        ({"symmetric": False}, {}, "q5_0"),
        ({"symmetric": False, "added": 0}, {"checkpoint_format": "gptq_v2"}, "q5_0"),
        ({"added": 0}, {"sym": True, "checkpoint_format": "gptq_v2"}, "q4"),
        ({"bits": 8}, {"sym": True}, "q8"),
        ({"bits": 8, "symmetric": False}, {"sym": False}, "f32"),
        ({"bits": 3}, {"sym": True}, "q4"),
        ({"bits": 3, "symmetric": False}, {}, "q4"),
        ({"bits": 2, "symmetric": False}, {}, "q4"),
        ({"shuffled": True}, {"sym": True, "desc_act": True}, "f32"),
        ({"shuffled": True, "symmetric": False, "bits": 3}, {"desc_act": True}, "f32"),
        ({"group": 16}, {"sym": True}, "f32"),  # half of a group of ours
    ],
)
def test_every_form_is_read_exactly(tmp_path: Path, how: dict[str, Any], settings: dict[str, Any], dtype: str) -> None:
    stored, expected = gptq(np.random.default_rng(3), 64, 96, **how)
    # What the configuration says of all is wrong for this module, as where `dynamic` says otherwise: shapes count.
    checkpoint = open_checkpoint(folder(tmp_path, stored, bits=4, group_size=128, **settings))
    info = checkpoint.tensors[f"{NAME}.weight"]
    assert (info.dtype, info.shape, set(checkpoint.tensors)) == (dtype, (64, 96), {f"{NAME}.weight"})
    np.testing.assert_array_equal(read_tensor(checkpoint, f"{NAME}.weight"), expected)


def test_a_zero_point_of_nothing_is_told_from_one_of_sixteen(tmp_path: Path) -> None:
    """In the first form 0 is written as 0 - 1, which borrows from the field above, as in the program that writes it."""
    stored, _ = gptq(np.random.default_rng(3), 8, 32, symmetric=False, added=0)
    q = stored["qweight"]
    zeros = np.array([[0x0005_0A00]], np.int32)  # rows 2 and 4 have others than 0
    stored["qzeros"] = (zeros.view(np.uint32) - np.uint32(0x11111111)).view(np.int32)
    checkpoint = open_checkpoint(folder(tmp_path, stored, sym=False))
    numbers = np.array([[(int(word) >> 4 * i) & 15 for word in q[:, row] for i in range(8)] for row in range(8)])
    expected = (numbers - np.array([0, 0, 10, 0, 5, 0, 0, 0])[:, None]) * stored["scales"].T.astype(np.float32)
    np.testing.assert_array_equal(read_tensor(checkpoint, f"{NAME}.weight"), expected.astype(np.float32))


def test_a_file_that_contradicts_itself(tmp_path: Path) -> None:
    stored, _ = gptq(np.random.default_rng(3), 64, 96, symmetric=False)
    checkpoint = open_checkpoint(folder(tmp_path / "a", stored, sym=True))
    with pytest.raises(CorruptFile, match=r"qzeros.*says that it is symmetric"):
        read_tensor(checkpoint, f"{NAME}.weight")
    for part, value in (
        ("scales", stored["scales"][:, :-1]),
        ("qzeros", stored["qzeros"][:-1]),
        ("qweight", stored["qweight"][:-1]),
        ("g_idx", stored["g_idx"] + 9),
        ("g_idx", stored["g_idx"] - 1),
    ):
        with pytest.raises(CorruptFile, match="is not sound"):
            open_checkpoint(folder(tmp_path / "b", {**stored, part: value}))
    with pytest.raises(CorruptFile, match="scales' is missing"):
        open_checkpoint(folder(tmp_path / "c", {k: v for k, v in stored.items() if k != "scales"}))


def test_other_packings_are_named(tmp_path: Path) -> None:
    stored, _ = gptq(np.random.default_rng(3), 64, 96)
    with pytest.raises(Unsupported, match=r"checkpoint_format = 'marlin'.*Known: gptq, gptq_v2.*GGUF"):
        open_checkpoint(folder(tmp_path, stored, checkpoint_format="marlin"))
