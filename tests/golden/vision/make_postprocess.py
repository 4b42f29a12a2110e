"""Makes what transformers' processors say of the golden models' outputs. Needs transformers with torchvision.

cd tests && python -m golden.vision.make_postprocess
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transformers

from . import HERE
from .postprocess import DEPTH_SIZE, PICTURES, SEGMENT_SIZE, THRESHOLDS, drawn_objects


def outputs(name: str) -> dict[str, torch.Tensor]:
    with np.load(HERE / name / "expected.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def make() -> dict[str, np.ndarray]:
    made: dict[str, Any] = {}
    for name, processor in (
        ("detr", transformers.DetrImageProcessor()),
        ("yolos", transformers.YolosImageProcessor()),
        ("rt-detr", transformers.RTDetrImageProcessor()),
    ):
        found = outputs(name)
        results = processor.post_process_object_detection(
            SimpleNamespace(logits=found["logits"], pred_boxes=found["boxes"]), THRESHOLDS[name], PICTURES
        )
        for i, result in enumerate(results):
            for key in ("scores", "labels", "boxes"):
                made[f"{name}.{i}.{key}"] = result[key].numpy()
    logits = outputs("segformer")["logits"].permute(0, 3, 1, 2)
    masks = transformers.SegformerImageProcessor().post_process_semantic_segmentation(
        SimpleNamespace(logits=logits), [SEGMENT_SIZE] * 2
    )
    made["segformer.mask"] = masks[0].numpy().astype(np.uint8)
    sure, drawn = (torch.from_numpy(array)[None] for array in drawn_objects())
    (objects,) = transformers.DetrImageProcessor().post_process_instance_segmentation(
        SimpleNamespace(logits=sure, pred_masks=drawn), target_sizes=[SEGMENT_SIZE]
    )
    made["objects.mask"] = objects["segmentation"].numpy().astype(np.uint8)
    made["objects.labels"] = np.array([each["label_id"] for each in objects["segments_info"]])
    made["objects.scores"] = np.array([each["score"] for each in objects["segments_info"]])
    depths = transformers.DPTImageProcessor().post_process_depth_estimation(
        SimpleNamespace(predicted_depth=outputs("depth-anything")["depth"]), [DEPTH_SIZE] * 2
    )
    made["depth-anything.depth"] = depths[0]["predicted_depth"].numpy()
    return made


if __name__ == "__main__":
    np.savez_compressed(HERE / "postprocess.npz", **make())
