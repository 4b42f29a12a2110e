"""EfficientNet and MobileViT as transformers has them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hearth.model.tensors import Places, Rules
from hearth.model.vision.families.resnet import COUNTERS
from hearth.model.vision.layers import Linear
from hearth.model.vision.mobile import (
    EfficientNet,
    EfficientNetConfig,
    InvertedConfig,
    MobileVit,
    MobileVitConfig,
    eighths,
)
from hearth.model.vision.model import Described, Family, Source, Write, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import MAX_HEADS, activation, counts, labels_of, num_labels, picture_size, wholes

if TYPE_CHECKING:
    from collections.abc import Callable

    from hearth.model.vision.graph import Graph

    Trunk = Callable[[Graph, Any], Any]


def on_the_mean(
    source: Source, size: tuple[int, int], channels: int, make_trunk: Callable[[Scope], Trunk]
) -> Described:
    """A classifier on the mean of a trunk's last map, or that mean."""
    s, classifies = source.settings, source.has("head.weight")
    labels = num_labels(s)

    def make(scope: Scope) -> Write:
        trunk = make_trunk(scope)
        head = Linear(scope / "head", channels, labels, role="head") if classifies else None

        def write(g: Graph, pixels: Any) -> list[Any]:
            x = trunk(g, pixels)
            mean = g.mean(x, [1, 2])
            return [mean, g.tokens(x)] if head is None else [head(g, mean)]

        return write

    if not classifies:
        return Described("embed", size, (image_part(size, ("embedding", "hidden"), make),))
    return Described("classify", size, (image_part(size, ("logits",), make),), labels=labels_of(s, labels))


def describe_efficientnet(source: Source) -> Described:
    s = source.settings
    divisor, width = s.count("depth_divisor", most=256), s.number("width_coefficient", high=100)
    deeper, squeeze = s.number("depth_coefficient", high=100), s.number("squeeze_expansion_ratio", high=1)
    c_in = counts(s, "in_channels")
    stages = len(c_in)
    rows = [
        counts(s, key, length=stages)
        for key in ("out_channels", "strides", "kernel_sizes", "expand_ratios", "num_block_repeats")
    ]
    # Blocks whose padding is on all sides, by number.
    even = wholes(s, "depthwise_padding", most=1 << 14) if s.get("depthwise_padding") else ()
    blocks: list[InvertedConfig] = []
    for wide, out, stride, kernel, expand, repeats in zip(c_in, *rows, strict=True):
        before, after = eighths(wide * width, divisor), eighths(out * width, divisor)
        for j in range(math.ceil(deeper * repeats)):
            size, step, half = after if j else before, 1 if j else stride, kernel // 2
            shift = 0 if len(blocks) in even else 1
            blocks.append(
                InvertedConfig(
                    size, after, size * expand, kernel, step, expands=expand != 1, residual=step == 1 and j > 0,
                    squeeze=max(1, int(size * squeeze)),
                    padding=(half - shift, half - shift, half, half) if step == 2 else None,
                )
            )  # fmt: skip
    config = EfficientNetConfig(
        stem=eighths(32 * width, divisor),
        blocks=tuple(blocks),
        top=s.count("hidden_dim"),
        activation=activation(s),
        eps=s.number("batch_norm_eps", high=1.0),
    )
    picture = picture_size(source, (32, 32))
    return on_the_mean(source, picture, config.top, lambda scope: EfficientNet(scope, config))


def describe_mobilevit(source: Source) -> Described:
    s = source.settings
    config = MobileVitConfig(
        necks=counts(s, "neck_hidden_sizes", length=7),
        hidden=counts(s, "hidden_sizes", length=3),
        heads=s.count("num_attention_heads", most=MAX_HEADS),
        expand=s.number("expand_ratio", high=100),
        mlp_ratio=s.number("mlp_ratio", high=64),
        patch=s.count("patch_size", most=64),
        kernel=s.count("conv_kernel_size", most=31),
        activation=activation(s),
        eps=s.number("layer_norm_eps", high=1.0),
        qkv_bias=s.flag("qkv_bias"),
    )
    if any(size % config.heads for size in config.hidden):
        raise s.corrupt("num_attention_heads", "heads that divide the sizes of all transformers")
    top = source.has("top.conv.weight")
    channels = config.necks[-1] if top else config.necks[-2]
    size = picture_size(source, (32, 32))
    return on_the_mean(source, size, channels, lambda scope: MobileVit(scope, config, top=top))


