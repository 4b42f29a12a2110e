"""The block that predicts further tokens as a Relax function, `draft` (`config.PredictorConfig`).

It takes what `forward` takes, without slots, and hidden states beside tokens: a token stands at the position of the one
before it, whose hidden state this is. So what it writes into pages of a position depends on that token and the next,
and pages are found, kept and let go with those of the other layers.
"""

from __future__ import annotations

from typing import Any

from tvm.relax import op

from hearth.model.text.batch import HIDDEN_STATES
from hearth.model.text.config import PredictorConfig
from hearth.model.text.decoder import Builder
from hearth.model.text.parameters import is_predictors


class PredictorBuilder(Builder):
    """Writes `draft(inputs..., weights..., KV pages...) -> (logits, argmax, hidden)`, where hidden is what it takes
    itself in place of the model's hidden states for the token after."""

    name = "draft"

    @property
    def predictor(self) -> PredictorConfig:
        assert self.c.predictor is not None
        return self.c.predictor

    @property
    def embedding(self) -> str:
        return f"layers.{self.c.num_layers}.embed" if self.predictor.own_embedding else "embed"

    @property
    def head(self) -> str:
        if self.predictor.own_head:
            return f"layers.{self.c.num_layers}.head"
        return "embed" if self.c.tied_embeddings else "head"

    def uses(self, name: str) -> bool:
        return is_predictors(name, self.c) or name in (self.embedding, self.head, "head_bias")

    def results(self) -> tuple[Any, Any, Any]:
        number = self.c.num_layers
        p = f"layers.{number}."
        token = self.linear(self.norm(self.embedded(self.embedding), p + "enorm"), p + "embed_proj", None)
        before = self.linear(self.norm(self.inputs[HIDDEN_STATES], p + "hnorm"), p + "hidden_proj", None)
        x = self.emit(op.add(token, before))
        x = self.block(number, self.predictor.layer, x, self.tables())
        normed = self.norm(x, p + "head_norm")
        return *self.headed(normed, self.head), normed if self.predictor.chains == "normed" else x
