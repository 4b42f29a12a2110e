"""Runs one WGSL kernel on this machine's software adapter (lavapipe), through `wgpu`, and answers its buffers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

_MOST_GROUPS = 32768


@cache
def device() -> Any:
    """A device of the software adapter with what it has of f16 and subgroups; the test skips where there is none."""
    wgpu = pytest.importorskip("wgpu", reason="needs the package wgpu")
    adapters = [a for a in wgpu.gpu.enumerate_adapters_sync() if a.info["backend_type"] == "Vulkan"]
    software = [a for a in adapters if a.info["adapter_type"] == "CPU"]
    if not software:
        pytest.skip("needs a software Vulkan adapter (Debian: mesa-vulkan-drivers)")
    (adapter, *_) = software
    wanted = [f for f in ("shader-f16", "subgroup") if f in adapter.features]
    return adapter.request_device_sync(required_features=wanted)


def require(features: Any) -> None:
    """Skips the test where the software adapter cannot run kernels that need these `Features`."""
    for wanted, name in ((features.f16, "shader-f16"), (features.subgroups, "subgroup")):
        if wanted and name not in device().features:
            pytest.skip(f"needs an adapter with {name}")


@cache
def _pipeline(code: str, name: str) -> Any:
    gpu = device()
    shader = gpu.create_shader_module(code=code)
    return gpu.create_compute_pipeline(layout="auto", compute={"module": shader, "entry_point": name})


def run_kernel(kernel: Any, buffers: Sequence[NDArray[Any]], scalars: Sequence[int], units: int) -> list[NDArray[Any]]:
    """Dispatches a `GpuKernel` as executors of plans do; all buffers as they are afterwards, of the types given.

    Args:
        buffers: in the order of the kernel's.
    """
    import wgpu

    from hearth.compiler.gpu.wgsl import wgsl

    assert (len(buffers), len(scalars)) == (kernel.num_buffers, kernel.num_scalars)
    gpu = device()
    pipeline = _pipeline(wgsl(kernel), kernel.name)
    usage = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC | wgpu.BufferUsage.COPY_DST
    memory = []
    for array in buffers:
        data = np.ascontiguousarray(array).tobytes()
        memory.append(gpu.create_buffer_with_data(data=data + bytes(-len(data) % 16 or 16 * (not data)), usage=usage))
    numbers = struct.pack(f"<{len(scalars) + 1}i", *scalars, units)
    uniform = gpu.create_buffer_with_data(data=numbers.ljust(256, b"\0"), usage=wgpu.BufferUsage.UNIFORM)
    entries = [
        {"binding": i, "resource": {"buffer": b, "offset": 0, "size": b.size}} for i, b in enumerate([*memory, uniform])
    ]
    group = gpu.create_bind_group(layout=pipeline.get_bind_group_layout(0), entries=entries)
    encoder = gpu.create_command_encoder()
    work = encoder.begin_compute_pass()
    work.set_pipeline(pipeline)
    work.set_bind_group(0, group)
    x = min(units, _MOST_GROUPS)
    work.dispatch_workgroups(x, 1, -(-units // x))
    work.end()
    gpu.queue.submit([encoder.finish()])
    return [
        np.frombuffer(gpu.queue.read_buffer(b), array.dtype)[: array.size].reshape(array.shape).copy()
        for b, array in zip(memory, buffers, strict=True)
    ]
