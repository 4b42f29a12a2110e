"""What an adapter may have beyond the core of WebGPU, and which a shader needs.

The core is what every WebGPU device has: f32, 8 storage buffers a stage, 16 KiB of workgroup memory, 256 invocations a
workgroup, 128 MiB a binding, 65,535 workgroups an axis.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_INVOCATIONS = 256
MAX_WORKGROUP_BYTES = 16 << 10
MAX_STORAGE_BUFFERS = 8
MAX_BINDING_BYTES = 128 << 20
BINDING_ALIGNMENT = 256
"""Offsets of bound ranges are multiples of this."""


@dataclass(frozen=True, order=True)
class Features:
    """What a shader needs.

    Attributes:
        f16: half precision in shaders (`shader-f16`).
        subgroups: sums and shuffles within a subgroup (`subgroups`).
        dot4: dot products of four packed bytes (`packed_4x8_integer_dot_product`).
    """

    f16: bool = False
    subgroups: bool = False
    dot4: bool = False

    @property
    def name(self) -> str:
        """As gpu_kernels.wgsl has it: `core`, or what is needed, joined by `+`."""
        names = [name for name in ("f16", "subgroups", "dot4") if getattr(self, name)]
        return "+".join(names) or "core"


CORE = Features()
