"""The golden vision models: for each family its smallest forms. `make_golden.py` makes their numbers.

Shapes are odd on purpose: sizes that no vector length divides, pictures that are no square and no multiple of a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """One golden model.

    Attributes:
        name: its folder.
        model: class of transformers that computes what is expected.
        config: what differs from the class's defaults.
        size: height and width of its pictures.
        outputs: for each output of ours the field of the class's result; `method` is asked instead of `forward`.
        options: further arguments of the call.
        channels_last: outputs that we have as (b, h, w, c) and transformers as (b, c, h, w).
        text: tokens of a text tower's inputs (rows, length); None: none.
    """

    name: str
    model: str
    config: dict[str, Any]
    size: tuple[int, int]
    outputs: Mapping[str, str] = field(default_factory=lambda: {"logits": "logits"})
    options: Mapping[str, Any] = field(default_factory=dict)
    channels_last: frozenset[str] = frozenset()
    text: tuple[int, int] | None = None


def _vit(size: int, patch: int, hidden: int, heads: int, layers: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "image_size": size,
        "patch_size": patch,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": 2 * hidden + 4,
        **more,
    }


_BACKBONE = {
    "hidden_size": 36, "num_attention_heads": 3, "num_hidden_layers": 4, "image_size": 28, "patch_size": 7,
    "mlp_ratio": 2, "out_indices": [1, 2, 3, 4], "reshape_hidden_states": False, "apply_layernorm": True,
}  # fmt: skip
_LABELS = {"num_labels": 7}
_INTERPOLATED = {"interpolate_pos_encoding": True}
_DETECTION = {"logits": "logits", "boxes": "pred_boxes"}
_TOWERS = {"image": "image_embeds", "text": "text_embeds"}
_RESNET_LIKE = {"embedding_size": 12, "hidden_sizes": [16, 24, 32, 40], "depths": [2, 1, 2, 1]}

RECIPES = [
    Recipe("vit", "ViTForImageClassification", _vit(16, 4, 36, 3, **_LABELS), (16, 16)),
    Recipe(
        "vit-larger", "ViTForImageClassification", _vit(16, 4, 40, 2, qkv_bias=False, hidden_act="gelu_pytorch_tanh"),
        (24, 20), options=_INTERPOLATED,
    ),
    Recipe("vit-pooled", "ViTModel", _vit(12, 4, 28, 2), (12, 12), {"embedding": "pooler_output"}),
    Recipe("deit", "DeiTForImageClassificationWithTeacher", _vit(20, 5, 36, 2, **_LABELS), (20, 20)),
    Recipe("deit-one-head", "DeiTForImageClassification", _vit(12, 4, 36, 2, **_LABELS), (12, 12)),
    Recipe(
        "dinov2", "Dinov2Model", _vit(28, 7, 36, 3, mlp_ratio=2), (28, 28),
        {"embedding": "pooler_output", "hidden": "last_hidden_state"},
    ),
    Recipe("dinov2-larger", "Dinov2ForImageClassification", _vit(28, 7, 36, 3, mlp_ratio=2, **_LABELS), (35, 42)),
    Recipe(
        "dinov2-swiglu", "Dinov2Model", _vit(21, 7, 24, 2, mlp_ratio=4, use_swiglu_ffn=True), (21, 21),
        {"embedding": "pooler_output"},
    ),
    Recipe(
        "dinov2-registers", "Dinov2WithRegistersModel", _vit(28, 7, 36, 3, mlp_ratio=2, num_register_tokens=3),
        (35, 21), {"embedding": "pooler_output", "hidden": "last_hidden_state"},
    ),
    Recipe(
        "dinov3", "DINOv3ViTModel", _vit(24, 4, 48, 3, num_register_tokens=2), (24, 16),
        {"embedding": "pooler_output", "hidden": "last_hidden_state"},
    ),
    Recipe(
        "dinov3-gated", "DINOv3ViTModel", _vit(16, 4, 32, 2, use_gated_mlp=True, hidden_act="silu", key_bias=True),
        (16, 16), {"embedding": "pooler_output"},
    ),
    Recipe(
        "clip", "CLIPModel",
        {
            "projection_dim": 20,
            "vision_config": _vit(20, 5, 36, 3),
            "text_config": {
                "vocab_size": 67, "hidden_size": 28, "intermediate_size": 52, "num_attention_heads": 2,
                "num_hidden_layers": 2, "max_position_embeddings": 11, "eos_token_id": 66, "bos_token_id": 65,
                "pad_token_id": 66,
            },
        },
        (20, 20), _TOWERS, text=(3, 11),
    ),
    Recipe(
        "siglip", "SiglipModel",
        {
            "vision_config": _vit(20, 5, 36, 3),
            "text_config": {
                "vocab_size": 61, "hidden_size": 36, "intermediate_size": 52, "num_attention_heads": 2,
                "num_hidden_layers": 2, "max_position_embeddings": 9, "projection_size": 36,
            },
        },
        (20, 20), _TOWERS, text=(3, 9),
    ),
    Recipe(
        "yolos", "YolosForObjectDetection",
        _vit(0, 4, 36, 3, 3, num_detection_tokens=5, use_mid_position_embeddings=True, **_LABELS)
        | {"image_size": [16, 24]},
        (20, 16), _DETECTION,
    ),
    Recipe(
        "swin", "SwinForImageClassification",
        {"image_size": 32, "patch_size": 2, "embed_dim": 12, "depths": [2, 2], "num_heads": [2, 3], "window_size": 4,
         "mlp_ratio": 2.0, **_LABELS},
        (32, 32),
    ),
    Recipe(
        "swin-padded", "SwinForImageClassification",
        {"image_size": 44, "patch_size": 4, "embed_dim": 12, "depths": [2, 2, 2], "num_heads": [1, 2, 3],
         "window_size": 3, "mlp_ratio": 3.0, **_LABELS},
        (44, 44),
    ),
    Recipe(
        "swinv2", "Swinv2ForImageClassification",
        {"image_size": 32, "patch_size": 2, "embed_dim": 12, "depths": [2, 2], "num_heads": [2, 3], "window_size": 4,
         "mlp_ratio": 2.0, "pretrained_window_sizes": [0, 0], **_LABELS},
        (32, 32),
    ),
    Recipe(
        "swinv2-larger", "Swinv2ForImageClassification",
        {"image_size": 44, "patch_size": 4, "embed_dim": 12, "depths": [2, 2], "num_heads": [1, 2], "window_size": 5,
         "mlp_ratio": 2.0, "pretrained_window_sizes": [3, 3], **_LABELS},
        (44, 44),
    ),
    Recipe("resnet", "ResNetForImageClassification", {**_RESNET_LIKE, **_LABELS}, (45, 38)),
    Recipe(
        "resnet-basic", "ResNetForImageClassification", {**_RESNET_LIKE, "layer_type": "basic", **_LABELS}, (32, 32)
    ),
    Recipe(
        "convnext", "ConvNextForImageClassification",
        {"hidden_sizes": [12, 20, 28, 36], "depths": [2, 1, 2, 1], **_LABELS}, (64, 48),
    ),
    Recipe(
        "convnextv2", "ConvNextV2ForImageClassification",
        {"hidden_sizes": [12, 20, 28, 36], "depths": [1, 2, 1, 1], **_LABELS}, (64, 64),
    ),
    Recipe(
        "segformer", "SegformerForSemanticSegmentation",
        {"hidden_sizes": [12, 20, 28, 36], "depths": [1, 2, 1, 1], "num_attention_heads": [1, 2, 2, 3],
         "decoder_hidden_size": 24, **_LABELS},
        (64, 96), channels_last=frozenset({"logits"}),
    ),
    Recipe(
        "segformer-classifier", "SegformerForImageClassification",
        {"hidden_sizes": [12, 20, 28, 36], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 3], **_LABELS},
        (64, 64),
    ),
    Recipe(
        "detr", "DetrForObjectDetection",
        {
            "use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None,
            "backbone_config": {"model_type": "resnet", **_RESNET_LIKE, "out_features": ["stage4"]},
            "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
            "decoder_attention_heads": 4, "encoder_ffn_dim": 44, "decoder_ffn_dim": 52, "num_queries": 6, **_LABELS,
        },
        (96, 64), _DETECTION,
    ),
    Recipe(
        "detr-masks", "DetrForSegmentation",
        {
            "use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None,
            "backbone_config": {"model_type": "resnet", **_RESNET_LIKE,
                                "out_features": ["stage1", "stage2", "stage3", "stage4"]},
            "d_model": 64, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 8,
            "decoder_attention_heads": 4, "encoder_ffn_dim": 44, "decoder_ffn_dim": 52, "num_queries": 5, **_LABELS,
        },
        (96, 80), {**_DETECTION, "masks": "pred_masks"},
    ),
    Recipe(
        "detr-timm", "DetrForObjectDetection",
        {
            "use_timm_backbone": True, "use_pretrained_backbone": False, "backbone": None,
            "backbone_config": {"model_type": "timm_backbone", "backbone": "resnet18", "out_indices": [4],
                                "use_pretrained_backbone": False},
            "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
            "decoder_attention_heads": 2, "encoder_ffn_dim": 44, "decoder_ffn_dim": 52, "num_queries": 6, **_LABELS,
        },
        (64, 96), _DETECTION,
    ),
    Recipe(
        "depth-anything", "DepthAnythingForDepthEstimation",
        {
            "backbone_config": {"model_type": "dinov2", **_BACKBONE},
            "patch_size": 7, "reassemble_hidden_size": 36, "neck_hidden_sizes": [8, 12, 16, 20],
            "fusion_hidden_size": 16, "head_hidden_size": 8,
        },
        (28, 42), {"depth": "predicted_depth"},
    ),
    Recipe(
        "depth-anything-metric", "DepthAnythingForDepthEstimation",
        {
            "backbone_config": {"model_type": "dinov2", **_BACKBONE},
            "patch_size": 7, "reassemble_hidden_size": 36, "neck_hidden_sizes": [8, 12, 16, 20],
            "fusion_hidden_size": 16, "head_hidden_size": 8, "depth_estimation_type": "metric", "max_depth": 20,
        },
        (28, 28), {"depth": "predicted_depth"},
    ),
    Recipe(
        "dpt", "DPTForDepthEstimation",
        {
            **_vit(32, 8, 36, 3, 4), "backbone_out_indices": [0, 1, 2, 3], "is_hybrid": False,
            "neck_hidden_sizes": [8, 12, 16, 20], "fusion_hidden_size": 16, "head_in_index": -1,
            "use_auxiliary_head": False,
        },
        (32, 32), {"depth": "predicted_depth"},
    ),
    Recipe(
        "rt-detr", "RTDetrForObjectDetection",
        {
            "backbone_config": {"model_type": "rt_detr_resnet", "embedding_size": 16, "hidden_sizes": [16, 24, 32, 40],
                                "depths": [1, 2, 1, 1], "out_features": ["stage2", "stage3", "stage4"]},
            "encoder_hidden_dim": 32, "encoder_in_channels": [24, 32, 40], "encoder_ffn_dim": 44,
            "encoder_attention_heads": 2, "d_model": 32, "num_queries": 7, "decoder_in_channels": [32, 32, 32],
            "decoder_ffn_dim": 52, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_n_points": 3,
            "hidden_expansion": 0.5, "anchor_image_size": None, **_LABELS,
        },
        (64, 96), _DETECTION,
    ),
    Recipe(
        "efficientnet", "EfficientNetForImageClassification",
        {
            "image_size": 36, "width_coefficient": 0.25, "depth_coefficient": 0.6, "hidden_dim": 320,
            "kernel_sizes": [3, 5, 3], "in_channels": [32, 16, 24], "out_channels": [16, 24, 40],
            "strides": [1, 2, 2], "num_block_repeats": [1, 2, 2], "expand_ratios": [1, 6, 4],
            "depthwise_padding": [], **_LABELS,
        },
        (36, 36),
    ),
    Recipe(
        "mobilevit", "MobileViTForImageClassification",
        {
            "image_size": 64, "hidden_sizes": [12, 20, 28], "neck_hidden_sizes": [8, 16, 16, 24, 32, 40, 48],
            "num_attention_heads": 2, "expand_ratio": 2.0, "mlp_ratio": 2.0, **_LABELS,
        },
        (64, 64),
    ),
]  # fmt: skip
