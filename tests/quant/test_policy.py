"""Which format a parameter gets: what users are told in the docs about --quant and --head."""

from __future__ import annotations

import pytest

from hearth.errors import Unsupported, UsageError
from hearth.model.text.parameters import parameter_role
from hearth.quant import FORMATS, choose_format, shared_format


@pytest.mark.parametrize(
    ("parameter", "dtype", "kind", "quant", "head", "expected"),
    [
        # A folder without --quant: q4, embedding and head q8.
        ("layers.0.q", "bf16", "safetensors", None, None, "q4"),
        ("layers.11.down", "f32", "safetensors", None, None, "q4"),
        ("embed", "bf16", "safetensors", None, None, "q8"),
        ("head", "bf16", "safetensors", None, None, "q8"),
        # Norms and biases are never quantised.
        ("layers.0.attn_norm", "bf16", "safetensors", "q4", None, "f32"),
        ("layers.0.q_norm", "bf16", "safetensors", "q4", None, "f32"),
        ("layers.0.q_bias", "f16", "safetensors", "q8", "q8", "f32"),
        ("norm", "f32", "gguf", None, None, "f32"),
        ("head_bias", "bf16", "safetensors", "q4", "q4", "f32"),
        # The head follows the body unless that has 4 bits.
        ("layers.0.up", "bf16", "safetensors", "q8", None, "q8"),
        ("embed", "bf16", "safetensors", "f16", None, "f16"),
        ("head", "bf16", "safetensors", "q4a", None, "q8"),
        ("head", "bf16", "safetensors", "q4", "q4", "q4"),
        ("embed", "bf16", "safetensors", None, "f16", "f16"),
        # A GGUF file keeps what it has, tensor by tensor.
        ("layers.0.v", "q6_k", "gguf", None, None, "q6_k"),
        ("layers.0.v", "f16", "gguf", None, None, "f16"),
        ("embed", "q4_k", "gguf", None, None, "q4_k"),
        ("head", "q6_k", "gguf", None, "q8", "q8"),
        # So does a folder whose weights were published in a format of ours.
        ("layers.0.v", "q5_0", "safetensors", None, None, "q5_0"),
        ("layers.0.v", "nvfp4", "safetensors", "q8", None, "q8"),
        ("embed", "q4a", "safetensors", None, None, "q4a"),
        # With --quant it is converted, but small heads are not rounded again.
        ("layers.0.v", "q6_k", "gguf", "q4", None, "q4"),
        ("head", "q6_k", "gguf", "q4", None, "q6_k"),
        ("head", "f16", "gguf", "q4", None, "q8"),
        ("head", "q6_k", "gguf", "f32", None, "f32"),
    ],
)
def test_choice(parameter: str, dtype: str, kind: str, quant: str | None, head: str | None, expected: str) -> None:
    chosen = choose_format(parameter, parameter_role(parameter), dtype, kind, quant, head)  # type: ignore[arg-type]
    assert chosen.name == expected


def test_wrong_choices_say_what_is_possible() -> None:
    with pytest.raises(UsageError, match=r"--quant q5.*f32, f16, q8, q4, q4a"):
        choose_format("embed", "head", "f32", "gguf", "q5")
    with pytest.raises(UsageError, match=r"--head q4_k"):
        choose_format("layers.0.q", "body", "f32", "gguf", None, "q4_k")
    with pytest.raises(Unsupported, match="'q8_k'"):
        choose_format("layers.0.q", "body", "q8_k", "gguf")


def test_only_equal_layouts_are_joined() -> None:
    """Q4_K_M files store v as q6_k: it must not be rounded to fit q and k."""
    assert shared_format([FORMATS["q4_0"], FORMATS["q4"]]) is FORMATS["q4_0"]
    assert shared_format([FORMATS["q4_k"], FORMATS["q4_k"], FORMATS["q6_k"]]) is None
