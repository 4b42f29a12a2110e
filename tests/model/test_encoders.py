"""Encoders compute what transformers computes: from the folder and from the GGUF twin, many texts in one batch."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import reference
from numpy.typing import NDArray

from golden import ENCODER_CASES, EncoderCase
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.types import Checkpoint
from hearth.model.encoder.batch import Text, input_shapes, pack
from hearth.model.encoder.load import LoadedEncoder, load_encoder
from hearth.model.encoder.network import encoder_network
from hearth.model.evaluate import evaluate
from hearth.model.weights import Source, WeightSource

BY_NAME = {case.name: case for case in ENCODER_CASES}


def parameter(checkpoint: Checkpoint, source: Source) -> NDArray[np.float32]:
    if isinstance(source, WeightSource):
        assert source.permutation is None
        values = reference.read_tensor(checkpoint, source.tensor).astype(np.float32)
        return values if source.rows is None else values[slice(*source.rows)]
    tensors = [reference.read_tensor(checkpoint, name).astype(np.float32) for name in source.tensors]
    return source.compute(*tensors)


def run(path: Path, texts: list[Text]) -> tuple[LoadedEncoder, list[NDArray[np.float32]]]:
    checkpoint = open_checkpoint(path)
    model = load_encoder(checkpoint)
    network = encoder_network(model)
    weights = {name: parameter(checkpoint, source) for name, source in network.sources.items()}
    assert {name: w.shape for name, w in weights.items()} == dict(network.shapes)
    return model, evaluate(network.build(), "encode", {**pack(texts, input_shapes(model.config)), **weights})


def texts_of(case: EncoderCase) -> list[Text]:
    expected = case.expected()
    borders = np.cumsum([0, *expected["lengths"]])
    ids, types = expected["token_ids"].tolist(), expected["token_types"].tolist()
    return [Text(ids[a:b], types[a:b] if case.pairs else None) for a, b in pairwise(borders)]


def assert_near(actual: NDArray[np.float32], expected: NDArray[np.float32], tolerance: float) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize("case", ENCODER_CASES, ids=lambda case: case.name)
def test_a_batch_of_texts_is_what_transformers_computes_of_each_alone(case: EncoderCase) -> None:
    _, (hidden, result) = run(case.path, texts_of(case))
    expected = case.expected()
    assert_near(hidden, expected["hidden"], 1e-5)
    assert_near(result, expected["result"], 1e-5)


@pytest.mark.parametrize("case", [c for c in ENCODER_CASES if c.gguf_path], ids=lambda case: case.name)
def test_the_gguf_twin_is_the_same_model(case: EncoderCase) -> None:
    assert case.gguf_path is not None
    model, (hidden, *rest) = run(case.gguf_path, texts_of(case))
    expected = case.expected()
    assert_near(hidden, expected["hidden"], 1e-5)
    if model.task.refused:  # the format has no word for this way of pooling
        assert not rest
        return
    scaled = expected["result"]
    if model.task.kind == "embed":  # llama.cpp scales every vector to length 1
        scaled = scaled / np.linalg.norm(scaled, axis=-1, keepdims=True)
    assert_near(rest[0], scaled, 1e-5)
