"""Gemma 3n and 4: what else files may say of streams, widths and experts, and what is said of damaged ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from edited import Edited

from hearth.errors import CorruptFile, HearthError, Unsupported
from hearth.model import load_family


@pytest.mark.parametrize(
    ("name", "change", "error", "message"),
    [
        ("gemma3n", {"altup_num_inputs": 9}, CorruptFile, "altup_num_inputs = 9.*from 1 to 8"),
        ("gemma3n", {"altup_active_idx": 4}, CorruptFile, "altup_active_idx = 4.*one of the 4 streams"),
        ("gemma3n", {"altup_correct_scale": False}, Unsupported, "altup_correct_scale = False"),
        ("gemma3n", {"activation_sparsity_pattern": [1.0] * 4}, CorruptFile, "shares from 0 to below 1"),
        ("gemma3n", {"activation_sparsity_pattern": [0.95]}, CorruptFile, "a list of 4 entries"),
        ("gemma3n", {"intermediate_size": [18, 18]}, CorruptFile, "a width for each of 4 layers"),
        ("gemma3n", {"num_kv_shared_layers": 4}, CorruptFile, "each kind of layer has keys of its own"),
        ("gemma4-experts", {"top_k_experts": 6}, CorruptFile, "top_k_experts = 6.*from 1 to 5"),
        ("gemma4-experts", {"use_double_wide_mlp": True, "num_kv_shared_layers": 1}, CorruptFile, "of its own"),
    ],
)
def test_what_cannot_be_is_named(name: str, change: dict[str, Any], error: type[HearthError], message: str) -> None:
    edited = Edited(name)
    edited.config |= change
    with pytest.raises(error, match=message):
        load_family(edited)


def test_a_file_that_says_nothing_of_cut_gates_has_none() -> None:
    """Of eleven layers and more it means the first ten."""
    edited = Edited("gemma3n")
    del edited.config["activation_sparsity_pattern"]
    assert all(layer.gate_cut is None for layer in load_family(edited).config.layers)


def test_gguf_files_without_a_number_of_streams_have_four() -> None:
    edited = Edited("gemma3n", gguf=True)
    expected = load_family(edited).config
    del edited.config["gemma3n.altup.num_inputs"], edited.config["gemma3n.altup.active_idx"]
    assert load_family(edited).config == expected


def test_a_stack_of_matrices_between_streams_has_one_for_each() -> None:
    edited = Edited("gemma3n", gguf=True)
    matrices = reference.read_tensor(edited, "altup_proj.weight").astype(np.float16)
    edited.add("altup_proj.weight", matrices[:2])
    with pytest.raises(CorruptFile, match=r"altup_proj\.weight.*shape"):
        load_family(edited)


def test_experts_may_be_apart_in_gguf_files() -> None:
    """As they are where gate and up have types of their own."""
    edited = Edited("gemma4-experts", gguf=True)
    for name in [name for name in edited.tensors if "gate_up_exps" in name]:
        halves = np.split(reference.read_tensor(edited, name).astype(np.float16), 2, axis=1)
        for part, half in zip(("gate", "up"), halves, strict=True):
            edited.add(name.replace("gate_up", part), half)
        edited.remove(name)
    assert reference.error_of(edited, edited.case) < 1e-4
