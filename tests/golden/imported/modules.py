"""Modules of our own: operators that no small model has, or that importers get wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .making import Made, coarse, image, masked


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


class Sampled(torch.nn.Module):
    """A map at places of a grid, with four pixels along each axis for each of them, also beyond its edges."""

    def forward(self, x: torch.Tensor, grid: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(
            torch.nn.functional.grid_sample(x, grid, mode="bicubic", padding_mode=padding, align_corners=corners)
            for padding in ("zeros", "border", "reflection")
            for corners in (False, True)
        )


def sampled() -> Made:
    return Sampled(), (image(6, 7, 2), torch.rand(1, 3, 9, 2) * 5 - 2.5)


class Boxes(torch.nn.Module):
    """How torchvision's detectors end: the boxes that are kept, by their numbers, and what is told of the first."""

    def forward(self, boxes: torch.Tensor, scores: torch.Tensor, sure: torch.Tensor) -> tuple[torch.Tensor, ...]:
        kept = torch.ops.torchvision.nms(boxes, scores, 0.3)
        found = torch.cat([boxes[kept], scores[kept].unsqueeze(1)], 1)
        return found, kept, found.sum(0), found[:5], torch.nonzero(sure > 0.5)


def boxes() -> Made:
    """torchvision is not needed: of its operators only this one, and of that only what it is called."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", _nms, "CPU")
    torch.library.register_fake("torchvision::nms", _any_number, lib=library)
    Boxes.library = library  # as long as it is exported
    corners = torch.rand(40, 2) * 5
    sizes = torch.rand(40, 2) * 2 + 0.2
    return Boxes(), (torch.cat([corners, corners + sizes], 1), (torch.rand(40) * 9).round() / 9, torch.rand(6, 3))


def _nms(boxes: torch.Tensor, scores: torch.Tensor, most: float) -> torch.Tensor:
    def overlap(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        inner = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0).prod()
        return inner / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inner)

    left, kept = scores.argsort(descending=True, stable=True).tolist(), []
    while left:
        best, *left = left
        kept.append(best)
        left = [i for i in left if not overlap(boxes[best], boxes[i]) > most]
    return torch.tensor(kept)


def _any_number(boxes: torch.Tensor, scores: torch.Tensor, most: float) -> torch.Tensor:
    return boxes.new_empty([torch.library.get_ctx().new_dynamic_size()], dtype=torch.long)


RECIPES: dict[str, Callable[[], Made]] = {
    "functions": functions,
    "mobile": mobile,
    "recurrent": recurrent,
    "indices": indices,
    "resizes": resizes,
    "sampled": sampled,
    "boxes": boxes,
}
