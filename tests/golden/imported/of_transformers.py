"""Tiny models of transformers: vision, detection, text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as T

from .making import Made, ended, image, masked, of, tokens

SIZES: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
VIT: dict[str, Any] = {**SIZES, "image_size": 32, "patch_size": 8}
DINO: dict[str, Any] = {**{k: v for k, v in VIT.items() if k != "intermediate_size"}, "mlp_ratio": 2}
TEXT: dict[str, Any] = {**SIZES, "vocab_size": 60, "max_position_embeddings": 16, "eos_token_id": 2}
RESNET: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 24], "depths": [1, 1, 1, 1],
                          "layer_type": "bottleneck"}  # fmt: skip
DETECTOR: dict[str, Any] = {
    "use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None, "d_model": 16, "encoder_layers": 1,
    "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24, "num_queries": 5, "num_labels": 7,
}  # fmt: skip
SWIN: dict[str, Any] = {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2],
                        "window_size": 4, "num_labels": 6}  # fmt: skip
T5: dict[str, Any] = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "vocab_size": 60}


def logits(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m(x).logits


def hidden(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m(x).last_hidden_state


def boxes(m: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    found = m(x)
    return found.logits, found.pred_boxes


def detector(cls: Any, config: Any) -> Made:
    backbone = T.ResNetConfig(**RESNET, out_features=["stage4"])
    return of(cls, config(**DETECTOR, backbone_config=backbone), boxes, image(64, 48))


def rt_detr() -> Made:
    resnet = T.RTDetrResNetConfig(**RESNET, out_features=["stage2", "stage3", "stage4"])
    config = T.RTDetrConfig(
        backbone_config=resnet, encoder_hidden_dim=16, encoder_in_channels=[16, 16, 24], encoder_layers=1,
        encoder_ffn_dim=24, encoder_attention_heads=2, d_model=16, num_queries=8, decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=24, decoder_layers=2, decoder_attention_heads=2, num_labels=5, anchor_image_size=None,
    )  # fmt: skip
    return of(T.RTDetrForObjectDetection, config, boxes, image(64, 64))


def yolos() -> Made:
    config = T.YolosConfig(
        **{**VIT, "image_size": [32, 48]}, num_detection_tokens=5, num_labels=6, use_mid_position_embeddings=False
    )  # fmt: skip
    return of(T.YolosForObjectDetection, config, boxes, image(32, 48))


def segformer() -> Made:
    config = T.SegformerConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 2], sr_ratios=[4, 2, 2, 1],
        decoder_hidden_size=16, num_labels=5, mlp_ratios=[2, 2, 2, 2],
    )  # fmt: skip
    return of(T.SegformerForSemanticSegmentation, config, logits, image(64, 64))


def depth_anything() -> Made:
    backbone = T.Dinov2Config(
        **{**DINO, "num_hidden_layers": 4}, out_indices=[1, 2, 3, 4], apply_layernorm=True, reshape_hidden_states=False
    )  # fmt: skip
    config = T.DepthAnythingConfig(
        backbone_config=backbone, patch_size=8, reassemble_hidden_size=24, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8, head_in_index=-1, head_hidden_size=8, reassemble_factors=[4, 2, 1, 0.5],
    )  # fmt: skip
    model, inputs = of(T.DepthAnythingForDepthEstimation, config, lambda m, x: m(x).predicted_depth, image())
    model.m.head.conv3.bias.data.fill_(2.0)  # else its last ReLU leaves nothing
    return model, inputs


def clip() -> Made:
    config = T.CLIPConfig(text_config=TEXT, vision_config=VIT, projection_dim=16)

    def call(m: Any, ids: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return m(input_ids=ids, pixel_values=x).logits_per_image

    return of(T.CLIPModel, config, call, ended(), image())


def clip_vision() -> Made:
    config = T.CLIPVisionConfig(**VIT, projection_dim=16)
    return of(T.CLIPVisionModelWithProjection, config, lambda m, x: m(x).image_embeds, image())


def bert() -> Made:
    config = T.BertConfig(**{k: v for k, v in TEXT.items() if k != "eos_token_id"})

    def call(m: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return m(input_ids=ids, attention_mask=mask).last_hidden_state

    return of(T.BertModel, config, call, tokens(), torch.tensor([[1] * 7 + [0] * 3]))


def mobilevit() -> Made:
    config = T.MobileViTConfig(
        image_size=64, hidden_sizes=[12, 16, 20], neck_hidden_sizes=[8, 8, 8, 8, 8, 8, 16], num_attention_heads=2,
        num_labels=5, expand_ratio=2.0,
    )  # fmt: skip
    return of(T.MobileViTForImageClassification, config, logits, image(64, 64))


def convnext() -> Made:
    config = T.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_labels=6)
    return of(T.ConvNextForImageClassification, config, logits, image(64, 64))


def sam_vision() -> Made:
    config = T.SamVisionConfig(
        hidden_size=24, output_channels=8, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=8,
        window_size=3, global_attn_indexes=[1], mlp_dim=32,
    )  # fmt: skip
    return of(T.SamVisionModel, config, hidden, image(64, 64))


def pooled() -> Made:
    """What makes vectors of texts: a mean over the tokens that count, of length 1."""
    config = T.BertConfig(**{k: v for k, v in TEXT.items() if k != "eos_token_id"})

    def call(m: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = m(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        mean = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=-1)

    return of(T.BertModel, config, call, *masked(2, 10))


def deberta() -> Made:
    """Positions as distances in buckets, which are gathered from two tables."""
    config = T.DebertaV2Config(
        **{k: v for k, v in TEXT.items() if k != "eos_token_id"}, relative_attention=True, position_buckets=4,
        pos_att_type=["p2c", "c2p"], norm_rel_ebd="layer_norm", share_att_key=True,
    )  # fmt: skip

    def call(m: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return m(input_ids=ids, attention_mask=mask).last_hidden_state

    return of(T.DebertaV2Model, config, call, *masked(2, 10))


RECIPES: dict[str, Callable[[], Made]] = {
    "vit": lambda: of(T.ViTForImageClassification, T.ViTConfig(**VIT, num_labels=6), logits, image()),
    "deit": lambda: of(T.DeiTForImageClassificationWithTeacher, T.DeiTConfig(**VIT, num_labels=6), logits, image()),
    "swin": lambda: of(T.SwinForImageClassification, T.SwinConfig(**SWIN), logits, image()),
    "swinv2": lambda: of(T.Swinv2ForImageClassification, T.Swinv2Config(**SWIN), logits, image()),
    "dinov2": lambda: of(T.Dinov2Model, T.Dinov2Config(**DINO), hidden, image()),
    "dinov3": lambda: of(T.DINOv3ViTModel, T.DINOv3ViTConfig(**VIT, num_register_tokens=2), hidden, image()),
    "detr": lambda: detector(T.DetrForObjectDetection, T.DetrConfig),
    "conditional_detr": lambda: detector(T.ConditionalDetrForObjectDetection, T.ConditionalDetrConfig),
    "rt_detr": rt_detr,
    "yolos": yolos,
    "segformer": segformer,
    "depth_anything": depth_anything,
    "clip": clip,
    "clip_vision": clip_vision,
    "clip_text": lambda: of(T.CLIPTextModel, T.CLIPTextConfig(**TEXT), hidden, ended()),
    "siglip": lambda: of(T.SiglipVisionModel, T.SiglipVisionConfig(**VIT), lambda m, x: m(x).pooler_output, image()),
    "t5": lambda: of(T.T5EncoderModel, T.T5Config(**T5), hidden, tokens()),
    "bert": bert,
    "convnext": convnext,
    "resnet": lambda: of(T.ResNetForImageClassification, T.ResNetConfig(**RESNET, num_labels=6), logits, image(64, 64)),
    "mobilevit": mobilevit,
    "sam_vision": sam_vision,
    "pooled": pooled,
    "deberta": deberta,
}
