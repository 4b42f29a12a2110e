"""What families with layers of Mamba 1 or 2 have in common: the reading of sizes, and where parameters are."""

from __future__ import annotations

from typing import Any

import numpy as np

from hearth.model.settings import Settings
from hearth.model.tensors import Made, Rules
from hearth.model.text.families.base import MAX_HEAD_DIM, MAX_HEADS, MAX_TAPS
from hearth.model.text.mixers.mamba import Mamba
from hearth.model.text.mixers.mamba2 import Mamba2
from hearth.model.text.names import conv_taps

MAMBA2_KEYS = {
    "mamba_n_heads": "ssm_time_step_rank",
    "mamba_num_heads": "ssm_time_step_rank",
    "mamba_d_head": "mamba_head_dim",
    "mamba_d_ssm": "ssm_inner_size",
    "mamba_n_groups": "ssm_group_count",
    "n_groups": "ssm_group_count",
    "mamba_d_state": "ssm_state_size",
    "mamba_d_conv": "ssm_conv_kernel",
    "conv_kernel": "ssm_conv_kernel",
    "mamba_conv_bias": "use_conv_bias",
}
"""What configurations call its sizes."""
MAMBA2_DEFAULTS: dict[str, Any] = {
    "ssm_time_step_rank": 128,
    "ssm_group_count": 1,
    "ssm_state_size": 256,
    "ssm_conv_kernel": 4,
    "mamba_expand": 2,
    "use_conv_bias": True,
}


def mamba2(settings: Settings, **differences: Any) -> Mamba2:
    """The mixer of a configuration, with the fields in `differences` instead of what the usual keys say."""
    heads = settings.count("ssm_time_step_rank", most=MAX_HEADS)
    groups = settings.count("ssm_group_count", most=heads)
    if heads % groups:
        raise settings.corrupt("ssm_group_count", f"a divisor of the {heads} heads")
    least, most = _step_limits(settings)
    fields: dict[str, Any] = {
        "heads": heads,
        "columns": _columns(settings, heads),
        "groups": groups,
        "state": settings.count("ssm_state_size", most=MAX_HEAD_DIM),
        "taps": settings.count("ssm_conv_kernel", most=MAX_TAPS),
        "bias": settings.flag("mamba_proj_bias"),
        "conv_bias": settings.flag("use_conv_bias"),
        "least": least,
        "most": most,
    }
    return Mamba2(**(fields | differences))


def _columns(settings: Settings, heads: int) -> int:
    """Numbers of a head: as given, or the share of each in all."""
    if settings.kind != "gguf" and settings.get("mamba_head_dim") not in (None, "auto"):
        return settings.count("mamba_head_dim", most=MAX_HEAD_DIM)
    if settings.get("ssm_inner_size") is not None:
        key, inner = "ssm_inner_size", settings.count("ssm_inner_size")
    else:
        key, inner = "mamba_expand", settings.count("mamba_expand", most=64) * settings.count("hidden_size")
    if inner % heads:
        raise settings.corrupt(key, f"one that gives each of the {heads} heads as many numbers")
    return inner // heads


def _step_limits(settings: Settings) -> tuple[float, float | None]:
    """Between what a step lies. GGUF files do not say."""
    limits = settings.sequence("time_step_limit", length=2)
    if limits is None:
        return 0.0, None
    # transformers 5 writes what JSON has no number for as an object.
    least, most = (np.inf if v == {"__float__": "Infinity"} else v for v in limits)
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in (least, most)) or not 0 <= least < most:
        raise settings.corrupt("time_step_limit", "two numbers from 0, the smaller one first")
    return float(least), None if most == np.inf else float(most)


