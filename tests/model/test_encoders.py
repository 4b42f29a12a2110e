"""Encoders compute what transformers computes: from the folder and from the GGUF twin, many texts in one batch."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.encoding.graph import evaluated, texts_of

from golden import ENCODER_CASES, EncoderCase


def assert_near(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("case", ENCODER_CASES, ids=lambda case: case.name)
def test_a_batch_of_texts_is_what_transformers_computes_of_each_alone(case: EncoderCase) -> None:
    _, (hidden, result) = evaluated(case.path, texts_of(case))
    expected = case.expected()
    assert_near(hidden, expected["hidden"])
    assert_near(result, expected["result"])


@pytest.mark.parametrize("case", [c for c in ENCODER_CASES if c.gguf_path], ids=lambda case: case.name)
def test_the_gguf_twin_is_the_same_model(case: EncoderCase) -> None:
    assert case.gguf_path is not None
    model, (hidden, *rest) = evaluated(case.gguf_path, texts_of(case))
    expected = case.expected()
    assert_near(hidden, expected["hidden"])
    if model.task.refused:  # the format has no word for this way of pooling
        assert not rest
        return
    scaled = expected["result"]
    if model.task.kind == "embed":  # llama.cpp scales every vector to length 1
        scaled = scaled / np.linalg.norm(scaled, axis=-1, keepdims=True)
    assert_near(rest[0], scaled)
