"""SegFormer: a label for each place of a picture, or (the encoder alone) for all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.model.tensors import Places, Rules
from hearth.model.vision.families.resnet import COUNTERS
from hearth.model.vision.layers import Linear
from hearth.model.vision.model import Described, Family, Source, Write, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import MAX_HEADS, activation, counts, labels_of, num_labels, picture_size
from hearth.model.vision.segformer import DecodeHead, Segformer, SegformerConfig

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


def describe(source: Source) -> Described:
    s = source.settings
    depths = counts(s, "depths", most=200)
    stages = len(depths)
    config = SegformerConfig(
        kernels=counts(s, "patch_sizes", length=stages, most=64),
        strides=counts(s, "strides", length=stages, most=64),
        sizes=counts(s, "hidden_sizes", length=stages),
        depths=depths,
        heads=counts(s, "num_attention_heads", length=stages, most=MAX_HEADS),
        reductions=counts(s, "sr_ratios", length=stages, most=64),
        mlp_ratios=counts(s, "mlp_ratios", length=stages, most=64),
        activation=activation(s),
    )
    if any(size % heads for size, heads in zip(config.sizes, config.heads, strict=True)):
        raise s.corrupt("num_attention_heads", "heads that divide the size of their stage")
    size, labels = picture_size(source, (32, 32)), num_labels(s)
    segments = source.has("head.classes.weight")
    classifies = source.has("head.weight")

    def make(scope: Scope) -> Write:
        trunk = Segformer(scope, config)
        if segments:
            decode = DecodeHead(scope / "head", config, s.count("decoder_hidden_size"), labels)
            return lambda g, pixels: [decode(g, trunk(g, pixels))]
        head = Linear(scope / "head", config.sizes[-1], labels, role="head") if classifies else None

        def write(g: Graph, pixels: Any) -> list[Any]:
            x = trunk(g, pixels)[-1]
            mean = g.mean(x, [1, 2])
            return [mean, g.tokens(x)] if head is None else [head(g, mean)]

        return write

    if not segments and not classifies:
        return Described("embed", size, (image_part(size, ("embedding", "hidden"), make),))
    part = image_part(size, ("logits",), make)
    return Described("segment" if segments else "classify", size, (part,), labels=labels_of(s, labels))


_BLOCK = "segformer.encoder.block.{N}.{M}."
RULES: Rules = {
    "patches.N.conv": "segformer.encoder.patch_embeddings.{N}.proj",
    "patches.N.norm": "segformer.encoder.patch_embeddings.{N}.layer_norm",
    "stages.N.M.norm1": _BLOCK + "layer_norm_1",
    "stages.N.M.q": _BLOCK + "attention.self.query",
    "stages.N.M.k": _BLOCK + "attention.self.key",
    "stages.N.M.v": _BLOCK + "attention.self.value",
    "stages.N.M.o": _BLOCK + "attention.output.dense",
    "stages.N.M.reduce": _BLOCK + "attention.self.sr",
    "stages.N.M.reduce_norm": _BLOCK + "attention.self.layer_norm",
    "stages.N.M.norm2": _BLOCK + "layer_norm_2",
    "stages.N.M.up": _BLOCK + "mlp.dense1",
    "stages.N.M.depthwise": _BLOCK + "mlp.dwconv.dwconv",
    "stages.N.M.down": _BLOCK + "mlp.dense2",
    "norms.N": "segformer.encoder.layer_norm.{N}",
    "head.linears.N": "decode_head.linear_c.{N}.proj",
    "head.fuse": "decode_head.linear_fuse",
    "head.norm": "decode_head.batch_norm",
    "head.classes": "decode_head.classifier",
    "head": "classifier",
}

FAMILY = Family(
    name="segformer",
    model_types=("segformer",),
    describe=describe,
    namings=(
        Naming(
            RULES,
            marker="segformer.encoder.patch_embeddings.0.proj.weight",
            places=Places(base_prefix="segformer.", outside_base=("classifier.", "decode_head."), ignored=COUNTERS),
        ),
    ),
    defaults={
        "depths": [2, 2, 2, 2], "sr_ratios": [8, 4, 2, 1], "hidden_sizes": [32, 64, 160, 256],
        "patch_sizes": [7, 3, 3, 3], "strides": [4, 2, 2, 2], "num_attention_heads": [1, 2, 5, 8],
        "mlp_ratios": [4, 4, 4, 4], "hidden_act": "gelu", "decoder_hidden_size": 256, "image_size": 512,
    },
    # The last map stays a map.
    fixed={"reshape_last_stage": (True,)},
)  # fmt: skip
