"""Makes what transformers' processors make of pictures: `processed.npz`. Needs `pip install -e '.[reference]' pillow`.

cd tests && python -m golden.vlm.make_processed
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from . import CASES, HERE
from .pictures import EDGE, LONGEST, PATCH_SIZES, SIZES, draw_picture


def main() -> None:
    arrays = {}
    for split in (True, False):
        processor = Idefics3ImageProcessorPil(
            size={"longest_edge": LONGEST}, max_image_size={"longest_edge": EDGE}, do_image_splitting=split
        )
        for height, width in SIZES:
            picture = Image.fromarray(draw_picture(height, width))
            made = processor([[picture]], return_row_col_info=True, return_tensors="np")
            pixels = np.asarray(made["pixel_values"])[0].transpose(0, 2, 3, 1)
            name = f"{height}x{width}{'' if split else '-whole'}"
            arrays[name] = np.rint((pixels * 0.5 + 0.5) * 255).astype(np.uint8)
            arrays[name + "-grid"] = np.array([made["rows"][0][0], made["cols"][0][0]])
    bordered = LlavaImageProcessorPil(size={"shortest_edge": EDGE}, crop_size=EDGE, do_pad=True, do_normalize=False)
    for height, width in SIZES:
        made = bordered(Image.fromarray(draw_picture(height, width)), return_tensors="np")
        pixels = np.asarray(made["pixel_values"])[0].transpose(1, 2, 0)
        arrays[f"{height}x{width}-bordered"] = np.rint(pixels * 255).astype(np.uint8)
    for name, made_of in {"processed": arrays, "patches": patches()}.items():
        path = HERE / f"{name}.npz"
        np.savez_compressed(path, **made_of)
        sys.stdout.write(f"{path.name}: {path.stat().st_size // 1024} KiB\n")


def patches() -> dict[str, np.ndarray]:
    """Levels of the patches (n, 3, height, width) of the first frame, in the order that Qwen2.5-VL is given."""
    values = next(case.recipe.processor for case in CASES if case.recipe.name == "qwen2.5-vl")
    processor = Qwen2VLImageProcessorPil(**{key: value for key, value in values.items() if "type" not in key})
    mean, std = (np.array(values[key]).reshape(3, 1, 1) for key in ("image_mean", "image_std"))
    arrays = {}
    for height, width in PATCH_SIZES:
        made = processor(Image.fromarray(draw_picture(height, width)), return_tensors="np")
        edge = values["patch_size"]
        rows = np.asarray(made["pixel_values"]).reshape(-1, 3, 2, edge, edge)[:, :, 0]
        arrays[f"{height}x{width}"] = np.rint((rows * std + mean) * 255).astype(np.uint8)
        arrays[f"{height}x{width}-grid"] = np.asarray(made["image_grid_thw"])[0, 1:]
    return arrays


if __name__ == "__main__":
    main()
