"""The tensor types a GGUF file may name: their numbers, names and block sizes.

Source: the enum `ggml_type` and the block structures of ggml (ggml.h, ggml-common.h), 2026.
"""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from hearth.errors import Unsupported


class GgmlType(NamedTuple):
    """One element type: `block` consecutive elements of a row are stored in `block_bytes` bytes."""

    name: str
    block: int
    block_bytes: int


GGML_TYPES: dict[int, GgmlType] = {
    0: GgmlType("f32", 1, 4),
    1: GgmlType("f16", 1, 2),
    2: GgmlType("q4_0", 32, 18),
    3: GgmlType("q4_1", 32, 20),
    6: GgmlType("q5_0", 32, 22),
    7: GgmlType("q5_1", 32, 24),
    8: GgmlType("q8_0", 32, 34),
    9: GgmlType("q8_1", 32, 36),
    10: GgmlType("q2_k", 256, 84),
    11: GgmlType("q3_k", 256, 110),
    12: GgmlType("q4_k", 256, 144),
    13: GgmlType("q5_k", 256, 176),
    14: GgmlType("q6_k", 256, 210),
    15: GgmlType("q8_k", 256, 292),
    16: GgmlType("iq2_xxs", 256, 66),
    17: GgmlType("iq2_xs", 256, 74),
    18: GgmlType("iq3_xxs", 256, 98),
    19: GgmlType("iq1_s", 256, 50),
    20: GgmlType("iq4_nl", 32, 18),
    21: GgmlType("iq3_s", 256, 110),
    22: GgmlType("iq2_s", 256, 82),
    23: GgmlType("iq4_xs", 256, 136),
    24: GgmlType("i8", 1, 1),
    25: GgmlType("i16", 1, 2),
    26: GgmlType("i32", 1, 4),
    27: GgmlType("i64", 1, 8),
    28: GgmlType("f64", 1, 8),
    29: GgmlType("iq1_m", 256, 56),
    30: GgmlType("bf16", 1, 2),
    34: GgmlType("tq1_0", 256, 54),
    35: GgmlType("tq2_0", 256, 66),
    39: GgmlType("mxfp4", 32, 17),
    40: GgmlType("nvfp4", 64, 36),
    41: GgmlType("q1_0", 128, 18),
    42: GgmlType("q2_0", 64, 18),
}
"""By the number that stands in the file."""

READABLE = frozenset(kind.name for kind in GGML_TYPES.values()) - {"q8_1", "q8_k", "i8", "i16", "i32", "i64", "f64"}
"""The types whose bytes Hearth can use. A tensor of another type (of activations, of whole numbers) is listed; its
bytes are refused."""

_REMOVED = {
    4: "q4_2", 5: "q4_3", 31: "q4_0_4_4", 32: "q4_0_4_8", 33: "q4_0_8_8", 36: "iq4_nl_4_4", 37: "iq4_nl_4_8",
    38: "iq4_nl_8_8",
}  # fmt: skip
_IK_LLAMA = {
    133: "q6_0", 134: "iq1_bn", 135: "iq2_bn", 137: "iq2_k", 138: "iq3_k", 139: "iq4_k", 140: "iq5_k", 141: "iq6_k",
    144: "iq4_ks", 145: "iq2_ks", 146: "iq4_kss", 152: "iq5_ks", 153: "iq2_kt", 154: "iq3_kt", 155: "iq4_kt",
    156: "iq3_ks", 157: "iq2_kl", 158: "iq1_kt",
}  # fmt: skip
"""Types of the fork ik_llama.cpp. Its numbers from 200 on are rows of four or eight taken in turn."""


def refuse_type(number: int, where: str) -> NoReturn:
    """Raises Unsupported for a number that is none of `GGML_TYPES`. `where`: the file and the tensor."""
    if number in _REMOVED:
        raise Unsupported(
            f"{where} has the type {_REMOVED[number]}, which ggml has removed.",
            why="It was one processor's order of another type.",
            hint="Look for a newer conversion of the model: Q4_K_M, Q8_0, F16.",
        )
    if number in _IK_LLAMA or 200 <= number < 400:
        name = _IK_LLAMA.get(number, f"number {number}")
        raise Unsupported(
            f"{where} has the type {name} of ik_llama.cpp.",
            why="Only that program computes with it.",
            hint="Look for a conversion for llama.cpp: Q4_K_M, IQ4_XS, Q8_0, F16.",
        )
    raise Unsupported(
        f"{where} has the unknown type number {number}.",
        why=f"Known: {', '.join(known.name for known in GGML_TYPES.values())}.",
        hint="Look for the same model as Q4_K_M, Q8_0 or F16, or for a newer Hearth.",
    )
