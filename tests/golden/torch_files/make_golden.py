"""Makes the files. Needs torch.

cd tests && python -m golden.torch_files.make_golden
"""

from __future__ import annotations

import argparse
from collections import OrderedDict

import torch

from . import HERE, arrays

TYPES = {"half": torch.float16, "bfloat": torch.bfloat16}


def state() -> OrderedDict[str, torch.Tensor]:
    given = arrays()
    made = OrderedDict(
        (name, torch.from_numpy(a.copy()).to(TYPES.get(name, torch.float32))) for name, a in given.items()
    )
    made["last"] = made["layers.0.weight"].permute(0, 2, 3, 1)[:, 1:3]
    made["layers.0.bias"] = torch.nn.Parameter(made["layers.0.bias"])
    made["num_batches_tracked"] = torch.tensor(3)
    return made


if __name__ == "__main__":
    torch.save(state(), HERE / "new.pth")
    torch.save(state(), HERE / "old.pth", _use_new_zipfile_serialization=False)
    more = {
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1, tags={"a", "b"}),
        "optimizer": {"state": {0: torch.zeros(2)}},
    }
    torch.save({"model": state(), **more}, HERE / "training.pth")
    torch.save({f"module.{name}": tensor for name, tensor in state().items()}, HERE / "parallel.pth")
    eights = torch.arange(-6.0, 6.0).reshape(3, 4)
    weight = torch.nn.Parameter(eights.to(torch.float8_e4m3fn), requires_grad=False)
    weight.note = "a parameter with more than numbers"
    torch.save({"weight": weight, "turned": eights.to(torch.float8_e5m2).T}, HERE / "eights.pth")
    torch.save({"weight": eights.to_sparse()}, HERE / "sparse.pth")
