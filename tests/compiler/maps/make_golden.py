"""Writes golden.npz, what torch computes for the cases: `python -m tests.compiler.maps.make_golden`."""

from __future__ import annotations

import numpy as np
import torch
from tests.compiler.maps.cases import CONVS, GOLDEN, TRANSPOSED
from torch.nn import functional as F


def nchw(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).permute(0, 3, 1, 2).double()


def nhwc(y: torch.Tensor) -> np.ndarray:
    return y.permute(0, 2, 3, 1).float().numpy()


def main() -> None:
    out = {}
    for case in CONVS:
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
    np.savez_compressed(GOLDEN, **out)


if __name__ == "__main__":
    main()
