"""The parameters of a network as arrays, read from its checkpoint."""

from __future__ import annotations

import numpy as np

from hearth.checkpoint.types import Checkpoint
from hearth.model.network import Network
from hearth.model.weights import ComputedWeight


def parameters_of(network: Network, checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    arrays = {}
    for name, source in network.sources.items():
        if isinstance(source, ComputedWeight):
            arrays[name] = source.compute(*(_whole(checkpoint, tensor) for tensor in source.tensors))
        else:
            rows = _whole(checkpoint, source.tensor)
            arrays[name] = rows if source.rows is None else rows[slice(*source.rows)]
        assert arrays[name].shape == network.shapes[name], name
        assert arrays[name].dtype == np.float32, name
    return arrays


def _whole(checkpoint: Checkpoint, tensor: str) -> np.ndarray:
    info = checkpoint.tensors[tensor]
    return checkpoint.raw(tensor).view({"f32": "<f4", "f16": "<f2"}[info.dtype]).astype(np.float32).reshape(info.shape)