_BLOCK = "efficientnet.encoder.blocks.{N}."
EFFICIENTNET: Rules = {
    "stem.conv": "efficientnet.embeddings.convolution",
    "stem.norm": "efficientnet.embeddings.batchnorm",
    "blocks.N.expand.conv": _BLOCK + "expansion.expand_conv",
    "blocks.N.expand.norm": _BLOCK + "expansion.expand_bn",
    "blocks.N.depthwise.conv": _BLOCK + "depthwise_conv.depthwise_conv",
    "blocks.N.depthwise.norm": _BLOCK + "depthwise_conv.depthwise_norm",
    "blocks.N.squeeze.reduce": _BLOCK + "squeeze_excite.reduce",
    "blocks.N.squeeze.expand": _BLOCK + "squeeze_excite.expand",
    "blocks.N.reduce.conv": _BLOCK + "projection.project_conv",
    "blocks.N.reduce.norm": _BLOCK + "projection.project_bn",
    "top.conv": "efficientnet.encoder.top_conv",
    "top.norm": "efficientnet.encoder.top_bn",
    "head": "classifier",
}


def _convs(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.conv": f"{theirs}.convolution", f"{ours}.norm": f"{theirs}.normalization"}


_INVERTED = {"expand": "expand_1x1", "depthwise": "conv_3x3", "reduce": "reduce_1x1"}
_STAGE = "mobilevit.encoder.layer.{N}."
_LAYER = _STAGE + "transformer.layer.{M}."
MOBILEVIT: Rules = {
    **_convs("stem", "mobilevit.conv_stem"),
    **{
        part: name
        for ours, theirs in _INVERTED.items()
        for at, of in (("stages.N.M.", _STAGE + "layer.{M}."), ("stages.N.halve.", _STAGE + "downsampling_layer."))
        for part, name in _convs(at + ours, of + theirs).items()
    },
    **_convs("stages.N.local", _STAGE + "conv_kxk"),
    "stages.N.widen": _STAGE + "conv_1x1.convolution",
    **_convs("stages.N.narrow", _STAGE + "conv_projection"),
    **_convs("stages.N.fuse", _STAGE + "fusion"),
    "stages.N.norm": _STAGE + "layernorm",
    "stages.N.layers.M.norm1": _LAYER + "layernorm_before",
    "stages.N.layers.M.q": _LAYER + "attention.attention.query",
    "stages.N.layers.M.k": _LAYER + "attention.attention.key",
    "stages.N.layers.M.v": _LAYER + "attention.attention.value",
    "stages.N.layers.M.o": _LAYER + "attention.output.dense",
    "stages.N.layers.M.norm2": _LAYER + "layernorm_after",
    "stages.N.layers.M.up": _LAYER + "intermediate.dense",
    "stages.N.layers.M.down": _LAYER + "output.dense",
    **_convs("top", "mobilevit.conv_1x1_exp"),
    "head": "classifier",
}


def _places(prefix: str) -> Places:
    return Places(base_prefix=prefix, outside_base=("classifier.",), ignored=COUNTERS)


FAMILY = Family(
    name="efficientnet",
    model_types=("efficientnet",),
    describe=describe_efficientnet,
    namings=(
        Naming(EFFICIENTNET, "efficientnet.embeddings.convolution.weight", _places("efficientnet.")),
    ),
    defaults={
        "image_size": 600, "width_coefficient": 2.0, "depth_coefficient": 3.1, "depth_divisor": 8,
        "kernel_sizes": [3, 3, 5, 3, 5, 5, 3], "in_channels": [32, 16, 24, 40, 80, 112, 192],
        "out_channels": [16, 24, 40, 80, 112, 192, 320], "depthwise_padding": [], "strides": [1, 2, 2, 2, 1, 2, 1],
        "num_block_repeats": [1, 2, 2, 3, 3, 4, 1], "expand_ratios": [1, 6, 6, 6, 6, 6, 6],
        "squeeze_expansion_ratio": 0.25, "hidden_act": "swish", "hidden_dim": 2560, "batch_norm_eps": 0.001,
    },
    fixed={"pooling_type": ("mean",)},
)  # fmt: skip
VIT = Family(
    name="mobilevit",
    model_types=("mobilevit",),
    describe=describe_mobilevit,
    namings=(Naming(MOBILEVIT, "mobilevit.conv_stem.convolution.weight", _places("mobilevit.")),),
    defaults={
        "image_size": 256, "patch_size": 2, "hidden_sizes": [144, 192, 240],
        "neck_hidden_sizes": [16, 32, 64, 96, 128, 160, 640], "num_attention_heads": 4, "mlp_ratio": 2.0,
        "expand_ratio": 4.0, "hidden_act": "silu", "conv_kernel_size": 3, "layer_norm_eps": 1e-5, "qkv_bias": True,
        "output_stride": 32,
    },
    fixed={"output_stride": (32,)},
)  # fmt: skip
