"""Writes golden.npz, what torch computes for the cases: `python -m tests.compiler.maps.make_golden`."""

from __future__ import annotations

import numpy as np
import torch
from tests.compiler.maps.cases import (
    CONVS,
    DEPTHWISE,
    GOLDEN,
    GRIDS,
    POOLS,
    RESIZES,
    TRANSPOSED,
    PoolCase,
    grid_map,
    grid_points,
)
from torch.nn import functional as F


def nchw(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).permute(0, 3, 1, 2).double()


def nhwc(y: torch.Tensor) -> np.ndarray:
    return y.permute(0, 2, 3, 1).float().numpy()


def pooled(case: PoolCase) -> torch.Tensor:
    x = nchw(case.x)
    if case.out is not None:
        return (F.adaptive_max_pool2d if case.kind == "max" else F.adaptive_avg_pool2d)(x, case.out)
    if case.kind == "max":
        return F.max_pool2d(x, case.kernel, case.stride, case.padding, case.dilation, case.ceil_mode)
    counts = case.kind == "average_padded"
    return F.avg_pool2d(x, case.kernel, case.stride, case.padding, case.ceil_mode, counts)


def main() -> None:
    out = {}
    for case in (*CONVS, *DEPTHWISE):
        top, left, bottom, right = case.padding
        x = F.pad(nchw(case.x), (left, right, top, bottom))
        weight, bias = (torch.from_numpy(a).double() for a in (case.weight, case.bias))
        out[f"conv_{case.name}"] = nhwc(F.conv2d(x, weight, bias, case.stride, 0, case.dilation, case.groups))
    for case in TRANSPOSED:
        weight, bias = (torch.from_numpy(a).double() for a in (case.transposed_weight, case.bias))
        out[f"transposed_{case.name}"] = nhwc(
            F.conv_transpose2d(
                nchw(case.x), weight, bias, case.stride, case.padding[:2], case.output_padding, case.groups
            )
        )
    for pool in POOLS:
        out[f"pool_{pool.name}"] = nhwc(pooled(pool))
    for resize in RESIZES:
        corners = {"align_corners": resize.align_corners} if resize.mode.startswith("bi") else {}
        x = nchw(resize.x).float()
        out[f"resize_{resize.name}"] = nhwc(F.interpolate(x, resize.out, mode=resize.mode, **corners))
    for mode, padding, corners in GRIDS:
        grid = torch.from_numpy(grid_points())[:, :, None]
        y = F.grid_sample(nchw(grid_map()).float(), grid, mode, padding, corners)
        out[f"grid_{mode}_{padding}_{corners}"] = nhwc(y)[:, :, 0]
    np.savez_compressed(GOLDEN, **out)


if __name__ == "__main__":
    main()
