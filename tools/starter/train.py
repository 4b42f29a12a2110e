"""Trains the starter model: batches written on the fly, Muon for the matrices, AdamW for the rest.

The learning rate rises, stays, and falls to nothing over the last part of the run. In that last part every other
step works with 4-bit weights, so that the model answers as well in 4 bits as in full.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.starter.model import Llama
from tools.starter.text import write_conversation
from tools.starter.tokenizer import ChatEncoder

PIECES = 8
MUON_PARTS = 4


@dataclass(frozen=True)
class Recipe:
    """How to train. Batch b of step s depends on the seed and on s alone."""

    seed: int = 7
    steps: int = 1800
    tokens_per_step: int = 4096
    short_row: int = 128
    long_row: int = 512
    warmup_steps: int = 100
    falling_share: float = 0.3
    long_share: float = 0.1
    matrix_lr: float = 3e-3
    other_lr: float = 3e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.99

    def lr_factor(self, step: int) -> float:
        """Learning rate of a step, as a share of the highest."""
        falling = self.steps * self.falling_share
        return min(1.0, (step + 1) / self.warmup_steps, (self.steps - step) / falling)

    def rounds(self, step: int) -> bool:
        """Whether this step works with 4-bit weights."""
        return step >= self.steps * (1 - self.falling_share) and step % 2 == 0

    def row(self, step: int) -> int:
        """Tokens per row: rows as long as the context come last, they are slower."""
        return self.long_row if step >= self.steps * (1 - self.long_share) else self.short_row


def write_batch(encoder: ChatEncoder, recipe: Recipe, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids (B, T), the ids that follow them (B, T), and which of those the model is to write (B, T).

    Conversations stand one after another in a row, as in one long chat; each row begins with a new one.
    """
    random = Random(f"{recipe.seed} {step}")
    length = recipe.row(step) + 1
    rows: list[list[int]] = []
    marks: list[list[bool]] = []
    for _ in range(recipe.tokens_per_step // recipe.row(step)):
        ids: list[int] = []
        written: list[bool] = []
        while len(ids) < length:
            more_ids, more_written = encoder.conversation(write_conversation(random))
            ids += more_ids
            written += more_written
        rows.append(ids[:length])
        marks.append(written[:length])
    ids_, written_ = torch.tensor(rows), torch.tensor(marks)
    return ids_[:, :-1], ids_[:, 1:], written_[:, 1:]


class Workers:
    """Threads that each compute on one core.

    A step is cut into pieces of a few rows, and a free thread takes the next piece: on a machine with other work this
    loses far less than one operation on many threads, where the slowest holds up each matrix product. Gradients are
    summed in the order of the pieces, so the threads do not change the result.
    """

    def __init__(self, model: Llama, threads: int) -> None:
        torch.set_num_threads(1)
        self._model = model
        self._parameters = list(model.parameters())
        self._pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    def _piece(self, ids: Tensor, following: Tensor, written: Tensor) -> tuple[float, tuple[Tensor, ...]]:
        with torch.autocast("cpu", torch.bfloat16):
            logits = self._model(ids, written)
        loss = F.cross_entropy(logits, following[written], reduction="sum")
        return loss.item(), torch.autograd.grad(loss, self._parameters)

    def gradients(self, ids: Tensor, following: Tensor, written: Tensor) -> float:
        """Leaves the gradient of the mean loss in the parameters; returns that loss."""
        pieces = min(PIECES, len(ids))
        count = int(written.sum())
        results = self._pool.map(self._piece, ids.chunk(pieces), following.chunk(pieces), written.chunk(pieces))
        total = 0.0
        for loss, gradients in results:
            total += loss / count
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                if parameter.grad is None:
                    parameter.grad = gradient / count
                else:
                    parameter.grad.add_(gradient, alpha=1 / count)
        return total

    def update(self, optimizers: list[torch.optim.Optimizer]) -> None:
        """One step of each optimizer."""
        list(self._pool.map(lambda optimizer: optimizer.step(), optimizers))
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)


def _optimizers(model: Llama, recipe: Recipe) -> list[torch.optim.Optimizer]:
    matrices = [layer.weight for layer in model.body()]
    others = [p for p in model.parameters() if all(p is not matrix for matrix in matrices)]
    adam = torch.optim.AdamW(others, lr=recipe.other_lr, betas=(0.9, 0.98), weight_decay=0.0)
    # Muon in several parts, so that threads share its work: every layer has the same seven matrices.
    parts = [matrices[start::MUON_PARTS] for start in range(MUON_PARTS)]
    return [adam] + [
        torch.optim.Muon(part, lr=recipe.matrix_lr, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw")
        for part in parts
    ]


def train(
    model: Llama,
    encoder: ChatEncoder,
    recipe: Recipe,
    checkpoint: Path,
    threads: int = 2,
    report_every: int = 25,
    save_every: int = 100,
) -> float:
    """Trains in place, continuing from `checkpoint` where it exists; returns the seconds spent in all."""
    optimizers = _optimizers(model, recipe)
    workers = Workers(model, threads)
    average = {name: value.clone() for name, value in model.state_dict().items()}
    first, spent_s = 0, 0.0
    if checkpoint.exists():
        state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average, first, spent_s = state["average"], state["step"], state["spent_s"]
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
    started = time.monotonic()
    for step in range(first, recipe.steps):
        for optimizer in optimizers:
            highest = recipe.matrix_lr if isinstance(optimizer, torch.optim.Muon) else recipe.other_lr
            for group in optimizer.param_groups:
                group["lr"] = highest * recipe.lr_factor(step)
        model.set_rounding(recipe.rounds(step))
        loss = workers.gradients(*write_batch(encoder, recipe, step))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        workers.update(optimizers)
        with torch.no_grad():
            for name, value in model.state_dict().items():
                average[name].lerp_(value, 1 - recipe.ema_decay)
        done, elapsed_s = step + 1, time.monotonic() - started
        if done % report_every == 0 or done == recipe.steps:
            pace = recipe.tokens_per_step * (done - first) / elapsed_s
            print(f"step {done:5d}  loss {loss:.4f}  {spent_s + elapsed_s:6.0f} s  {pace:6.0f} tokens/s", flush=True)
        if done % save_every == 0 or done == recipe.steps:
            _save(checkpoint, {
                "model": model.state_dict(), "average": average, "step": done, "spent_s": spent_s + elapsed_s,
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            })  # fmt: skip
    model.set_rounding(False)
    return spent_s + time.monotonic() - started


def _save(checkpoint: Path, state: dict[str, Any]) -> None:
    """Replaces the checkpoint at once, so that a run that is killed leaves the one before."""
    partial = checkpoint.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(checkpoint)
