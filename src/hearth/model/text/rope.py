"""Rotary position embedding: from published parameters to inverse frequencies.

All arithmetic is in f32 and in the order in which `transformers` does it, so that the frequencies agree to the last
bits. Sources: RoPE (arXiv:2104.09864), position interpolation (2306.15595), YaRN (2309.00071), LongRoPE (2402.13753),
and the frequency smoothing of Llama 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hearth.errors import Unsupported
from hearth.model.settings import MAX_POSITIONS, MAX_SIZE, Settings, shown
from hearth.model.text.config import RopeConfig

Float32Array = NDArray[np.float32]
ROPE_STREAMS = 3
"""Positions of a token that may be a part of a picture: in time, its row, its column."""
_MAX_SECTIONS = 64
_LISTS = (list, tuple)


def flat_rope_parameters(settings: Settings) -> Settings:
    """The parameters of a model whose layers all rotate alike.

    transformers 5 writes `rope_parameters`; transformers 4 wrote `rope_theta`, `rope_scaling` and
    `partial_rotary_factor` beside each other. Where a file has both, `rope_scaling` wins, as it does there.
    """
    parameters = settings.table("rope_scaling") or settings.table("rope_parameters")
    for layer_type in ("full_attention", "sliding_attention"):
        if layer_type in parameters:
            raise settings.unsupported("rope_parameters", f"This family has no parameters for {layer_type} alone.")
    return complete(settings, parameters)


def complete(settings: Settings, parameters: dict[str, object], theta_key: str = "rope_theta") -> Settings:
    """Adds to a dictionary of RoPE parameters those that stand beside it in the configuration."""
    for key, beside in (("rope_theta", theta_key), ("partial_rotary_factor", "partial_rotary_factor")):
        if parameters.get(key) is None and settings.get(beside) is not None:
            parameters[key] = settings.get(beside)
    # Phi-3 keeps it outside; there it has priority over one inside.
    outside = settings.get("original_max_position_embeddings")
    if outside is not None:
        parameters["original_max_position_embeddings"] = outside
    elif parameters.get("original_max_position_embeddings") is None:
        parameters["original_max_position_embeddings"] = settings.get("max_position_embeddings")
    parameters["max_position_embeddings"] = settings.get("max_position_embeddings")
    return settings.nested(parameters, "RoPE parameters")


def rope_of_kind(
    settings: Settings, layer_type: str, head_dim: int, sliding_theta_key: str = "rope_theta"
) -> RopeConfig:
    """The rotation of one kind of layer, where `full_attention` and `sliding_attention` have one each.

    transformers 5 nests the parameters by kind of layer; before that, scaling was for the full layers only.
    """
    nested = settings.table("rope_parameters").get(layer_type) or {}
    if not isinstance(nested, dict):
        raise settings.corrupt("rope_parameters", "an object for each kind of layer")
    if layer_type == "full_attention":
        parameters = complete(settings, {**nested, **settings.table("rope_scaling")})
    else:
        parameters = complete(settings, dict(nested), theta_key=sliding_theta_key)
    return make_rope(parameters, head_dim=head_dim)


def rope_type(parameters: Settings) -> str:
    name = parameters.get("rope_type") or parameters.get("type") or "default"
    name = "yarn" if name == "deepseek_yarn" else name  # as DeepSeek's kin call it
    if not isinstance(name, str) or name not in _SCALINGS or (parameters.kind == "gguf" and name == "dynamic"):
        raise Unsupported(
            f"{parameters.where}: rope_type {shown(name)} is not supported.",
            hint=f"Known: {', '.join(sorted(_SCALINGS))}.",
        )
    return name


def longest_context(parameters: Settings) -> int:
    """Tokens that a model with these parameters is good for: scaling makes more of what it was trained for.

    As vLLM has it, for `linear`, `yarn` and `dynamic` it is the length before scaling times the factor. With the other
    types `max_position_embeddings` is the scaled length, and so it is in some files with these.
    """
    most = parameters.count("max_position_embeddings", most=MAX_POSITIONS)
    kind = rope_type(parameters)
    if kind not in ("linear", "yarn", "dynamic") or (kind == "dynamic" and not beyond_original(parameters)):
        return most
    original = parameters.count("original_max_position_embeddings", most=MAX_POSITIONS)
    factor = parameters.optional_number("factor", high=1e6) or 1.0
    return min(max(most, int(original * factor)), MAX_POSITIONS)


def make_rope(
    parameters: Settings,
    *,
    head_dim: int,
    partial: bool = False,
    rotary_dim: int | None = None,
    sections: tuple[int, ...] = (),
    in_turns: bool = False,
) -> RopeConfig:
    """Computes the rotation of one kind of layer.

    Args:
        parameters: as `complete` returns them. From GGUF also `rotary_dim`, in place of `partial_rotary_factor`, and
            `freq_factors`, one per pair, which divide the frequencies whatever the type.
        head_dim: size of a head.
        partial: the family knows `partial_rotary_factor`, the share of a head that rotates.
        rotary_dim: how much of a head rotates, where the family says so; None: as the parameters say.
        sections: what it assumes for an absent `mrope_section`: how many pairs, one after another, turn by each of a
            token's positions.
        in_turns: pairs turn by time, row and column in turns, as far as a section has pairs, and by time behind.

    Raises:
        Unsupported: an unknown `rope_type`, or an odd number of rotated dimensions.
        CorruptFile: a parameter is absent or out of range.
    """
    scaling = _SCALINGS[rope_type(parameters)]
    gguf = parameters.kind == "gguf"
    if gguf:
        rotary_dim = parameters.optional_count("rotary_dim", most=head_dim)
    if rotary_dim is None and rope_type(parameters) == "proportional":
        rotary_dim = head_dim  # of which a part does not turn
    if rotary_dim is None:
        share = parameters.optional_number("partial_rotary_factor", high=1.0) or 1.0
        if share != 1.0 and not partial:
            raise parameters.unsupported("partial_rotary_factor", "Whole heads rotate in this family.")
        rotary_dim = int(head_dim * share)
    if rotary_dim < 2 or rotary_dim % 2:
        raise Unsupported(f"{parameters.where}: {rotary_dim} rotated dimensions a head.", why="They rotate in pairs.")
    theta = parameters.number("rope_theta")
    with np.errstate(all="ignore"):  # what is not finite is refused below
        periods = np.float32(theta) ** (np.arange(0, rotary_dim, 2).astype(np.float32) / np.float32(rotary_dim))
        inv_freq, attention_factor = scaling(parameters, periods.astype(np.float32))
    if gguf and parameters.get("freq_factors") is not None:
        factors = np.array(parameters.factors("freq_factors", length=rotary_dim // 2), np.float32)
        inv_freq = (inv_freq / factors).astype(np.float32)
    if not np.isfinite(inv_freq).all():
        raise parameters.corrupt("rope_theta", "a base whose frequencies are finite in f32")
    return RopeConfig(
        tuple(float(f) for f in inv_freq), attention_factor, _streams(parameters, len(inv_freq), sections, in_turns)
    )


def _streams(parameters: Settings, pairs: int, assumed: tuple[int, ...], in_turns: bool) -> tuple[int, ...]:
    """By which of a token's positions (time, row, column) each pair turns; none where all turn by one."""
    if parameters.flag("mrope_interleaved") and not in_turns:
        raise parameters.unsupported("mrope_interleaved", "Pairs of a section stand one after another.")
    given = parameters.get("mrope_section")
    counts = list(assumed) if given is None else list(given) if isinstance(given, _LISTS) else [-1]
    whole = len(counts) <= _MAX_SECTIONS and all(type(count) is int and count >= 0 for count in counts)
    if not whole or (counts and sum(counts) != pairs):
        raise parameters.corrupt("mrope_section", f"numbers of pairs that are {pairs} together")
    if in_turns and counts:
        most = [counts[stream] if stream < len(counts) else 0 for stream in range(ROPE_STREAMS)]
        turns = (divmod(pair, ROPE_STREAMS) for pair in range(pairs))
        return tuple(stream if place < most[stream] else 0 for place, stream in turns)
    return tuple(index % ROPE_STREAMS for index, count in enumerate(counts) for _ in range(count))


