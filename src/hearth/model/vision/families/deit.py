"""DeiT: ViT with a distillation token, and a second head on it whose answer is averaged with the first's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.model.tensors import Places, Rules
from hearth.model.vision.families import vit
from hearth.model.vision.layers import Linear
from hearth.model.vision.model import Described, Family, Source, Write, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import labels_of, num_labels
from hearth.model.vision.vit import Vit

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

_TOKENS = ("cls_token", "distillation_token")


def describe(source: Source) -> Described:
    config = vit.vit_config(source, prefix=_TOKENS, placed=_TOKENS)
    if not source.has("distilled.weight"):
        if source.has("head.weight"):
            return vit.classifier(source.settings, config)
        return vit.embedder(config, pooled=source.has("pooler.weight"))
    labels = num_labels(source.settings)

    def make(scope: Scope) -> Write:
        trunk = Vit(scope, config)
        heads = [Linear(scope / name, config.hidden, labels, factor=0.5, role="head") for name in ("head", "distilled")]

        def write(g: Graph, pixels: Any) -> list[Any]:
            tokens = trunk(g, pixels)
            return [g.add(*(head(g, g.row(tokens, i)) for i, head in enumerate(heads)))]

        return write

    part = image_part(config.size, ("logits",), make)
    return Described("classify", config.size, (part,), labels=labels_of(source.settings, labels))


HF: Rules = {
    **vit.bert_like("deit."),
    "distillation_token": "deit.embeddings.distillation_token",
    "head": ("cls_classifier", "classifier"),
    "distilled": "distillation_classifier",
}

FAMILY = Family(
    name="deit",
    model_types=("deit",),
    describe=describe,
    namings=(
        Naming(
            HF,
            marker="deit.embeddings.position_embeddings",
            places=Places(
                base_prefix="deit.",
                outside_base=("classifier.", "cls_classifier.", "distillation_classifier."),
                ignored=("*pooler.dense.*", "*mask_token"),
            ),
        ),
    ),
    defaults=vit.FAMILY.defaults,
    fixed=vit.FAMILY.fixed,
)
