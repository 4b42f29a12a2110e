"""RWKV in the forms that files have, and what is said of what does not run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from edited import Edited

from hearth.errors import CorruptFile, HearthError, Unsupported
from hearth.model import load_family


def tensor(edited: Edited, name: str) -> np.ndarray:
    return reference.read_tensor(edited, name).astype(np.float16)


def test_early_folders_have_the_shares_of_a_layer_in_one_tensor() -> None:
    edited = Edited("rwkv7")
    for layer in range(2):
        names = [f"model.layers.{layer}.attn.x_{part}" for part in "rwkvag"]
        edited.add(f"model.layers.{layer}.attn.x_x", np.stack([tensor(edited, name).reshape(-1) for name in names]))
        for name in names:
            edited.remove(name)
    assert reference.error_of(edited, edited.case) < 1e-4


def test_the_first_layer_may_have_what_it_does_not_read() -> None:
    """As folders that were saved before the classes left it out."""
    edited = Edited("rwkv7")
    edited.add("model.layers.0.attn.v_lora.lora.2.bias", np.ones(128, np.float16))
    assert load_family(edited).unused == ("model.layers.0.attn.v_lora.lora.2.bias",)


def test_gguf_files_of_2024_have_the_shares_apart() -> None:
    edited = Edited("rwkv6", gguf=True)
    for layer in range(3):
        fused = f"blk.{layer}.time_mix_lerp_fused.weight"
        for part, share in zip("wkvrg", reference.read_tensor(edited, fused).astype(np.float32), strict=True):
            edited.add(f"blk.{layer}.time_mix_lerp_{part}.weight", share.reshape(-1))
        edited.remove(fused)
    assert reference.error_of(edited, edited.case) < 1e-4


def test_only_gguf_files_have_weights_that_halves_stand_behind() -> None:
    assert load_family(Edited("rwkv6", gguf=True)).config.layer_scale
    assert not load_family(Edited("rwkv6")).config.layer_scale


def test_its_context_has_no_end() -> None:
    edited = Edited("rwkv7")
    edited.config["max_position_embeddings"] = 2048
    assert load_family(edited).config.max_position == 1 << 20


@pytest.mark.parametrize(
    ("name", "change", "error", "message"),
    [
        ("rwkv7", {"head_dim": 48}, CorruptFile, "head_dim = 48.*divisor of the hidden size 128"),
        ("rwkv7", {"v_low_rank_dim": None}, CorruptFile, "no 'v_low_rank_dim'"),
        ("rwkv7", {"value_dim": [128, 256]}, Unsupported, "value_dim"),
        ("rwkv7", {"attn": {"layers": [1]}}, Unsupported, "attn = "),
        ("rwkv7", {"hidden_act": "gelu"}, Unsupported, "hidden_act = 'gelu'.*'sqrelu'"),
        ("rwkv7", {"norm_first": False}, Unsupported, "norm_first = False"),
        ("rwkv6", {"head_size": 7}, CorruptFile, "head_size = 7.*divisor of the hidden size 48"),
        ("rwkv6", {"proj_low_rank_dim": 32}, Unsupported, "as its authors publish it"),
    ],
)
def test_what_does_not_run_is_named(name: str, change: dict[str, Any], error: type[HearthError], message: str) -> None:
    edited = Edited(name)
    edited.config |= change
    with pytest.raises(error, match=message):
        load_family(edited)
