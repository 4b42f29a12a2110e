"""The shaders of a bundle: which kernels have variants, and what these need of a GPU."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hearth.bundle import GPU_KERNELS, Bundle
from hearth.errors import CorruptFile

CORE = "core"
_MARK = "//@ "


@dataclass(frozen=True)
class Variants:
    """Of one kernel.

    Attributes:
        features: what each needs, as gpu_kernels.wgsl has it: `core` or features joined by `+`.
        digest: SHA-256 (hex) of all their texts.
    """

    features: tuple[str, ...]
    digest: str

    def usable(self, has: Collection[str]) -> tuple[str, ...]:
        """Those that a GPU with these features runs."""
        return tuple(each for each in self.features if each == CORE or set(each.split("+")) <= set(has))


def read_variants(bundle: Bundle) -> Mapping[str, Variants]:
    """By the kernel's name.

    Raises:
        CorruptFile: the file is none of shaders.
    """
    path = bundle.path / GPU_KERNELS
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptFile(f"{path} cannot be read: {error}.") from error
    found: dict[str, tuple[list[str], list[str]]] = {}
    for part in ("\n" + text).split("\n" + _MARK)[1:]:
        head, _, body = part.partition("\n")
        words = head.split(" ")
        if len(words) != 3:
            raise CorruptFile(f"{path} has a line that begins no shader: {head[:80]}.")
        name, _, features = words
        found.setdefault(name, ([], []))[0].append(features)
        found[name][1].append(body)
    return {
        name: Variants(tuple(features), hashlib.sha256("\0".join(bodies).encode()).hexdigest())
        for name, (features, bodies) in found.items()
    }
