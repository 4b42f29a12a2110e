"""Makes golden_gguf.json: random GGUF blocks and what the `gguf` package says they are worth.

python tests/quant/make_golden.py        (needs the `reference` extra)
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import gguf
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from quant.helpers import HALVES, UNKNOWN_TO_GGUF, random_gguf

SHAPE = (2, 256)


def main() -> None:
    """Write one entry a type: bytes and values, base64."""
    golden = {}
    for seed, dtype in enumerate(HALVES):
        if dtype in UNKNOWN_TO_GGUF:
            continue
        common, extreme = (random_gguf(dtype, 1, SHAPE[1], seed=seed, extreme=extreme) for extreme in (False, True))
        raw = np.concatenate([common, extreme])
        values = gguf.quants.dequantize(raw.reshape(SHAPE[0], -1), gguf.GGMLQuantizationType[dtype.upper()])
        assert values.shape == SHAPE
        golden[dtype] = {
            "raw": base64.b64encode(raw.tobytes()).decode(),
            "f32": base64.b64encode(values.astype("<f4").tobytes()).decode(),
        }
    text = json.dumps({"shape": SHAPE, "types": golden}, indent=1)
    Path(__file__).with_name("golden_gguf.json").write_text(text + "\n", encoding="utf-8")
    print("written with numpy", np.__version__)


if __name__ == "__main__":
    main()
