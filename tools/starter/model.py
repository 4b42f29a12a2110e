"""The starter model in torch: Llama, with the names and the RoPE layout of the published checkpoints.

Knows nothing of text. `fake_quant` rounds the weights the way the 4-bit formats do, for training and for measuring.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUP = 32
"""Weights that share one scale, along the axis that is summed over."""


@dataclass(frozen=True)
class Shape:
    """The sizes of the model, named as in a published config.json."""

    vocab_size: int = 2560
    hidden_size: int = 256
    intermediate_size: int = 512
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    max_position_embeddings: int = 512
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads


def fake_quant(weight: Tensor, bits: int = 4) -> Tensor:
    """The weight after symmetric rounding in groups of 32 along its last axis, with a float16 scale per group.

    Of several scales the one with the least squared error is taken. Shape and dtype stay.
    """
    top = 2 ** (bits - 1) - 1
    groups = weight.detach().float().reshape(-1, GROUP)  # (G, 32)
    largest = groups.abs().amax(1, keepdim=True).clamp_min(1e-8)
    best, best_error = groups, torch.full_like(largest, torch.inf)
    # With 8 bits the plain scale is as good as any other.
    for shrink in (1.0,) if bits == 8 else (1.0, 0.94, 0.88, 0.82, 0.76):
        codes = (groups / (largest * (shrink / top))).round().clamp(-top, top)
        scale = (groups * codes).sum(1, keepdim=True) / codes.square().sum(1, keepdim=True).clamp_min(1e-8)
        rounded = codes * scale.half().float()
        error = (groups - rounded).square().sum(1, keepdim=True)
        better = error < best_error
        best, best_error = torch.where(better, rounded, best), torch.where(better, error, best_error)
    return best.reshape(weight.shape).to(weight.dtype)


class Linear(nn.Linear):
    """A linear layer without bias. While `offset` is set, it works with weight + offset.

    The offset is what rounding changes; it carries no gradient, so the gradient reaches the weight unrounded
    (a straight-through estimate).
    """

    offset: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)"""
        return F.linear(x, self.weight if self.offset is None else self.weight + self.offset)


def _linear(inputs: int, outputs: int) -> Linear:
    layer = Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=0.02)
    return layer


class Attention(nn.Module):
    """Causal attention with grouped key-value heads."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        kv = shape.num_key_value_heads * shape.head_dim
        self.q_proj = _linear(shape.hidden_size, shape.hidden_size)
        self.k_proj = _linear(shape.hidden_size, kv)
        self.v_proj = _linear(shape.hidden_size, kv)
        self.o_proj = _linear(shape.hidden_size, shape.hidden_size)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        batch, length, _ = x.shape
        q, k, v = (
            project(x).view(batch, length, -1, self.shape.head_dim).transpose(1, 2)  # (B, H, T, head_dim)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        repeat = self.shape.num_attention_heads // self.shape.num_key_value_heads
        k = _rotate(k, rope).repeat_interleave(repeat, 1)
        y = F.scaled_dot_product_attention(_rotate(q, rope), k, v.repeat_interleave(repeat, 1), is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, -1))


def _rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = rope
    left, right = x.chunk(2, -1)
    return x * cos.to(x.dtype) + torch.cat((-right, left), -1) * sin.to(x.dtype)


class MLP(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = _linear(shape.hidden_size, shape.intermediate_size)
        self.up_proj = _linear(shape.hidden_size, shape.intermediate_size)
        self.down_proj = _linear(shape.intermediate_size, shape.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention and MLP, each with a norm in front and a residual around it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.mlp = MLP(shape)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        x = x + self.self_attn(self.input_layernorm(x), rope)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """The whole model; the embedding is also the head. State-dict names lack only the published prefix `model.`."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        nn.init.normal_(self.embed_tokens.weight, std=0.02)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))
        self.norm = nn.RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        steps = torch.arange(0, shape.head_dim, 2) / shape.head_dim
        angles = torch.outer(torch.arange(shape.max_position_embeddings), shape.rope_theta**-steps)
        angles = torch.cat((angles, angles), -1)  # (T, head_dim)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, ids: Tensor, wanted: Tensor) -> Tensor:
        """Ids (B, T) and which positions are wanted (B, T) -> logits of those (N, V), float32."""
        length = ids.shape[1]
        rope = (self.cos[:length], self.sin[:length])
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, rope)
        return F.linear(self.norm(x[wanted]), self.embed_tokens.weight).float()

    def body(self) -> list[Linear]:
        """The linear layers: what the 4-bit formats pack."""
        return [module for module in self.modules() if isinstance(module, Linear)]

    @torch.no_grad()
    def set_rounding(self, on: bool) -> None:
        """Lets the linear layers work with 4-bit weights, rounded from what they hold now, or as they are."""
        for layer in self.body():
            layer.offset = fake_quant(layer.weight) - layer.weight if on else None
