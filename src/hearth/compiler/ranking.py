"""The layer by which a language model ranks documents, taken from its head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.embedding import Dense, EmbeddingSpec
from hearth.checkpoint.ranking import PublishedRanking
from hearth.checkpoint.sentence_modules import published_prompts
from hearth.checkpoint.types import Checkpoint
from hearth.errors import CorruptFile
from hearth.model import LoadedModel
from hearth.model.weights import tensors_of
from hearth.quant import RowSource

_NO_VECTORS = "it ranks documents (hearth rerank)"


def ranking_spec(checkpoint: Checkpoint, model: LoadedModel, ranking: PublishedRanking) -> EmbeddingSpec:
    """How a score is made: a row of weights by the hidden state of the last token. The difference of two logits is one
    product, with the difference of their rows.

    Raises:
        CorruptFile: the files name a token that the model does not have.
    """
    config, refused = model.config, ranking.refused
    if ranking.tensor is None and model.no_head:
        refused = refused or "it ranks documents by its head, and was published without"
    if ranking.tensor is None and config.logit_softcap is not None:
        refused = refused or "it ranks documents by logits that are capped, which Hearth does not compute"
    if refused:
        return EmbeddingSpec(refused=refused)
    tensor = ranking.tensor
    scale = np.float32(1)
    if tensor is None:
        (tensor,) = tensors_of(model.sources["embed" if config.tied_embeddings else "head"])
        scale = np.float32(config.logit_scale)
    row = _row(checkpoint, tensor, ranking.true)
    if ranking.false is not None:
        row = row - _row(checkpoint, tensor, ranking.false)
    prompts = published_prompts(checkpoint.path) if checkpoint.kind == "safetensors" else {}
    layer = Dense(row * scale, None, "identity")
    return EmbeddingSpec(("lasttoken",), (layer,), **{"refused": _NO_VECTORS, **prompts}, pairs=ranking.pairs)


def _row(checkpoint: Checkpoint, tensor: str, row: int) -> NDArray[np.float32]:
    """f32 (1, hidden)."""
    info = checkpoint.tensors[tensor]
    if not 0 <= row < info.shape[0]:
        raise CorruptFile(f"The model ranks by token {row}, but has {info.shape[0]}.")
    return RowSource.of(checkpoint, tensor, (row, row + 1)).read_f32()
