"""What recipes of tiny models share: coarse weights, inputs, and what a module is called with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Made = tuple[torch.nn.Module, tuple[torch.Tensor, ...]]
"""A module and what it is exported with."""


class Calling(torch.nn.Module):
    """A module whose forward takes tensors by position and gives tensors."""

    def __init__(self, inner: torch.nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.m = inner
        self._call = call

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self._call(self.m, *inputs)


def coarse(module: torch.nn.Module) -> torch.nn.Module:
    """Weights of few levels, in the range in which every part of a model matters."""
    for tensor in module.parameters():
        noise = torch.randn_like(tensor) * (0.1 if tensor.dim() > 1 else 0.15)
        tensor.data.copy_(((noise if tensor.dim() > 1 else tensor.data + noise) * 16).round() / 16)
    for name, tensor in module.named_buffers():
        if name.endswith("running_mean"):
            tensor.copy_((torch.randn_like(tensor) * 2).round() / 16)
        elif name.endswith("running_var"):
            tensor.copy_(1 + torch.rand_like(tensor).mul(4).round() / 8)
    return module.eval()


def of(cls: Any, config: Any, call: Callable[..., Any], *inputs: torch.Tensor) -> Made:
    return Calling(coarse(cls(config)), call), inputs


def image(height: int = 32, width: int = 32, channels: int = 3) -> torch.Tensor:
    return torch.randn(1, channels, height, width)


def tokens(count: int = 10) -> torch.Tensor:
    return torch.randint(3, 60, (1, count))


def ended(count: int = 10) -> torch.Tensor:
    return torch.cat([tokens(count - 1), torch.tensor([[2]])], 1)


def masked(batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[0, length - 3 :] = 0
    return torch.randint(3, 60, (batch, length)), mask
