"""What is trained: a row a model, with its shape and its recipe. All are transformers' own classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import (
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    PreTrainedModel,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

SIDE = 32  # pixels
WAVE_HEIGHT = 0.2
HALF = (0.5, 0.5, 0.5)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Recipe:
    """How one model is trained, and how its pixels are scaled (each as its published relatives have it).

    `kept_patches` of a picture are shown to the model, others each time, in all epochs but the last `whole_share`: an
    epoch takes half as long, and what is learned so holds for whole pictures (arXiv 2208.07220).
    """

    build: Callable[[int], PreTrainedModel]  # of the number of classes
    processor: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    epochs: int
    kept_patches: int | None = None
    whole_share: float = 0.2
    teacher: str | None = None
    peak_lr: float = 1.5e-3
    weight_decay: float = 0.05
    batch: int = 128
    label_smoothing: float = 0.1
    warmup_share: float = 0.15


_PLAIN = {
    "image_size": SIDE, "patch_size": 4, "hidden_size": 128, "num_hidden_layers": 6, "num_attention_heads": 4,
    "intermediate_size": 512, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip


def _vit(classes: int) -> PreTrainedModel:
    return _with_wave_positions(ViTForImageClassification(ViTConfig(**_PLAIN, num_labels=classes)))


def _deit(classes: int) -> PreTrainedModel:
    return _with_wave_positions(DeiTForImageClassificationWithTeacher(DeiTConfig(**_PLAIN, num_labels=classes)))


def _swin(classes: int) -> PreTrainedModel:
    return SwinForImageClassification(
        SwinConfig(
            image_size=SIDE, patch_size=4, embed_dim=96, depths=[2, 4], num_heads=[3, 6], window_size=4,
            drop_path_rate=0.0, num_labels=classes,
        )
    )  # fmt: skip


@torch.no_grad()
def _with_wave_positions(model: PreTrainedModel) -> PreTrainedModel:
    """Lets the learned positions begin as sines and cosines of row and column, so that neighbours are alike at once."""
    table = model.base_model.embeddings.position_embeddings  # (1, prefix + patches, hidden)
    side, quarter = SIDE // model.config.patch_size, table.shape[-1] // 4
    angle = torch.arange(side)[:, None] * torch.logspace(0, -2, quarter)  # (side, quarter), radians
    wave = torch.cat([angle.sin(), angle.cos()], dim=1)  # (side, 2 * quarter)
    rows, columns = wave.repeat_interleave(side, 0), wave.repeat(side, 1)
    table[0, -side * side :] = WAVE_HEIGHT * torch.cat([rows, columns], dim=1)
    return model


# The Swin comes before the DeiT, which learns from it.
RECIPES = {
    "vit": Recipe(_vit, "ViTImageProcessor", HALF, HALF, epochs=10, kept_patches=32),
    "swin": Recipe(_swin, "ViTImageProcessor", IMAGENET_MEAN, IMAGENET_STD, epochs=8),
    "deit": Recipe(
        _deit, "DeiTImageProcessor", IMAGENET_MEAN, IMAGENET_STD, epochs=10, kept_patches=32, teacher="swin"
    ),
}
