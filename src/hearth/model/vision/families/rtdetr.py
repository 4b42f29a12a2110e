"""RT-DETR with its ResNet-D; each label by itself, no label for nothing."""

from __future__ import annotations

from hearth.errors import Unsupported
from hearth.model.settings import Settings
from hearth.model.tensors import Places, Rules
from hearth.model.vision.detr import LayersConfig
from hearth.model.vision.families import resnet
from hearth.model.vision.families.detr import backbone, layer_rules
from hearth.model.vision.model import Described, Family, Head, Source, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.reading import (
    MAX_HEADS,
    MAX_LAYERS,
    activation,
    counts,
    divided,
    labels_of,
    num_labels,
    whole,
    wholes,
)
from hearth.model.vision.rtdetr import RtDetr, RtDetrConfig

_SIZE = (640, 640)


def describe(source: Source) -> Described:
    s = source.settings
    hidden, decoder, labels = s.count("encoder_hidden_dim"), s.count("d_model"), num_labels(s)
    size = source.size or _SIZE
    if size[0] % 32 or size[1] % 32:
        raise Unsupported(f"RT-DETR is made for pictures whose sides are multiples of 32, not {size[0]} x {size[1]}.")

    def transformer(which: str, of: int, layers: int) -> LayersConfig:
        heads = s.count(f"{which}_attention_heads", most=MAX_HEADS)
        divided(s, of, heads, f"{which}_attention_heads")
        return LayersConfig(layers, heads, s.count(f"{which}_ffn_dim"))

    trunk = backbone(s)
    stages = _stages(s, len(trunk.sizes))
    levels = s.count("num_feature_levels", most=8)
    if levels != len(stages):
        raise s.unsupported("num_feature_levels", f"The backbone gives {len(stages)} maps, and Hearth makes no more.")
    config = RtDetrConfig(
        size=size,
        backbone=trunk,
        stages=stages,
        hidden=hidden,
        size_decoder=decoder,
        encoder=transformer("encoder", hidden, whole(s, "encoder_layers", most=MAX_LAYERS)),
        decoder=transformer("decoder", decoder, s.count("decoder_layers", most=MAX_LAYERS)),
        encoded=wholes(s, "encode_proj_layers", most=levels - 1),
        expansion=s.number("hidden_expansion", high=8),
        points=s.count("decoder_n_points", most=64),
        queries=s.count("num_queries", most=1 << 14),
        learned_queries=s.flag("learn_initial_query"),
        labels=labels,
        activations=(
            activation(s, "activation_function"),
            activation(s, "encoder_activation_function"),
            activation(s, "decoder_activation_function"),
        ),
        temperature=s.number("positional_encoding_temperature"),
        eps=s.number("layer_norm_eps", high=1.0),
        bn_eps=s.number("batch_norm_eps", high=1.0),
    )
    part = image_part(size, ("logits", "boxes"), lambda scope: RtDetr(scope, config))
    return Described("detect", size, (part,), Head(scores="sigmoid"), labels=labels_of(s, labels))


def _stages(s: Settings, count: int) -> tuple[int, ...]:
    """Which stages' maps the backbone gives, from 0."""
    values = s.table("backbone_config")
    names, known = values.get("out_features"), [f"stage{i + 1}" for i in range(count)]
    if isinstance(names, list) and names and all(name in known for name in names):
        return tuple(known.index(name) for name in names)
    given = counts(Settings(values, where=f"{s.where}, backbone_config"), "out_indices", most=count)
    return tuple(i - 1 for i in given)


_MIX = {
    "through": "conv1", "around": "conv2", "out": "conv3", "repeated.M.wide": "bottlenecks.{M}.conv1",
    "repeated.M.narrow": "bottlenecks.{M}.conv2",
}  # fmt: skip


def _convs(ours: str, theirs: str, conv: str = "conv", norm: str = "norm") -> dict[str, str]:
    return {f"{ours}.conv": f"{theirs}.{conv}", f"{ours}.norm": f"{theirs}.{norm}"}


_ENCODER, _DECODER = "model.encoder.encoder.{N}.layers.{M}.", "model.decoder.layers.{N}."
_LAYERS = layer_rules(_ENCODER, _DECODER)
RULES: Rules = {
    **resnet.hf_rules("model.backbone.model.", "backbone."),
    **_convs("inputs.N", "model.encoder_input_proj.{N}", "0", "1"),
    **{f"mixer.{part.replace('.N.', '.N.M.')}": name for part, name in _LAYERS.items() if part.startswith("encoder.")},
    **_convs("mixer.laterals.N", "model.encoder.lateral_convs.{N}"),
    **_convs("mixer.halvings.N", "model.encoder.downsample_convs.{N}"),
    **{
        part: name
        for ours, theirs in (("down", "fpn_blocks"), ("up", "pan_blocks"))
        for inner, published in _MIX.items()
        for part, name in _convs(f"mixer.{ours}.N.{inner}", f"model.encoder.{theirs}.{{N}}.{published}").items()
    },
    **_convs("sources.N", "model.decoder_input_proj.{N}", "0", "1"),
    "places": "model.enc_output.0",
    "places_norm": "model.enc_output.1",
    "place_classes": "model.enc_score_head",
    "place_boxes.N": "model.enc_bbox_head.layers.{N}",
    "queries": "model.weight_embedding.weight",
    "query_places.N": "model.decoder.query_pos_head.layers.{N}",
    **{part: name for part, name in _LAYERS.items() if part.startswith("decoder.") and ".cross." not in part},
    "decoder.N.look.offsets": _DECODER + "encoder_attn.sampling_offsets",
    "decoder.N.look.weights": _DECODER + "encoder_attn.attention_weights",
    "decoder.N.look.values": _DECODER + "encoder_attn.value_proj",
    "decoder.N.look.o": _DECODER + "encoder_attn.output_proj",
    "boxes.N.M": "model.decoder.bbox_embed.{N}.layers.{M}",
    "classes.N": "model.decoder.class_embed.{N}",
}
# For training alone; the labels of layers before the last; the same heads under the names that whole models save.
_IGNORED = ("model.denoising_class_embed.*", "model.decoder.class_embed.*", "class_embed.*", "bbox_embed.*")

FAMILY = Family(
    name="rt_detr",
    model_types=("rt_detr",),
    describe=describe,
    namings=(
        Naming(RULES, "model.encoder_input_proj.0.0.weight", Places(ignored=(*resnet.COUNTERS, *_IGNORED))),
    ),
    defaults={
        "encoder_hidden_dim": 256, "encoder_layers": 1, "encoder_ffn_dim": 1024, "encoder_attention_heads": 8,
        "encode_proj_layers": [2], "positional_encoding_temperature": 10000, "encoder_activation_function": "gelu",
        "activation_function": "silu", "hidden_expansion": 1.0, "d_model": 256, "num_queries": 300,
        "decoder_ffn_dim": 1024, "num_feature_levels": 3, "decoder_n_points": 4, "decoder_layers": 6,
        "decoder_attention_heads": 8, "decoder_activation_function": "relu", "learn_initial_query": False,
        "layer_norm_eps": 1e-5, "batch_norm_eps": 1e-5,
    },
    fixed={"normalize_before": (False,), "eval_size": (), "with_box_refine": (True,)},
)  # fmt: skip
