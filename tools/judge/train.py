"""Trains one model: AdamW, a learning rate that rises and falls once, a checkpoint after each epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from tools.judge.models import Recipe
from tools.judge.pictures import Labelled, normalised, varied

LARGEST_GRADIENT = 1.0


class FewerPatches:
    """Shows a model of plain patches some of them: a hook behind its embeddings, which hold the positions already.

    The tokens before the patches (class, distillation) stay.
    """

    def __init__(self, model: PreTrainedModel, kept: int) -> None:
        patches = model.base_model.embeddings.patch_embeddings.num_patches

        def pick(_module: torch.nn.Module, _inputs: object, tokens: Tensor) -> Tensor:
            prefix = tokens.shape[1] - patches
            picked = torch.rand(len(tokens), patches).argsort(1)[:, :kept] + prefix
            index = torch.cat([torch.arange(prefix).expand(len(tokens), -1), picked], dim=1)
            return tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[2]))

        self._hook = model.base_model.embeddings.register_forward_hook(pick)

    def end(self) -> None:
        """Shows all patches again."""
        self._hook.remove()


def loss_of(
    model: PreTrainedModel, recipe: Recipe, teacher: PreTrainedModel | None
) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean loss of a batch: cross-entropy with the labels, or half of that and half with the answers of a teacher.

    Hard distillation as in DeiT (arXiv 2012.12877, equation 3): the class token learns the labels, the distillation
    token what the teacher says of the same varied picture.
    """

    def plain(pixels: Tensor, classes: Tensor) -> Tensor:
        logits = model(pixels).logits
        return F.cross_entropy(logits.float(), classes, label_smoothing=recipe.label_smoothing)

    def taught(pixels: Tensor, classes: Tensor) -> Tensor:
        with torch.no_grad():
            said = teacher(pixels).logits.argmax(1)  # type: ignore[misc]
        answer = model(pixels)
        own = F.cross_entropy(answer.cls_logits.float(), classes, label_smoothing=recipe.label_smoothing)
        return (own + F.cross_entropy(answer.distillation_logits.float(), said)) / 2

    return plain if teacher is None else taught


def lr_factor(progress: float, warmup_share: float) -> float:
    """Learning rate at a share of the run, as a share of the highest: straight up, then down along a cosine."""
    if progress < warmup_share:
        return progress / warmup_share
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup_share) / (1 - warmup_share)))


def _optimizer(model: PreTrainedModel, recipe: Recipe) -> torch.optim.AdamW:
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.peak_lr, betas=(0.9, 0.98))


def train(
    model: PreTrainedModel,
    teacher: PreTrainedModel | None,
    shown: Labelled,
    recipe: Recipe,
    seed: int,
    checkpoint: Path,
) -> float:
    """Trains in place, continuing from `checkpoint` where it exists; returns the seconds spent in all."""
    optimizer = _optimizer(model, recipe)
    loss_on = loss_of(model, recipe, teacher)
    first, spent_s = 0, 0.0
    if checkpoint.exists():
        state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first, spent_s = state["epoch"], state["spent_s"]
    model.train()
    # On CPUs, and for so few tokens, attention written out is trained in half the time.
    model.set_attn_implementation("eager")
    batches = len(shown.classes) // recipe.batch
    for epoch in range(first, recipe.epochs):
        began = time.monotonic()
        # Order and variation of an epoch depend on the seed and the epoch alone: a run that goes on is the same run.
        generator = torch.Generator().manual_seed(seed * 1000 + epoch)
        order = torch.randperm(len(shown.classes), generator=generator)
        torch.manual_seed(seed * 1000 + epoch)
        whole = recipe.kept_patches is None or epoch >= math.floor(recipe.epochs * (1 - recipe.whole_share))
        fewer = None if whole else FewerPatches(model, recipe.kept_patches)
        total = 0.0
        for batch in range(batches):
            factor = lr_factor((epoch + (batch + 1) / batches) / recipe.epochs, recipe.warmup_share)
            for group in optimizer.param_groups:
                group["lr"] = recipe.peak_lr * factor
            picked = order[batch * recipe.batch : (batch + 1) * recipe.batch]
            pixels = normalised(varied(shown.pixels[picked], generator), recipe.mean, recipe.std)
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_on(pixels, shown.classes[picked])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
            optimizer.step()
            total += loss.item()
        if fewer:
            fewer.end()
        spent_s += time.monotonic() - began
        print(f"epoch {epoch + 1:3d} of {recipe.epochs}  loss {total / batches:.4f}  {spent_s:6.0f} s", flush=True)
        _save(checkpoint, {
            "model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1, "spent_s": spent_s,
        })  # fmt: skip
    model.eval()
    return spent_s


@torch.no_grad()
def accuracy(model: PreTrainedModel, held_out: Labelled, recipe: Recipe, batch: int = 500) -> float:
    """Share of the held-out pictures whose class the model names first, in f32."""
    model.eval()
    right = 0
    for start in range(0, len(held_out.classes), batch):
        pixels = normalised(held_out.pixels[start : start + batch], recipe.mean, recipe.std)
        right += int((model(pixels).logits.argmax(1) == held_out.classes[start : start + batch]).sum())
    return right / len(held_out.classes)


def _save(checkpoint: Path, state: dict[str, Any]) -> None:
    """Replaces the checkpoint at once, so that a run that is killed leaves the one before."""
    partial = checkpoint.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(checkpoint)
