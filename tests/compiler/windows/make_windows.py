"""Makes windows.npz: what transformers' Swin layers compute between their projections. Run where torch is installed.

For each case: q, k, v (batch, height, width, heads * d), the projections' biases of k and v, the relative bias (heads,
area, area), of v2 the heads' scales, and the attention's output before its own projection.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import SwinConfig, Swinv2Config
from transformers.models.swin.modeling_swin import SwinLayer
from transformers.models.swinv2.modeling_swinv2 import Swinv2Layer

HEADS, DIM = 2, 12
CASES = {  # version, batch, height, width, window, shift
    "plain": (1, 2, 8, 8, 4, 0),
    "shifted": (1, 1, 8, 12, 4, 2),
    "padded": (1, 1, 6, 9, 4, 2),
    "large": (1, 1, 10, 9, 7, 3),
    "cosine": (2, 1, 8, 8, 4, 2),
    "cosine_padded": (2, 2, 7, 6, 4, 1),
}


def case(version: int, batch: int, height: int, width: int, window: int, shift: int) -> dict[str, Any]:
    torch.manual_seed(height * width + window)
    options = {"embed_dim": DIM, "num_heads": [HEADS], "depths": [1], "window_size": window, "qkv_bias": True}
    made: Any = SwinConfig(**options) if version == 1 else Swinv2Config(**options)
    made._attn_implementation = "eager"
    kind: Any = SwinLayer if version == 1 else Swinv2Layer
    layer = kind(made, DIM, (height, width), HEADS, shift_size=shift).double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.7)
    x = torch.randn(batch, height * width, DIM, dtype=torch.float64)
    layer.layernorm_before = torch.nn.Identity()
    if version == 1:
        layer.mlp = torch.nn.Linear(DIM, DIM).double()
        torch.nn.init.zeros_(layer.mlp.weight)
        torch.nn.init.zeros_(layer.mlp.bias)
        layer.attention.o_proj = torch.nn.Identity()
        inner = layer.attention
        projections = [inner.q_proj, inner.k_proj, inner.v_proj]
        relative = inner.relative_position_bias()[0]
    else:
        for name in ("weight", "bias"):
            torch.nn.init.zeros_(getattr(layer.layernorm_after, name))
        layer.attention.output = type("Same", (torch.nn.Module,), {"forward": lambda self, x, _: x})()
        inner = layer.attention.self
        projections = [inner.query, inner.key, inner.value]
        table = inner.continuous_position_bias_mlp(inner.relative_coords_table).view(-1, HEADS)
        area = window * window
        relative = 16 * torch.sigmoid(table[inner.relative_position_index.view(-1)].view(area, area, HEADS))
        relative = relative.permute(2, 0, 1)
    with torch.no_grad():
        output = layer(x, (height, width))[0] - x
        q, k, v = (projection(x) for projection in projections)
    arrays = {"q": q, "k": k, "v": v, "output": output}
    arrays = {name: value.view(batch, height, width, DIM) for name, value in arrays.items()}
    arrays["relative"] = relative
    for name, projection in zip(("pad_k", "pad_v"), projections[1:], strict=True):
        arrays[name] = projection.bias if projection.bias is not None else torch.zeros(DIM)
    if version == 2:
        arrays["head_scales"] = torch.clamp(inner.logit_scale, max=float(np.log(100.0))).exp().view(-1)
    return {name: value.detach().numpy().astype(np.float32) for name, value in arrays.items()}


if __name__ == "__main__":
    arrays = {f"{name}/{part}": x for name, options in CASES.items() for part, x in case(*options).items()}
    for name, (version, _, _, _, window, shift) in CASES.items():
        arrays[f"{name}/options"] = np.array([version, window, shift])
    np.savez_compressed(Path(__file__).with_name("windows.npz"), **arrays)
