"""The ways of quantising that Hearth reads, and those that it refuses by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from hearth.checkpoint.quantised import (
    awq,
    bitnet,
    bitsandbytes,
    compressed_tensors,
    fp8,
    gptq,
    mlx,
    modelopt,
    mxfp4,
)  # fmt: skip
from hearth.checkpoint.quantised.scheme import OTHER_FORMS, Beside, Scheme, scheme_of
from hearth.checkpoint.quantised.weight import Stored, Weight
from hearth.errors import Unsupported


@dataclass(frozen=True)
class Method:
    """One way of quantising.

    Attributes:
        check: raises Unsupported for settings that are not read.
        weights: the weights of a folder that are quantised so.
        expected: the type that most of them will be shown as, as far as settings tell.
        serving: patterns of tensors that are left out: they concern activations, keys and values, or what follows from
            the others.
    """

    check: Callable[[Scheme], None]
    weights: Callable[[Stored, Scheme], Iterator[Weight]]
    expected: Callable[[Scheme], str]
    serving: tuple[str, ...] = ()

    def serves(self, name: str) -> bool:
        """Whether a tensor is left out."""
        return any(fnmatchcase(name, pattern) for pattern in self.serving)


_CACHE = ("*.k_scale", "*.v_scale")
METHODS: Mapping[str, Method] = {
    "fp8": Method(fp8.check, fp8.weights, fp8.expected, _CACHE),
    "fbgemm_fp8": Method(fp8.check, fp8.weights, fp8.expected, _CACHE),
    "gptq": Method(gptq.check, gptq.weights, gptq.expected),
    "awq": Method(awq.check, awq.weights, awq.expected),
    "compressed-tensors": Method(
        compressed_tensors.check, compressed_tensors.weights, compressed_tensors.expected, compressed_tensors.SERVING
    ),
    "mxfp4": Method(mxfp4.check, mxfp4.weights, mxfp4.expected),
    "modelopt": Method(modelopt.check, modelopt.weights, modelopt.expected, modelopt.SERVING),
    "mlx": Method(mlx.check, mlx.weights, mlx.expected),
    "bitsandbytes": Method(bitsandbytes.check, bitsandbytes.weights, bitsandbytes.expected, bitsandbytes.SERVING),
    "bitnet": Method(bitnet.check, bitnet.weights, bitnet.expected),
}
"""By `quant_method`."""

# What is said of methods that are known and not read.
_NOT_READ: Mapping[str, str] = {
    "auto-round": "Of its exports Hearth reads those that are packed as GPTQ's or AWQ's.",
    "intel/auto-round": "Of its exports Hearth reads those that are packed as GPTQ's or AWQ's.",
    "aqlm": "Its weights are sums of codebooks' vectors.",
    "eetq": "Its integers lie in an order of the processor that they were made for.",
    "exl2": "Its rows have several numbers of bits, in an order of ExLlama's own.",
    "exl3": "Its weights are paths through a trellis, turned by Hadamard matrices on both sides.",
    "fouroversix": "It is made for one kind of GPU.",
    "fp_quant": "Its weights are turned by Hadamard matrices.",
    "gemma": "Its activations are rounded by scales of their own.",
    "higgs": "Its weights are turned by Hadamard matrices, and vectors of a grid.",
    "hqq": "Its files hold programs' settings beside the integers.",
    "quanto": "Its integers lie in an order of its own.",
    "quark": "AMD's layouts differ from model to model.",
    "sinq": "It has scales for rows and for columns.",
    "spqr": "Its weights are blocks of two levels with outliers beside them.",
    "torchao": "Its files hold tensors of classes of its own.",
    "vptq": "Its weights are vectors of codebooks.",
}
# Endings of tensors that only quantised files have, where nothing says how.
_ENDINGS: Mapping[str, str] = {
    ".qweight": "GPTQ or AWQ",
    ".qzeros": "GPTQ or AWQ",
    ".weight_packed": "compressed-tensors",
    ".weight_scale": "FP8 or compressed-tensors",
    ".weight_scale_inv": "FP8",
    ".absmax": "bitsandbytes",
    ".quant_state.bitsandbytes__nf4": "bitsandbytes",
    ".quant_state.bitsandbytes__fp4": "bitsandbytes",
    ".trellis": "EXL3",
    ".q_weight": "EXL2",
    ".W_q": "HQQ",
    ".biases": "MLX",
    ".scales": "MLX, GPTQ or AWQ",
}


def method_of(scheme: Scheme, place: str) -> Method:
    """What reads weights that were quantised so.

    Args:
        place: the model, for the message.

    Raises:
        Unsupported: nothing does, or not with these settings.
    """
    method = METHODS.get(scheme.method)
    if method is None:
        raise Unsupported(
            f"{place} holds weights quantised by {scheme.method} ({scheme.where}).",
            why=_NOT_READ.get(scheme.method) or f"Hearth reads those of {', '.join(METHODS)}.",
            hint=OTHER_FORMS,
        )
    method.check(scheme)
    return method


def refuse_unreadable(
    place: str, config: Mapping[str, Any], tensors: Iterable[str] = (), beside: Beside | None = None
) -> None:
    """Raises Unsupported where a folder's weights are quantised in a way that Hearth does not read.

    Args:
        place: the model, for the message.
        config: content of its config.json.
        tensors: names, where they are known: quantised ones want a word on how.
        beside: the files beside config.json, where they are known.
    """
    scheme = scheme_of(config, beside)
    if scheme is not None:
        method_of(scheme, place)
        return
    names = list(tensors)
    for ending, how in _ENDINGS.items():
        name = next((name for name in names if name.endswith(ending)), None)
        if name is not None:
            raise Unsupported(
                f"{place} holds weights quantised by {how}: it has the tensor {name[:200]!r}.",
                why="Nothing in config.json says how (quantization_config).",
                hint=OTHER_FORMS,
            )


def expected_type(config: Mapping[str, Any], beside: Beside | None = None) -> str:
    """The type that the matrices of a model will be shown as, from what is said of them alone."""
    scheme = scheme_of(config, beside)
    return "bf16" if scheme is None or scheme.method not in METHODS else METHODS[scheme.method].expected(scheme)
