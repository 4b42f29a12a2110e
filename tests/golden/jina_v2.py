"""Jina embeddings v2 in plain torch, which transformers does not have: the formulas of its published code.

BERT without positions; a score falls by the distance of its two tokens times its head's slope (ALiBi); the MLP is
wo(gelu(g) * u), where g and u are the two halves of one projection. Needs torch.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers import BertConfig


class _Layer(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        hidden, eps = config.hidden_size, config.layer_norm_eps
        self.heads = config.num_attention_heads
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict({name: nn.Linear(hidden, hidden) for name in ("query", "key", "value")}),
                "output": nn.ModuleDict({"dense": nn.Linear(hidden, hidden), "LayerNorm": nn.LayerNorm(hidden, eps)}),
            }
        )
        self.mlp = nn.ModuleDict(
            {
                "gated_layers": nn.Linear(hidden, 2 * config.intermediate_size, bias=False),
                "wo": nn.Linear(config.intermediate_size, hidden),
                "layernorm": nn.LayerNorm(hidden, eps),
            }
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        own, out = self.attention["self"], self.attention["output"]
        q, k, v = (own[name](x).unflatten(-1, (self.heads, -1)).transpose(0, 1) for name in ("query", "key", "value"))
        at = torch.arange(len(x))
        scores = (
            q @ k.mT / math.sqrt(q.shape[-1])
            - _slopes(self.heads, x.dtype)[:, None, None] * (at[:, None] - at[None, :]).abs()
        )
        mixed = (scores.softmax(-1) @ v).transpose(0, 1).flatten(1)
        x = out["LayerNorm"](out["dense"](mixed) + x)
        gate, up = self.mlp["gated_layers"](x).chunk(2, -1)
        return self.mlp["layernorm"](self.mlp["wo"](nn.functional.gelu(gate) * up) + x)


def _slopes(heads: int, dtype: torch.dtype) -> torch.Tensor:
    def of_power(n: int) -> list[float]:
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    below = 2 ** math.floor(math.log2(heads))
    return torch.tensor((of_power(below) + of_power(2 * below)[0::2])[:heads], dtype=torch.float32).to(dtype)


class JinaBertModel(nn.Module):
    """Hidden states (tokens, hidden) of one text."""

    config_class = BertConfig

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(config.vocab_size, config.hidden_size),
                "token_type_embeddings": nn.Embedding(config.type_vocab_size, config.hidden_size),
                "LayerNorm": nn.LayerNorm(config.hidden_size, config.layer_norm_eps),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))})

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        e = self.embeddings
        x = e["LayerNorm"](e["word_embeddings"](token_ids) + e["token_type_embeddings"].weight[0])
        for layer in self.encoder["layer"]:
            x = layer(x)
        return x
