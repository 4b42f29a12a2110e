"""DETR with a ResNet, transformers' own or timm's."""

from __future__ import annotations

from collections.abc import Mapping

from hearth.errors import Unsupported
from hearth.model.settings import Settings
from hearth.model.tensors import Places, Rules
from hearth.model.vision.detr import Detr, DetrConfig, LayersConfig
from hearth.model.vision.families import resnet
from hearth.model.vision.model import Described, Family, Head, Source, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.reading import MAX_HEADS, MAX_LAYERS, activation, divided, labels_of, num_labels
from hearth.model.vision.resnet import ResNetConfig

_BOTTLENECKS = (256, 512, 1024, 2048)
_BASIC = (64, 128, 256, 512)
# timm's ResNets by name.
_TIMM: Mapping[str, ResNetConfig] = {
    "resnet18": ResNetConfig(64, _BASIC, (2, 2, 2, 2), bottleneck=False),
    "resnet34": ResNetConfig(64, _BASIC, (3, 4, 6, 3), bottleneck=False),
    "resnet50": ResNetConfig(64, _BOTTLENECKS, (3, 4, 6, 3)),
    "resnet101": ResNetConfig(64, _BOTTLENECKS, (3, 4, 23, 3)),
    "resnet152": ResNetConfig(64, _BOTTLENECKS, (3, 8, 36, 3)),
}
# Pictures as they come out of DETR's own preprocessing, for a photograph of 3 to 4.
_SIZE = (800, 1066)


def backbone(s: Settings) -> ResNetConfig:
    """The ResNet under a detector, from whichever key says it."""
    values = s.table("backbone_config")
    kind = values.get("model_type")
    name = values.get("backbone") if kind == "timm_backbone" else s.get("backbone")
    if kind in (None, "timm_backbone"):
        # A name may go on with the weights that training began from: "resnet50.a1_in1k".
        known = _TIMM.get(str(name).partition(".")[0])
        if known is None:
            raise Unsupported(f"{s.where}: backbone = {name!r} is not supported.", hint=f"Known: {', '.join(_TIMM)}.")
        return known
    if kind not in ("resnet", "rt_detr_resnet"):
        raise s.unsupported("backbone_config", "The only backbone known for it is a ResNet.")
    inner = Settings(values, where=f"{s.where}, backbone_config", defaults=resnet.DEFAULTS)
    return resnet.resnet_config(inner, deep_stem=kind == "rt_detr_resnet")


def describe(source: Source) -> Described:
    s = source.settings
    hidden, labels = s.count("d_model"), num_labels(s)

    def transformer(which: str) -> LayersConfig:
        heads = s.count(f"{which}_attention_heads", most=MAX_HEADS)
        divided(s, hidden, heads, f"{which}_attention_heads")
        return LayersConfig(s.count(f"{which}_layers", most=MAX_LAYERS), heads, s.count(f"{which}_ffn_dim"))

    config = DetrConfig(
        size=source.size or _SIZE,
        backbone=backbone(s),
        hidden=hidden,
        encoder=transformer("encoder"),
        decoder=transformer("decoder"),
        queries=s.count("num_queries", most=1 << 14),
        labels=labels,
        activation=activation(s, "activation_function"),
        masks=source.has("masks.q.weight"),
    )
    names = labels_of(s, labels)
    if not config.masks:
        part = image_part(config.size, ("logits", "boxes"), lambda scope: Detr(scope, config))
        return Described("detect", config.size, (part,), Head(no_object=True), labels=names)
    if hidden % 16 or len(config.backbone.sizes) != 4:
        raise s.unsupported("d_model", "Masks are made of four maps and a multiple of 16 channels.")
    # There is a mask of each object: of several pictures they would take gigabytes.
    part = image_part(config.size, ("logits", "boxes", "masks"), lambda scope: Detr(scope, config), most=1)
    return Described("segment", config.size, (part,), Head(no_object=True, objects=True), labels=names)


def _attention(ours: str, theirs: str) -> dict[str, str]:
    names = {f"{ours}.{part}": f"{theirs}.{part}_proj" for part in "qkv"}
    return {**names, f"{ours}.o": f"{theirs}.out_proj"}


def layer_rules(encoder: str, decoder: str) -> Rules:
    return {
        **_attention("encoder.N", encoder + "self_attn"),
        "encoder.N.norm1": encoder + "self_attn_layer_norm",
        "encoder.N.up": encoder + "fc1",
        "encoder.N.down": encoder + "fc2",
        "encoder.N.norm2": encoder + "final_layer_norm",
        **_attention("decoder.N.own", decoder + "self_attn"),
        "decoder.N.norm1": decoder + "self_attn_layer_norm",
        **_attention("decoder.N.cross", decoder + "encoder_attn"),
        "decoder.N.norm2": decoder + "encoder_attn_layer_norm",
        "decoder.N.up": decoder + "fc1",
        "decoder.N.down": decoder + "fc2",
        "decoder.N.norm3": decoder + "final_layer_norm",
    }


_BACKBONE = "model.backbone.conv_encoder.model."
RULES: Rules = {
    "projection": "model.input_projection",
    **layer_rules("model.encoder.layers.{N}.", "model.decoder.layers.{N}."),
    "norm": "model.decoder.layernorm",
    "queries": "model.query_position_embeddings.weight",
    "classes": "class_labels_classifier",
    "boxes.N": "bbox_predictor.layers.{N}",
    "masks.q": "bbox_attention.q_linear",
    "masks.k": "bbox_attention.k_linear",
    "masks.first": "mask_head.lay1",
    "masks.first_norm": "mask_head.gn1",
    "masks.second": "mask_head.lay2",
    "masks.second_norm": "mask_head.gn2",
    "masks.sharpen.N.adapter": "mask_head.adapter{N+1}",
    "masks.sharpen.N.conv": "mask_head.lay{N+3}",
    "masks.sharpen.N.norm": "mask_head.gn{N+3}",
    "masks.out": "mask_head.out_lay",
}
# What has masks holds a whole detector.
_PLACES = Places(prefixes=(("detr.", ""),), ignored=resnet.COUNTERS)

FAMILY = Family(
    name="detr",
    model_types=("detr",),
    describe=describe,
    namings=(
        Naming({**RULES, **resnet.torchvision_rules(_BACKBONE, "backbone.")}, f"{_BACKBONE}conv1.weight", _PLACES),
        Naming(
            {**RULES, **resnet.hf_rules(_BACKBONE, "backbone.")},
            f"{_BACKBONE}embedder.embedder.convolution.weight",
            _PLACES,
        ),
    ),
    defaults={
        "backbone": "resnet50", "d_model": 256, "encoder_layers": 6, "encoder_attention_heads": 8,
        "encoder_ffn_dim": 2048, "decoder_layers": 6, "decoder_attention_heads": 8, "decoder_ffn_dim": 2048,
        "num_queries": 100, "activation_function": "relu",
    },
    fixed={"position_embedding_type": ("sine",), "dilation": (False,)},
)  # fmt: skip
