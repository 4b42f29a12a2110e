"""Tiny parts of what makes pictures, of diffusers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers as D
import torch

from .making import Made, image, of

VAE: dict[str, Any] = {"block_out_channels": (8, 8), "down_block_types": ("DownEncoderBlock2D",) * 2,
                       "up_block_types": ("UpDecoderBlock2D",) * 2, "norm_num_groups": 4,
                       "layers_per_block": 1}  # fmt: skip


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


RECIPES: dict[str, Callable[[], Made]] = {
    "unet": unet,
    "vae_decoder": vae_decoder,
    "vae_encoder": vae_encoder,
    "taesd": taesd,
    "sd3": sd3,
    "flux": flux,
    "pixart": pixart,
}
