"""Makes what timm computes. Needs timm.

cd tests && python -m golden.timm.make_golden
"""

from __future__ import annotations

import json

import numpy as np
import timm
import torch

from golden.vision.draws import draw_pixels

from . import HERE, NAMES, draw, labels_of


def make(name: str) -> np.ndarray:
    model = timm.create_model(name, pretrained=False, num_classes=labels_of(name)).eval().double()
    state = model.state_dict()
    kinds = {key: (list(v.shape), "float32" if v.is_floating_point() else "int64") for key, v in state.items()}
    rows = (f"  {json.dumps(key)}: {json.dumps(kind)}" for key, kind in kinds.items())
    (HERE / f"{name}.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
    for key, value in state.items():
        if value.is_floating_point():
            value.copy_(torch.from_numpy(draw(key, tuple(value.shape))))
    pixels = torch.from_numpy(draw_pixels(name, 1, NAMES[name], NAMES[name])).permute(0, 3, 1, 2).contiguous().double()
    with torch.no_grad():
        return model(pixels).float().numpy()


if __name__ == "__main__":
    np.savez_compressed(HERE / "expected.npz", **{name: make(name) for name in NAMES})
