"""With what the golden outputs are processed: sizes of pictures, thresholds; and masks of objects."""

import numpy as np

PICTURES = [(480, 640), (333, 250)]
THRESHOLDS = {"detr": 0.3, "yolos": 0.2, "rt-detr": 0.6}
SEGMENT_SIZE = (75, 101)
DEPTH_SIZE = (41, 77)


def drawn_objects() -> tuple[np.ndarray, np.ndarray]:
    """What a model may say of objects: logits (9, 8), masks (9, 24, 20). Some are unsure, nothing, or covered."""
    seed = np.random.RandomState(3)
    y, x = np.mgrid[:24, :20]
    places = seed.uniform(0.1, 0.9, (9, 3)) * (24, 20, 9)
    masks = np.stack([radius - np.hypot(y - top, x - left) for top, left, radius in places])
    masks[5] = masks[4] - 0.2  # as good as the same place: the surer one has it
    logits = seed.normal(0, 1, (9, 8))
    logits[np.arange(9), [0, 3, 3, 7, 2, 5, 6, 1, 4]] += [6, 5, 4, 9, 5, 4.5, 0, 5, 6]
    return logits.astype(np.float32), (masks + seed.normal(0, 0.4, masks.shape)).astype(np.float32)