def mamba2_hf(module: str) -> Rules:
    """Rules for a layer's parameters, by the name of its module."""
    return {
        "layers.N.ssm_in": module + "in_proj.weight",
        "layers.N.ssm_in_bias": module + "in_proj.bias",
        "layers.N.ssm_conv": conv_taps(module + "conv1d.weight"),
        "layers.N.ssm_conv_bias": module + "conv1d.bias",
        "layers.N.ssm_decay": Made(module + "A_log", lambda w: -np.exp(w)),
        "layers.N.ssm_step": module + "dt_bias",
        "layers.N.ssm_through": module + "D",
        "layers.N.ssm_scale": module + "norm.weight",
        "layers.N.ssm_out": module + "out_proj.weight",
        "layers.N.ssm_out_bias": module + "out_proj.bias",
    }


def _flat(tensor: str) -> Made:
    """A vector that files hold as a matrix."""
    return Made(tensor, lambda w: w.reshape(-1), None)


MAMBA2_GGUF: Rules = {
    "layers.N.ssm_in": "blk.N.ssm_in.weight",
    "layers.N.ssm_conv": conv_taps("blk.N.ssm_conv1d.weight", squeezed=True),
    "layers.N.ssm_conv_bias": "blk.N.ssm_conv1d.bias",
    "layers.N.ssm_decay": _flat("blk.N.ssm_a"),
    "layers.N.ssm_step": "blk.N.ssm_dt.bias",
    "layers.N.ssm_through": _flat("blk.N.ssm_d"),
    "layers.N.ssm_scale": _flat("blk.N.ssm_norm.weight"),  # a row for each group
    "layers.N.ssm_out": "blk.N.ssm_out.weight",
}

MAMBA_KEYS = {
    **MAMBA2_KEYS,
    "mamba_dt_rank": "ssm_time_step_rank",
    "time_step_rank": "ssm_time_step_rank",
    "state_size": "ssm_state_size",
}
MAMBA_DEFAULTS: dict[str, Any] = {
    "ssm_time_step_rank": "auto",
    "ssm_state_size": 16,
    "ssm_conv_kernel": 4,
    "mamba_expand": 2,
    "use_conv_bias": True,
}


def mamba(settings: Settings, **differences: Any) -> Mamba:
    """The mixer of a configuration of Mamba 1, with the fields in `differences` too."""
    hidden = settings.count("hidden_size")
    if settings.kind == "gguf":
        channels = settings.count("ssm_inner_size")
    else:
        channels = settings.count("mamba_expand", most=64) * hidden
    automatic = settings.get("ssm_time_step_rank") == "auto"
    return Mamba(
        channels,
        settings.count("ssm_state_size", most=MAX_HEAD_DIM),
        settings.count("ssm_conv_kernel", most=MAX_TAPS),
        -(-hidden // 16) if automatic else settings.count("ssm_time_step_rank"),
        bias=settings.flag("mamba_proj_bias"),
        conv_bias=settings.flag("use_conv_bias"),
        **differences,
    )


def _rates(tensor: str, *, log: bool) -> Made:
    """What files have by channel; as logarithms, or ready."""
    return Made(tensor, lambda w: np.ascontiguousarray((-np.exp(w) if log else w).T), lambda shape: shape[::-1])


def mamba_hf(module: str) -> Rules:
    """Rules for a layer's parameters, by the name of its module."""
    return {
        **mamba2_hf(module),
        "layers.N.ssm_x": module + "x_proj.weight",
        **{f"layers.N.ssm_{part}_norm": f"{module}{part}_layernorm.weight" for part in ("dt", "b", "c")},
        "layers.N.ssm_dt": module + "dt_proj.weight",
        "layers.N.ssm_step": module + "dt_proj.bias",
        "layers.N.ssm_rates": _rates(module + "A_log", log=True),
    }


MAMBA_GGUF: Rules = {
    **MAMBA2_GGUF,
    "layers.N.ssm_x": "blk.N.ssm_x.weight",
    **{f"layers.N.ssm_{part}_norm": f"blk.N.ssm_{part}_norm.weight" for part in ("dt", "b", "c")},
    "layers.N.ssm_dt": "blk.N.ssm_dt.weight",
    "layers.N.ssm_rates": _rates("blk.N.ssm_a", log=False),
}
