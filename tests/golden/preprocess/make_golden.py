"""Makes the numbers that preprocessing is to give. Needs transformers with torchvision.

cd tests && python -m golden.preprocess.make_golden
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from transformers import AutoImageProcessor

from . import CONFIGS, HERE, SIZES, draw_picture


def make(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "preprocessor_config.json").write_text(json.dumps(CONFIGS[name]))
        processor = AutoImageProcessor.from_pretrained(folder)
    outputs = {}
    for size in SIZES:
        result = processor(images=draw_picture(*size), return_tensors="pt", input_data_format="channels_last")
        outputs[json.dumps(size)] = result["pixel_values"][0].permute(1, 2, 0).float().numpy()
    np.savez_compressed(HERE / f"{name}.npz", **outputs)
    shapes = ", ".join(str(value.shape[:2]) for value in outputs.values())
    sys.stdout.write(f"{name}: {type(processor).__name__} {shapes}\n")


if __name__ == "__main__":
    for name in CONFIGS:
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            make(name)
