"""What a bundle's plan says about itself: its functions, their inputs and outputs, its symbols and states."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

DTYPES: Mapping[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "i32": np.dtype(np.int32),
    "u8": np.dtype(np.uint8),
    "i8": np.dtype(np.int8),
    "f16": np.dtype(np.float16),
}
"""numpy's types by the names that plans have for them."""

_ALIGNMENT = 64


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a function.

    Attributes:
        name: by which it is given or answered.
        dtype: `f32`, `i32`, `u8`, `i8` or `f16`.
        shape: a number for each axis, or an expression over symbols as Python writes it (`tokens`, `(n + 15) // 16`).
        most: the largest number of each axis.
        low, high: between which the values of an input must lie, both included, as in `shape`; None: any.
        ascending: whether its values run from `low` to `high` and never fall.
        lent: whether it is read where the caller has it, not copied.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    most: tuple[int, ...]
    low: int | str | None = None
    high: int | str | None = None
    ascending: bool = False
    lent: bool = False

    @property
    def most_bytes(self) -> int:
        """Memory at its largest size."""
        return math.prod(self.most) * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class FunctionInfo:
    """A function of the model.

    Attributes:
        name: by which it is run.
        door: "" for what `Session.run` takes; "text" for what `TextSession.forward` runs.
        inputs, outputs: by name, in the plan's order.
    """

    name: str
    door: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]

    @property
    def most_input_bytes(self) -> int:
        """Memory for all inputs at their largest size, but for those that are lent."""
        return sum(round_up(tensor.most_bytes) for tensor in self.inputs.values() if not tensor.lent)


@dataclass(frozen=True)
class StateInfo:
    """Memory that outlives a call.

    Attributes:
        name: of the region.
        unit: the symbol that counts its units, whose number is said when a session is made.
        unit_bytes: memory for one unit.
    """

    name: str
    unit: str
    unit_bytes: int


_BACKENDS = {"vulkan": "Vulkan", "metal": "Metal", "d3d12": "Direct3D 12", "opengl": "OpenGL"}


@dataclass(frozen=True)
class GpuInfo:
    """A GPU, as its driver describes it.

    Attributes:
        index: N in the device `gpu:N`.
        name, driver: the driver's words.
        type: `discrete`, `integrated`, `cpu` (a program that plays a GPU) or `other`.
        backend: `vulkan`, `metal`, `d3d12` or `opengl`.
        vendor_id, device_id: of PCI.
        features: of `f16`, `subgroups`, `dot4`.
        timestamps: whether the steps of a plan can be timed.
        limits: `buffer_bytes`, `binding_bytes`, `storage_buffers`, `workgroup_bytes`, `invocations`, `workgroups`.
    """

    index: int
    name: str
    type: str
    backend: str
    driver: str
    vendor_id: int
    device_id: int
    features: tuple[str, ...]
    timestamps: bool
    limits: Mapping[str, int]

    @property
    def label(self) -> str:
        """Name and interface, for people."""
        return f"{self.name} ({_BACKENDS.get(self.backend, self.backend)})"

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> GpuInfo:
        """One of the objects that `hearth_devices` lists."""
        return cls(**dict(described, features=tuple(described["features"])))


@dataclass(frozen=True)
class DeviceInfo:
    """What a model runs on.

    Attributes:
        kind: `cpu` or `gpu`.
        gpu: None on the processor.
        variants: what kernels of a GPU use beyond the core, of those that do.
    """

    kind: str
    gpu: GpuInfo | None = None
    variants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> DeviceInfo:
        """What `hearth_describe` says of the device."""
        gpu = GpuInfo.of(described["adapter"]) if "adapter" in described else None
        variants = {kernel: tuple(features) for kernel, features in described.get("variants", {}).items()}
        return cls(described["kind"], gpu, variants)


@dataclass(frozen=True)
class LayersInfo:
    """Which layers of a language model are open.

    Attributes:
        count: that the model has; 0 where its plan says of none.
        first, end: those that are open, without `end`.
        columns: of what goes from one part of the layers to the next; 0 where all are open.
    """

    count: int
    first: int
    end: int
    columns: int


@dataclass(frozen=True)
class ModelInfo:
    """What a bundle's plan says about itself. Of a model that was opened for some of its layers, `states` and
    `weights_bytes` are those of these.

    Attributes:
        functions: by name.
        symbols: sizes that may differ from call to call: the lowest and the highest value of each.
        states: what outlives a call.
        layers: which of a language model are open.
        weights_bytes: memory for the weights.
        arena_bytes: memory for intermediate results, for each session.
        scratch_bytes_per_thread: more of it, for each thread of a session.
        num_steps, num_kernels, num_weights: lengths of the plan's tables.
        isa: the instruction set whose kernels are in use; `wgsl` on a GPU.
        isas: those that the bundle has kernels for, best first.
        device: what the model runs on.
        abi_version: version of the C API in the bundle's library.
    """

    functions: Mapping[str, FunctionInfo]
    symbols: Mapping[str, tuple[int, int]]
    states: tuple[StateInfo, ...]
    layers: LayersInfo
    weights_bytes: int
    arena_bytes: int
    scratch_bytes_per_thread: int
    num_steps: int
    num_kernels: int
    num_weights: int
    isa: str
    isas: tuple[str, ...]
    device: DeviceInfo
    abi_version: int

    @classmethod
    def from_json(cls, text: str | bytes) -> ModelInfo:
        """Reads what `hearth_describe` says."""
        described = json.loads(text)
        described["functions"] = {function["name"]: _function(function) for function in described["functions"]}
        described["symbols"] = {name: tuple(bounds) for name, bounds in described["symbols"].items()}
        described["states"] = tuple(StateInfo(**state) for state in described["states"])
        described["layers"] = LayersInfo(**described["layers"])
        described["isas"] = tuple(described["isas"])
        described["device"] = DeviceInfo.of(described["device"])
        return cls(**{each.name: described[each.name] for each in fields(cls)})

    def unit_bytes(self, symbol: str) -> int:
        """Memory for one more unit of all states that `symbol` counts."""
        return sum(state.unit_bytes for state in self.states if state.unit == symbol)

    def session_bytes(self, sizes: Mapping[str, int], threads: int) -> int:
        """Memory that a session of `sizes` needs beside the weights once all its states are in use, at most."""
        states = sum(state.unit_bytes * sizes.get(state.unit, self.symbols[state.unit][0]) for state in self.states)
        inputs = max(function.most_input_bytes for function in self.functions.values())
        return self.fixed_bytes(threads) + states + inputs

    def fixed_bytes(self, threads: int) -> int:
        """Of that, what depends neither on sizes nor on inputs."""
        return self.arena_bytes + self.scratch_bytes_per_thread * threads + _ALIGNMENT * (len(self.states) + 1)


def round_up(size_bytes: int) -> int:
    """To the line of a cache, where the runtime lets every input begin."""
    return -(-size_bytes // _ALIGNMENT) * _ALIGNMENT


def _function(described: dict[str, Any]) -> FunctionInfo:
    inputs, outputs = (
        {each["name"]: TensorInfo(**each | {name: tuple(each[name]) for name in ("shape", "most")}) for each in table}
        for table in (described["inputs"], described["outputs"])
    )
    return FunctionInfo(described["name"], described["door"], inputs, outputs)
