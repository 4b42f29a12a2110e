"""An encoder's graph, evaluated in numpy with the parameters of its checkpoint."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden import EncoderCase
from hearth.checkpoint.types import Checkpoint
from hearth.model.encoder.batch import Text, input_shapes, pack
from hearth.model.encoder.load import LoadedEncoder, load_encoder
from hearth.model.encoder.network import encoder_network
from hearth.model.encoder.onnx_weights import open_encoder
from hearth.model.evaluate import evaluate
from hearth.model.weights import Source, WeightSource


def evaluated(path: Path, texts: list[Text]) -> tuple[LoadedEncoder, list[NDArray[np.float32]]]:
    """What the model is, and its outputs for a batch of texts: hidden states and, where it has a head, what that
    gives."""
    checkpoint = open_encoder(path)
    model = load_encoder(checkpoint)
    network = encoder_network(model)
    weights = {name: parameter(checkpoint, source) for name, source in network.sources.items()}
    assert {name: w.shape for name, w in weights.items()} == dict(network.shapes)
    inputs = pack(texts, input_shapes(model.config))
    return model, evaluate(network.build(), "encode", {**inputs, **weights})


def parameter(checkpoint: Checkpoint, source: Source) -> NDArray[np.float32]:
    if isinstance(source, WeightSource):
        assert source.order is None
        values = tensor(checkpoint, source.tensor)
        return values if source.rows is None else values[slice(*source.rows)]
    return source.compute(*(tensor(checkpoint, name) for name in source.tensors))


def tensor(checkpoint: Checkpoint, name: str) -> NDArray[np.float32]:
    info = checkpoint.tensors[name]
    values = checkpoint.raw(name).view({"f32": "<f4", "f16": "<f2"}[info.dtype])
    return values.reshape(info.shape).astype(np.float32)


def texts_of(case: EncoderCase) -> list[Text]:
    """The texts of a golden encoder."""
    expected = case.expected()
    borders = np.cumsum([0, *expected["lengths"]])
    ids, types = expected["token_ids"].tolist(), expected["token_types"].tolist()
    return [Text(ids[a:b], types[a:b] if case.pairs else None) for a, b in pairwise(borders)]
