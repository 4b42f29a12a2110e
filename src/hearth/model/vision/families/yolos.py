"""YOLOS: a ViT whose last tokens are asked for objects; each has a label (the last: nothing) and a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.model.tensors import Places, Rules
from hearth.model.vision.families import vit
from hearth.model.vision.heads import BoxHead
from hearth.model.vision.model import Described, Family, Head, Source, Write, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import labels_of, num_labels
from hearth.model.vision.vit import Vit

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


def describe(source: Source) -> Described:
    s = source.settings
    queries = s.count("num_detection_tokens", most=1 << 14)
    config = vit.vit_config(source, suffix=queries, mid_positions=s.flag("use_mid_position_embeddings"))
    labels = num_labels(s)

    def make(scope: Scope) -> Write:
        trunk = Vit(scope, config)
        classes = BoxHead(scope / "classes", config.hidden, labels + 1)
        boxes = BoxHead(scope / "boxes", config.hidden, 4)

        def write(g: Graph, pixels: Any) -> list[Any]:
            tokens = g.slice(trunk(g, pixels), 1, config.tokens - queries, config.tokens)
            return [classes(g, tokens), g.activation(boxes(g, tokens), "sigmoid")]

        return write

    part = image_part(config.size, ("logits", "boxes"), make)
    return Described("detect", config.size, (part,), Head(no_object=True), labels=labels_of(s, labels))


RULES: Rules = {
    **vit.bert_like("vit."),
    "suffix_tokens": "vit.embeddings.detection_tokens",
    "mid_positions": "vit.encoder.mid_position_embeddings",
    "classes.N": "class_labels_classifier.layers.{N}",
    "boxes.N": "bbox_predictor.layers.{N}",
}

FAMILY = Family(
    name="yolos",
    model_types=("yolos",),
    describe=describe,
    namings=(Naming(RULES, marker="vit.embeddings.detection_tokens", places=Places(ignored=("*pooler.dense.*",))),),
    defaults={
        **vit.FAMILY.defaults,
        "image_size": [512, 864],
        "num_detection_tokens": 100,
        "use_mid_position_embeddings": True,
    },
)
