"""EfficientNet and EfficientNet-Lite under other names than transformers': torchvision's, and the port of TensorFlow's.

What scales with a model is its width, its depth and its pictures; what differs between libraries is where a map of odd
and even sizes is padded, and the little that Lite leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hearth.model.tensors import Places, Rules
from hearth.model.vision.families.mobile import on_the_mean
from hearth.model.vision.families.resnet import COUNTERS
from hearth.model.vision.mobile import EfficientNet, EfficientNetConfig, InvertedConfig, eighths
from hearth.model.vision.model import Described, Family, Source
from hearth.model.vision.names import Naming
from hearth.model.vision.reading import picture_size

# Repeats, kernel, stride, how much wider inside, channels: of the smallest model.
_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip
_STEM, _TOP = 32, 1280


@dataclass(frozen=True)
class Scaling:
    """One model of the line.

    Attributes:
        lite: stem, top, first and last stage are as in the smallest model; no squeeze and excitation; ReLU6.
        same: a map is padded as TensorFlow does it: to the ceiling of its size / stride, what is odd at the lower
            right.
    """

    width: float
    depth: float
    eps: float
    lite: bool = False
    same: bool = False

    def repeats(self, stage: int) -> int:
        count = _STAGES[stage][0]
        return count if self.lite and stage in (0, len(_STAGES) - 1) else math.ceil(count * self.depth)

    def wide(self, channels: int, *, end: bool = False) -> int:
        return channels if self.lite and end else eighths(channels * self.width)

    def padding(self, size: tuple[int, int], kernel: int, stride: int) -> tuple[int, int, int, int] | None:
        """Top, left, bottom, right around a map of a size; None: half the kernel on each side."""
        if not self.same or stride == 1:
            return None
        whole = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in size]
        top, left = (each // 2 for each in whole)
        return top, left, whole[0] - top, whole[1] - left

    def config(self, size: tuple[int, int]) -> EfficientNetConfig:
        blocks: list[InvertedConfig] = []
        stem_padding = self.padding(size, 3, 2)
        channels, at = self.wide(_STEM, end=True), _strided(size, 2)
        for stage, (_, kernel, stride, expand, out) in enumerate(_STAGES):
            for j in range(self.repeats(stage)):
                step, after = 1 if j else stride, self.wide(out)
                squeeze = None if self.lite else max(1, channels // 4)
                blocks.append(
                    InvertedConfig(
                        channels, after, channels * expand, kernel, step, expands=expand != 1,
                        residual=step == 1 and channels == after, squeeze=squeeze,
                        padding=self.padding(at, kernel, step),
                    )
                )  # fmt: skip
                channels, at = after, _strided(at, step)
        return EfficientNetConfig(
            stem=self.wide(_STEM, end=True),
            blocks=tuple(blocks),
            top=self.wide(_TOP, end=True),
            activation="relu6" if self.lite else "silu",
            eps=self.eps,
            stem_padding=stem_padding,
        )

    def family(self, naming: Naming) -> Family:
        def describe(source: Source) -> Described:
            size = picture_size(source, (32, 32))
            config = self.config(size)
            return on_the_mean(source, size, config.top, lambda scope: EfficientNet(scope, config))

        return Family("efficientnet", (), describe, (naming,))

    def blocks(self) -> Sequence[tuple[int, int, bool]]:
        """Stage, number in it, and whether there is a first convolution, of every block."""
        return [(i, j, stage[3] != 1) for i, stage in enumerate(_STAGES) for j in range(self.repeats(i))]


def _strided(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-size[0] // stride), -(-size[1] // stride)


def torchvision_naming(scaling: Scaling) -> Naming:
    rules: dict[str, str] = {"head": "classifier.1", "stem.conv": "features.0.0", "stem.norm": "features.0.1"}
    for number, (stage, j, expands) in enumerate(scaling.blocks()):
        block = f"features.{stage + 1}.{j}.block."
        parts = ("expand", "depthwise", "squeeze", "reduce") if expands else ("depthwise", "squeeze", "reduce")
        for k, part in enumerate(parts):
            inner = ("fc1", "fc2") if part == "squeeze" else ("0", "1")
            for own, theirs in zip(("reduce", "expand") if part == "squeeze" else ("conv", "norm"), inner, strict=True):
                rules[f"blocks.{number}.{part}.{own}"] = f"{block}{k}.{theirs}"
    last = len(_STAGES) + 1
    rules |= {"top.conv": f"features.{last}.0", "top.norm": f"features.{last}.1"}
    return Naming(rules, marker="features.1.0.block.0.0.weight", places=Places(ignored=COUNTERS))


_LITE: Rules = {
    "stem.conv": "_conv_stem",
    "stem.norm": "_bn0",
    "blocks.N.expand.conv": "_blocks.{N}._expand_conv",
    "blocks.N.expand.norm": "_blocks.{N}._bn0",
    "blocks.N.depthwise.conv": "_blocks.{N}._depthwise_conv",
    "blocks.N.depthwise.norm": "_blocks.{N}._bn1",
    "blocks.N.reduce.conv": "_blocks.{N}._project_conv",
    "blocks.N.reduce.norm": "_blocks.{N}._bn2",
    "top.conv": "_conv_head",
    "top.norm": "_bn1",
    "head": "_fc",
}


PORTED = Naming(_LITE, marker="_conv_stem.weight", places=Places(ignored=COUNTERS))
"""Of the ports of TensorFlow's Lite models."""
