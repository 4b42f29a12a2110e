"""With what the golden outputs are processed: sizes of pictures, thresholds."""

PICTURES = [(480, 640), (333, 250)]
THRESHOLDS = {"detr": 0.3, "yolos": 0.2, "rt-detr": 0.6}
SEGMENT_SIZE = (75, 101)
DEPTH_SIZE = (41, 77)
