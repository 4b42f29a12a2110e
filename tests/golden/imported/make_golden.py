"""Makes the exported graphs of this folder, with what PyTorch computes for them. Run by hand:

    pip install -e '.[reference]' diffusers onnx onnxscript onnxruntime
    python -m tests.golden.imported.make_golden [NAME ...]

Each is `NAME.pt2` or `NAME.onnx.gz` and `NAME.npz` (`in0`, ... in the order of the inputs, `out0`, ...). The models are
tiny, their weights random and coarse, and the archives packed anew without the notes that PyTorch adds to each node,
so that all of them together stay small.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers

HERE = Path(__file__).parent
T, D = transformers, diffusers
Made = tuple[torch.nn.Module, tuple[torch.Tensor, ...]]


class Calling(torch.nn.Module):
    """A module whose forward takes tensors by position and gives tensors."""

    def __init__(self, inner: torch.nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.m = inner
        self._call = call

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self._call(self.m, *inputs)


def coarse(module: torch.nn.Module) -> torch.nn.Module:
    """Weights of few levels, in the range in which every part of a model matters."""
    for tensor in module.parameters():
        noise = torch.randn_like(tensor) * (0.1 if tensor.dim() > 1 else 0.15)
        tensor.data.copy_(((noise if tensor.dim() > 1 else tensor.data + noise) * 16).round() / 16)
    for name, tensor in module.named_buffers():
        if name.endswith("running_mean"):
            tensor.copy_((torch.randn_like(tensor) * 2).round() / 16)
        elif name.endswith("running_var"):
            tensor.copy_(1 + torch.rand_like(tensor).mul(4).round() / 8)
    return module.eval()


def of(cls: Any, config: Any, call: Callable[..., Any], *inputs: torch.Tensor) -> Made:
    return Calling(coarse(cls(config)), call), inputs


def image(height: int = 32, width: int = 32, channels: int = 3) -> torch.Tensor:
    return torch.randn(1, channels, height, width)


def tokens(count: int = 10) -> torch.Tensor:
    return torch.randint(3, 60, (1, count))


def ended(count: int = 10) -> torch.Tensor:
    return torch.cat([tokens(count - 1), torch.tensor([[2]])], 1)


def logits(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m(x).logits


def hidden(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m(x).last_hidden_state


def boxes(m: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    found = m(x)
    return found.logits, found.pred_boxes


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
VAE: dict[str, Any] = {"block_out_channels": (8, 8), "down_block_types": ("DownEncoderBlock2D",) * 2,
                       "up_block_types": ("UpDecoderBlock2D",) * 2, "norm_num_groups": 4,
                       "layers_per_block": 1}  # fmt: skip


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


def unet() -> Made:
    config = {
        "sample_size": 8, "block_out_channels": (8, 8), "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "cross_attention_dim": 8, "attention_head_dim": 4,
        "norm_num_groups": 4,
    }  # fmt: skip

    def call(m: Any, x: torch.Tensor, step: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return m(x, step, text).sample

    inputs = image(8, 8, 4), torch.tensor([7]), torch.randn(1, 5, 8)
    return of(lambda c: D.UNet2DConditionModel(**c), config, call, *inputs)


def vae_decoder() -> Made:
    model = of(lambda c: D.AutoencoderKL(**c), VAE, lambda m, x: m.decode(x).sample, image(4, 4, 4))
    return model


def vae_encoder() -> Made:
    return of(lambda c: D.AutoencoderKL(**c), VAE, lambda m, x: m.encode(x).latent_dist.mean, image(16, 16))


def taesd() -> Made:
    config = {
        "encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8), "num_encoder_blocks": (1, 1),
        "num_decoder_blocks": (1, 1),
    }  # fmt: skip
    return of(lambda c: D.AutoencoderTiny(**c), config, lambda m, x: m.decode(x).sample, image(8, 8, 4))


def sd3() -> Made:
    config = {
        "sample_size": 8, "patch_size": 2, "in_channels": 4, "num_layers": 2, "attention_head_dim": 8,
        "num_attention_heads": 2, "joint_attention_dim": 8, "caption_projection_dim": 16, "pooled_projection_dim": 8,
        "out_channels": 4, "pos_embed_max_size": 8,
    }  # fmt: skip
    inputs = image(8, 8, 4), torch.randn(1, 5, 8), torch.randn(1, 8), torch.tensor([7])
    return of(lambda c: D.SD3Transformer2DModel(**c), config, lambda m, *a: m(*a).sample, *inputs)


def flux() -> Made:
    config = {
        "patch_size": 1, "in_channels": 4, "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 8,
        "num_attention_heads": 2, "joint_attention_dim": 8, "pooled_projection_dim": 8, "axes_dims_rope": (2, 2, 4),
        "guidance_embeds": False,
    }  # fmt: skip

    def call(m: Any, x: torch.Tensor, text: torch.Tensor, pooled: torch.Tensor, step: torch.Tensor, *ids: Any) -> Any:
        return m(
            hidden_states=x, encoder_hidden_states=text, pooled_projections=pooled, timestep=step, txt_ids=ids[0],
            img_ids=ids[1],
        ).sample  # fmt: skip

    rows = torch.stack(torch.meshgrid(torch.zeros(1), torch.arange(4.0), torch.arange(4.0), indexing="ij"), -1)
    inputs = torch.randn(1, 16, 4), torch.randn(1, 5, 8), torch.randn(1, 8), torch.tensor([0.5])
    return of(
        lambda c: D.FluxTransformer2DModel(**c), config, call, *inputs, torch.zeros(5, 3), rows.reshape(16, 3)
    )  # fmt: skip


def pixart() -> Made:
    config = {
        "sample_size": 8, "num_layers": 2, "patch_size": 2, "attention_head_dim": 8, "num_attention_heads": 2,
        "in_channels": 4, "out_channels": 8, "cross_attention_dim": 16, "caption_channels": 8,
        "use_additional_conditions": False, "norm_num_groups": 4,
    }  # fmt: skip

    def call(m: Any, x: torch.Tensor, text: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        return m(x, encoder_hidden_states=text, timestep=step).sample

    inputs = image(8, 8, 4), torch.randn(1, 5, 8), torch.tensor([7])
    return of(lambda c: D.PixArtTransformer2DModel(**c), config, call, *inputs)


class Functions(torch.nn.Module):
    """What PyTorch's other importers are known to get wrong: a scale of its own, masks, sampling by a grid, norms
    without weights, floor division of floats."""

    def forward(self, x: torch.Tensor, y: torch.Tensor, grid: torch.Tensor) -> Any:
        f = torch.nn.functional
        scaled = f.scaled_dot_product_attention(x, y, y, scale=1.0)
        causal = f.scaled_dot_product_attention(x, x, x, is_causal=True)
        mask = y[..., 0].unsqueeze(-2) > -1.0
        masked = f.scaled_dot_product_attention(x, y, y, attn_mask=mask)
        sampled = f.grid_sample(x, grid, align_corners=False)
        edges = f.grid_sample(x, grid, mode="nearest", padding_mode="border", align_corners=True)
        normed = f.layer_norm(x, (8,)), f.group_norm(x, 2)
        return scaled, causal, masked, sampled, edges, *normed, (x * 7) // 2, torch.div(x, 0.3, rounding_mode="trunc")


def functions() -> Made:
    return Functions(), (torch.randn(1, 4, 6, 8), torch.randn(1, 4, 5, 8), torch.rand(1, 3, 4, 2) * 2.4 - 1.2)


class Mobile(torch.nn.Module):
    """The parts of convolutional networks for phones: depthwise, hard-swish, squeeze and excite, clips, resizing."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, 2, 1, bias=False), torch.nn.BatchNorm2d(8), torch.nn.Hardswish()
        )
        self.depth = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 5, 1, 2, groups=8), torch.nn.ReLU6())
        self.squeeze = torch.nn.Sequential(
            torch.nn.Conv2d(8, 4, 1), torch.nn.ReLU(), torch.nn.Conv2d(4, 8, 1), torch.nn.Hardsigmoid()
        )
        self.up = torch.nn.ConvTranspose2d(8, 4, 2, 2)
        self.head = torch.nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        f = torch.nn.functional
        x = self.depth(self.stem(x))
        x = x * self.squeeze(x.mean((2, 3), keepdim=True)) + f.max_pool2d(x, 3, 1, 1)
        small = f.interpolate(f.avg_pool2d(x, 2), size=x.shape[2:], mode="bilinear", align_corners=False)
        large = self.up(torch.nn.functional.silu(x + small))
        return large, self.head(large.flatten(2).mean(-1)).softmax(-1)