def beyond_original(parameters: Settings) -> bool:
    """Whether the context asked for is longer than the original one, and so needs longrope's long factors, or dynamic
    frequencies for a longer text. No context asked for: it is not, and the original length is the limit, within which
    `transformers` computes any text so."""
    original = parameters.count("original_max_position_embeddings", most=MAX_POSITIONS)
    return parameters.context is not None and parameters.context > original


def _default(parameters: Settings, periods: Float32Array) -> tuple[Float32Array, float]:
    return np.float32(1) / periods, 1.0


def _linear(parameters: Settings, periods: Float32Array) -> tuple[Float32Array, float]:
    return np.float32(1) / periods / np.float32(parameters.number("factor", high=1e6)), 1.0


def _proportional(parameters: Settings, periods: Float32Array) -> tuple[Float32Array, float]:
    """Only the fastest pairs of a head turn, as `partial_rotary_factor` says; the others stand (LFM3, Gemma 4)."""
    share = parameters.optional_number("partial_rotary_factor", high=1.0) or 1.0
    inv_freq = np.float32(1) / periods
    inv_freq[int(share * 2 * len(periods) // 2) :] = 0
    return inv_freq / np.float32(parameters.optional_number("factor", high=1e6) or 1.0), 1.0


def _dynamic(parameters: Settings, periods: Float32Array) -> tuple[Float32Array, float]:
    """Unscaled within the original context. `transformers` scales a longer text by its length, so that frequencies
    change as it grows; like vLLM, Hearth takes those of the longest text, whatever the length."""
    if not beyond_original(parameters):
        return _default(parameters, periods)
    factor = parameters.number("factor", high=1e6)
    rotary_dim = 2 * len(periods)
    if rotary_dim < 4:
        raise Unsupported(f"{parameters.where}: rope_type 'dynamic' with {rotary_dim} rotated dimensions a head.")
    scale = (factor * factor - (factor - 1)) ** (rotary_dim / (rotary_dim - 2))
    theta = np.float32(parameters.number("rope_theta") * scale)
    exponents = np.arange(0, rotary_dim, 2).astype(np.float32) / np.float32(rotary_dim)
    return np.float32(1) / (theta**exponents).astype(np.float32), 1.0


def _llama3(parameters: Settings, periods: Float32Array) -> tuple[Float32Array, float]:
    """Long wavelengths are stretched by `factor`, short ones kept, those between blended."""
    factor = np.float32(parameters.number("factor", high=1e6))
    low = parameters.number("low_freq_factor", high=1e6)
    high = parameters.number("high_freq_factor", high=1e6)
    original = parameters.count("original_max_position_embeddings", most=MAX_POSITIONS)
    if high <= low:
        raise parameters.corrupt("high_freq_factor", f"more than low_freq_factor, {low:g}")
    inv_freq = np.float32(1) / periods
    wavelength = np.float32(2 * math.pi) / inv_freq
    stretched = np.where(wavelength > original / low, inv_freq / factor, inv_freq)
    smooth = (np.float32(original) / wavelength - np.float32(low)) / np.float32(high - low)
    blended = (1 - smooth) * stretched / factor + smooth * stretched
    between = (wavelength >= original / high) & (wavelength <= original / low)
    return np.where(between, blended, stretched).astype(np.float32), 1.0


def _yarn(parameters: Settings, periods: Float32Array) -> tuple[Float32Array, float]:
    """Blends kept and stretched frequencies by how often a pair turns within the original context."""
    original = parameters.count("original_max_position_embeddings", most=MAX_POSITIONS)
    factor = parameters.optional_number("factor", high=1e6)
    if factor is None:
        factor = parameters.count("max_position_embeddings", most=MAX_POSITIONS) / original
    theta = parameters.number("rope_theta")
    if theta == 1.0:
        raise parameters.corrupt("rope_theta", "a base other than 1")
    rotary_dim = 2 * len(periods)

    def dimension(rotations: float) -> float:
        return rotary_dim * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low = dimension(parameters.optional_number("beta_fast", high=1e6) or 32.0)
    high = dimension(parameters.optional_number("beta_slow", high=1e6) or 1.0)
    if parameters.get("truncate") is None or parameters.flag("truncate"):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rotary_dim - 1)
    if low == high:
        high += 0.001  # a ramp needs some width
    ramp = (np.arange(len(periods), dtype=np.float32) - np.float32(low)) / np.float32(high - low)
    keep = np.float32(1) - np.clip(ramp, 0, 1)
    stretched, kept = np.float32(1) / (np.float32(factor) * periods), np.float32(1) / periods
    return stretched * (1 - keep) + kept * keep, _yarn_attention_factor(parameters, factor)


def _yarn_attention_factor(parameters: Settings, factor: float) -> float:
    given = parameters.optional_number("attention_factor", high=1e6)
    if given is not None:
        return given

    def magnitude(scale: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0

    mscale = parameters.optional_number("mscale", low=-1e-9, high=1e6)
    mscale_all = parameters.optional_number("mscale_all_dim", low=-1e-9, high=1e6)
    # A file of llama.cpp's may multiply what the formula gives.
    extra = parameters.optional_number("attention_multiplier", high=1e6) if parameters.kind == "gguf" else None
    if mscale and mscale_all:
        return (extra or 1.0) * magnitude(mscale) / magnitude(mscale_all)
    return (extra or 1.0) * magnitude(1.0)


def _longrope(parameters: Settings, periods: Float32Array) -> tuple[Float32Array, float]:
    """A factor a pair, one set for texts within the original context and one for longer ones."""
    original = parameters.count("original_max_position_embeddings", most=MAX_POSITIONS)
    key = "long_factor" if beyond_original(parameters) else "short_factor"
    factors = np.array(parameters.factors(key, length=len(periods)), np.float32)
    attention_factor = parameters.optional_number("attention_factor", high=1e6)
    if attention_factor is None:
        factor = parameters.optional_number("factor", high=MAX_SIZE)
        if factor is None:
            factor = parameters.count("max_position_embeddings", most=MAX_POSITIONS) / original
        attention_factor = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(max(original, 2)))
    return np.float32(1) / (factors * periods), attention_factor


_SCALINGS: dict[str, Callable[[Settings, Float32Array], tuple[Float32Array, float]]] = {
    "default": _default,
    "mrope": _default,  # its sections: `_streams`
    "dynamic": _dynamic,
    "proportional": _proportional,
    "linear": _linear,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
}
