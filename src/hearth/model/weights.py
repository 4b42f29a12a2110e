"""Where each parameter of the decoder comes from: tensor names, and what is done to them on the way.

Parameter names of the decoder (all weights `[out, in]`, vectors `[size]`; `N` is the layer, from 0):

    embed                                   [vocab, hidden]
    layers.N.attn_norm                      [hidden]          norm before attention        (pre, pre_post)
    layers.N.q  .k  .v                      [heads*head_dim, hidden], [kv_heads*head_dim, hidden] x 2
    layers.N.q_bias  .k_bias  .v_bias       [heads*head_dim] ...                           (qkv_bias)
    layers.N.q_norm  .k_norm                [head_dim] or [heads*head_dim], [kv_heads*head_dim]   (qk_norm)
    layers.N.o  .o_bias                     [hidden, heads*head_dim], [hidden]
    layers.N.attn_post_norm                 [hidden]          norm of attention's output   (post, pre_post)
    layers.N.mlp_norm                       [hidden]                                       (pre, pre_post)
    layers.N.gate  .up  .gate_bias .up_bias [intermediate, hidden] ...
    layers.N.down  .down_bias               [hidden, intermediate]
    layers.N.mlp_post_norm                  [hidden]                                       (post, pre_post)
    norm                                    [hidden]          final norm
    head  .head_bias                        [vocab, hidden]                                (absent when tied)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WeightSource:
    """One decoder parameter as rows of one checkpoint tensor.

    Only whole rows are ever moved, so that quantised blocks (which lie along a row) keep their integers and scales.

    Attributes:
        tensor: the tensor's name in the checkpoint.
        rows: half-open range of its rows (fused projections are split by it); None: all.
        permutation: row i of the parameter is row `permutation[i]` of that range (undoing llama.cpp's interleaving
            of q and k heads); None: as they are.
    """

    tensor: str
    rows: tuple[int, int] | None = None
    permutation: NDArray[np.int64] | None = None