def mobile() -> Made:
    return coarse(Mobile()), (image(),)


def pooled() -> Made:
    """What makes vectors of texts: a mean over the tokens that count, of length 1."""
    config = T.BertConfig(**{k: v for k, v in TEXT.items() if k != "eos_token_id"})

    def call(m: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = m(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        mean = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=-1)

    return of(T.BertModel, config, call, *masked(2, 10))


def masked(batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[0, length - 3 :] = 0
    return torch.randint(3, 60, (batch, length)), mask


def deberta() -> Made:
    """Positions as distances in buckets, which are gathered from two tables."""
    config = T.DebertaV2Config(
        **{k: v for k, v in TEXT.items() if k != "eos_token_id"}, relative_attention=True, position_buckets=4,
        pos_att_type=["p2c", "c2p"], norm_rel_ebd="layer_norm", share_att_key=True,
    )  # fmt: skip

    def call(m: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return m(input_ids=ids, attention_mask=mask).last_hidden_state

    return of(T.DebertaV2Model, config, call, *masked(2, 10))


class Recurrent(torch.nn.Module):
    """Layers that go on from step to step, in both directions, and a second kind on top of them."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(60, 12)
        self.lstm = torch.nn.LSTM(12, 10, 2, bidirectional=True, batch_first=True)
        self.gru = torch.nn.GRU(20, 18, batch_first=True)
        self.plain = torch.nn.RNN(18, 6, nonlinearity="relu", batch_first=True)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, (h, c) = self.lstm(self.table(ids))
        x, last = self.gru(x)
        return self.plain(x)[0], h, c, last


def recurrent() -> Made:
    return coarse(Recurrent()), (torch.randint(0, 60, (2, 7)),)


class Indices(torch.nn.Module):
    """Whole numbers, truth, order, and places that are computed."""

    def forward(self, x: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        n = ids.shape[1]
        places = torch.cumsum(mask, 1) * mask - 1
        buckets = torch.div(torch.arange(n)[None] * 7 - ids, 3, rounding_mode="floor") % 5
        keep = (mask > 0) & (buckets != 2)
        chosen = torch.where(keep, ids + buckets, -torch.ones_like(ids))
        last = torch.gather(ids, 1, (mask.sum(1) - 1).unsqueeze(1))
        best, where = x.topk(3, dim=1)
        values, order = torch.sort(x, dim=1, descending=True)
        written = x.clone()
        written[:, 1:3] = 0.5
        written[written < -1] = -1.0
        spread = torch.zeros(x.shape[0], 9).scatter_add(1, ids % 9, x)
        put = torch.zeros_like(x).index_put((torch.tensor([0, 1]), torch.tensor([2, -1])), torch.tensor([3.0, 4.0]))
        return (
            places, chosen, (chosen >> 1) & 3, last, keep.any(1), keep.float().std(1), ids.argmax(1), best, where,
            values, order, written, spread, put, torch.roll(x[:, :4], 2, 1), x.cumprod(1), torch.logsumexp(x, 1),
            x.flip(1), torch.atan2(x, x + 0.3), x.abs() ** 1.7, x.sum(),
        )  # fmt: skip


def indices() -> Made:
    ids, mask = masked(2, 10)
    return Indices(), (torch.randn(2, 10), ids, mask)


class Resizes(torch.nn.Module):
    """Every way to bring a map to another size."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        f = torch.nn.functional.interpolate
        about = {"size": (9, 7), "mode": "bilinear"}
        return (
            f(x, scale_factor=2, mode="nearest"), f(x, **about), f(x, **about, align_corners=True),
            f(x, **about, antialias=True), f(x, size=(5, 11), mode="bicubic", antialias=True),
            f(x, scale_factor=1.5, mode="bicubic"), f(x, size=(5, 11), mode="nearest-exact"),
            f(x, size=(5, 3), mode="area"), f(x, scale_factor=0.7, mode="bilinear", recompute_scale_factor=False),
            torch.nn.functional.pad(x, (2, 1, 1, 2), mode="reflect"),
            torch.nn.functional.pad(x, (2, 1, 1, 2), mode="replicate"),
        )  # fmt: skip


def resizes() -> Made:
    return Resizes(), (image(12, 10, 2),)


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
    "unet": unet,
    "vae_decoder": vae_decoder,
    "vae_encoder": vae_encoder,
    "taesd": taesd,
    "sd3": sd3,
    "flux": flux,
    "pixart": pixart,
    "functions": functions,
    "mobile": mobile,
    "pooled": pooled,
    "deberta": deberta,
    "recurrent": recurrent,
    "indices": indices,
    "resizes": resizes,
}  # fmt: skip

OPEN = {"x0": {0: "batch", 1: "length"}, "x1": {0: "batch", 1: "length"}}
# ONNX: of which recipe, version of the operators (from 20 on by the newer exporter), open sizes of the inputs.
ONNX: dict[str, tuple[str, int, dict[str, dict[int, str]]]] = {
    "vit_opset14": ("vit", 14, {"x0": {0: "batch"}}),
    "bert_opset14": ("bert", 14, {"x0": {0: "batch", 1: "length"}, "x1": {0: "batch", 1: "length"}}),
    "swin_opset17": ("swin", 17, {}),
    "dinov2_opset18": ("dinov2", 18, {"x0": {0: "batch"}}),
    "mobile_opset11": ("mobile", 11, {}),
    "mobile_opset18": ("mobile", 18, {}),
    "segformer_opset14": ("segformer", 14, {}),
    "detr_opset16": ("detr", 16, {}),
    "unet_opset20": ("unet", 20, {}),
    "swinv2_opset20": ("swinv2", 20, {}),
    "pooled_opset20": ("pooled", 20, OPEN),
    "pooled_bytes": ("pooled", 17, OPEN),
    "deberta_opset17": ("deberta", 17, OPEN),
    "recurrent_opset17": ("recurrent", 17, {"x0": {0: "batch", 1: "length"}}),
    "mobile_bytes": ("mobile", 17, {}),
}
# Axes of programs that stay open.
DYNAMIC: dict[str, list[dict[int, str]]] = {
    "pooled": [{0: "batch", 1: "length"}] * 2,
    "indices": [{0: "batch", 1: "length"}] * 3,
}
# Quantised after the export: by scales at run time, by scales of a sample.
BYTES = {"pooled_bytes": False, "mobile_bytes": True}


def _dims(axes: dict[int, str]) -> dict[int, Any]:
    most = {"batch": 4, "length": 16}
    return {
        axis: torch.export.Dim(name, min=1 if name == "batch" else 5, max=most[name]) for axis, name in axes.items()
    }


def export_pt2(
    model: torch.nn.Module, inputs: tuple[torch.Tensor, ...], path: Path, axes: list[dict[int, str]] | None
) -> None:
    shapes: Any = None
    if axes is not None:
        shapes = tuple(_dims(each) for each in axes)
        shapes = (shapes,) if isinstance(model, Calling) else shapes
    program = torch.export.export(model, inputs, strict=False, dynamic_shapes=shapes).run_decompositions({})
    stored = io.BytesIO()
    torch.export.save(program, stored)
    with zipfile.ZipFile(stored) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for name in sorted(archive.namelist()):
            if name.endswith("models/model.json"):
                out.writestr(_fixed(name), json.dumps(without_notes(json.loads(archive.read(name)))))
            elif "/data/" in name and "sample_inputs" not in name:
                out.writestr(_fixed(name), archive.read(name))


def _fixed(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(f"model/{name.split('/', 1)[1]}", (2000, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def without_notes(model: dict[str, Any]) -> dict[str, Any]:
    graph = model["graph_module"]["graph"]
    inputs = {entry["as_tensor"]["name"] for entry in graph["inputs"] if "as_tensor" in entry}
    graph["tensor_values"] = {name: meta for name, meta in graph["tensor_values"].items() if name in inputs}
    for node in graph["nodes"]:
        stack = node["metadata"].get("nn_module_stack", "")
        node["metadata"] = {"nn_module_stack": stack.rsplit(";", 1)[-1]} if stack else {}
    return model


def export_onnx(
    model: torch.nn.Module, inputs: tuple[torch.Tensor, ...], path: Path, opset: int, axes: dict[str, dict[int, str]]
) -> None:
    names = [f"x{i}" for i in range(len(inputs))]
    made = io.BytesIO()
    if opset >= 20:
        shapes = tuple(_dims(axes[name]) for name in names) if axes else None
        program = torch.onnx.export(
            model, inputs, opset_version=opset, input_names=names, dynamo=True,
            dynamic_shapes=(shapes,) if shapes else None,
        )  # fmt: skip
        proto = program.model_proto
        for node in proto.graph.node:
            del node.metadata_props[:]
        made.write(proto.SerializeToString())
    else:
        torch.onnx.export(model, inputs, made, opset_version=opset, input_names=names, dynamic_axes=axes, dynamo=False)
    path.write_bytes(gzip.compress(made.getvalue(), 9, mtime=0))


def quantise(path: Path, inputs: tuple[torch.Tensor, ...], static: bool) -> list[Any]:
    """Replaces the graph by one of bytes, as ONNX Runtime makes it; what that computes for the inputs."""
    import onnxruntime
    from onnxruntime import quantization

    given = {f"x{i}": tensor.numpy() for i, tensor in enumerate(inputs)}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "floats.onnx"), Path(folder, "bytes.onnx")
        source.write_bytes(gzip.decompress(path.read_bytes()))
        if static:
            sample = iter([given])

            class Sample(quantization.CalibrationDataReader):
                def get_next(self) -> Any:
                    return next(sample, None)

            quantization.quantize_static(source, target, Sample(), per_channel=True)
        else:
            quantization.quantize_dynamic(source, target, weight_type=quantization.QuantType.QInt8)
        path.write_bytes(gzip.compress(target.read_bytes(), 9, mtime=0))
        session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
        return list(session.run(None, given))


def make(name: str) -> None:
    recipe, opset, axes = ONNX.get(name, (name, 0, {}))
    torch.manual_seed(0)
    model, inputs = RECIPES[recipe]()
    with torch.no_grad():
        outputs = model(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        if opset:
            export_onnx(model, inputs, HERE / f"{name}.onnx.gz", opset, axes)
        else:
            export_pt2(model, inputs, HERE / f"{name}.pt2", DYNAMIC.get(name))
    if name in BYTES:
        outputs = [torch.from_numpy(a) for a in quantise(HERE / f"{name}.onnx.gz", inputs, BYTES[name])]
    arrays = {f"in{i}": tensor.numpy() for i, tensor in enumerate(inputs)}
    arrays |= {f"out{i}": tensor.numpy() for i, tensor in enumerate(outputs)}
    np.savez_compressed(HERE / f"{name}.npz", **arrays)


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    for name in sys.argv[1:] or [*RECIPES, *ONNX]:
        make(name)
        sys.stdout.write(f"{name}: {sum(file.stat().st_size for file in HERE.glob(f'{name}.*')):,} bytes\n")


if __name__ == "__main__":
    main()
