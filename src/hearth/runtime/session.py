"""A session: a thread team, a workspace and states, in which functions of a model run."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hearth.errors import UsageError
from hearth.runtime import binding
from hearth.runtime.info import DTYPES, FunctionInfo, TensorInfo
from hearth.runtime.model import Model, ModelHandle
from hearth.runtime.threads import default_threads


@dataclass(frozen=True)
class StepProfile:
    """How long one step of the plan took.

    Attributes:
        function: that it belongs to.
        label: the compiler's name for the step.
        kernel: the kernel it runs.
        calls: runs in which it had something to do.
        time_ns: in total.
    """

    function: str
    label: str
    kernel: str
    calls: int
    time_ns: int


@dataclass(frozen=True)
class Counters:
    """What the last call of a session had a GPU do, and the GPU's memory; all 0 on the processor.

    Attributes:
        dispatches: steps that ran.
        passes, submits: compute passes, and how often commands were handed over.
        writes: from this program's memory to the GPU's.
        objects: made on the GPU beside a command encoder, its passes and a command buffer.
        written_bytes, read_bytes: what went over and came back.
        planned_bytes: memory of the model and this session, as the plan has it.
        allocated_bytes: of all buffers that were made for them.
        encode_ns: from the first write to the submit.
    """

    dispatches: int
    passes: int
    submits: int
    writes: int
    objects: int
    written_bytes: int
    read_bytes: int
    planned_bytes: int
    allocated_bytes: int
    encode_ns: int


class SessionHandle:
    """A `hearth_session`, given back when the session is closed and no view of its memory is left."""

    def __init__(self, owner: ModelHandle, pointer: ctypes.c_void_p) -> None:
        self.library = owner.library
        self.pointer = pointer
        # Refers to the model's handle, so that model and library outlive the session.
        weakref.finalize(self, _free, owner, pointer.value, os.getpid()).atexit = False


class Session:
    """Runs functions of `model`, one at a time.

    Args:
        sizes: how many units the model's states have, by the symbol that counts them (`StateInfo.unit`); a model
            without states needs none. Memory is taken as units are written.
        threads: threads that compute; the physical cores this process may use by default.

    Raises:
        NotEnoughMemory: the session's memory cannot be had.
        UsageError: a number is out of range, a size is missing or not known.
        DeviceError: the GPU has too little memory, was lost or refuses the plan.
    """

    def __init__(self, model: Model, sizes: Mapping[str, int] | None = None, *, threads: int | None = None) -> None:
        self.model = model
        self.threads = default_threads() if threads is None else threads
        if self.threads < 1:
            raise UsageError(f"threads is {self.threads}, but must be at least 1.")
        self._sizes = dict(sizes or {})
        self._written: dict[tuple[str, int], NDArray[Any]] = {}  # what a GPU may lose
        self._handle: SessionHandle | None = self._made()
        model.add_session(self)

    def _made(self) -> SessionHandle:
        """A session of the C API, with zeros for states."""
        owner, sizes = self.model.handle(), self._sizes
        pointer = ctypes.c_void_p()
        for name, value in sizes.items():
            if not -(1 << 63) <= value < 1 << 63:
                raise UsageError(f"{name} is {value}, which is no size.")
        given = (binding.Size * len(sizes))(*(binding.Size(name.encode(), value) for name, value in sizes.items()))
        options = binding.SessionOptions(threads=self.threads, sizes=given, num_sizes=len(sizes))
        status = owner.library.hearth_session_create(owner.pointer, ctypes.byref(options), ctypes.byref(pointer))
        wanted = ", ".join(f"{name} = {value}" for name, value in sizes.items())
        binding.check(owner.library, status, f"A session with {wanted or 'no sizes'} cannot be made.")
        return SessionHandle(owner, pointer)

    @property
    def closed(self) -> bool:
        """Whether the session, or its model, was closed."""
        return self._handle is None

    @property
    def size_bytes(self) -> int:
        """Memory asked of the system. States take real memory only once they are written."""
        handle = self.open_handle()
        return int(handle.library.hearth_session_bytes(handle.pointer))

    def run(self, function: str, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        """Runs a function of the model.

        Args:
            function: its name, one of `ModelInfo.functions` without a door.
            inputs: an array for each of its inputs. Arrays of the declared type in C order are used as they are; others
                are converted where no value changes its kind.

        Returns:
            Its outputs by name: views into the session's memory, overwritten by its next run. Copy what must stay.

        Raises:
            UsageError: a name, shape, type or value is wrong; nothing was computed.
        """
        handle = self.open_handle()
        declared = _function(self.model.info.functions, function)
        arrays = {name: _converted(declared, name, values) for name, values in inputs.items()}
        given = (binding.Tensor * len(arrays))(*(_tensor(name, array) for name, array in arrays.items()))
        outputs = (binding.Tensor * len(declared.outputs))()
        status = handle.library.hearth_run(
            handle.pointer, function.encode(), given, len(arrays), outputs, len(declared.outputs)
        )
        binding.check(handle.library, status, f"{function} cannot be run.")
        return {name: _view(handle, tensor) for name, tensor in zip(declared.outputs, outputs, strict=True)}

    def clear_states(self) -> None:
        """Writes zeros to all states, so that all of them are in memory: to measure decoding behind a context that was
        never computed."""
        handle = self.open_handle()
        handle.library.hearth_session_clear_states(handle.pointer)

    def write(self, state: str, first: int, units: NDArray[Any]) -> None:
        """Writes units of a state, from number `first` on.

        Args:
            state: its name, one of `ModelInfo.states`.
            units: (n, numbers of a unit), in one piece.

        Raises:
            UsageError: there is no such state, it has fewer units, or they are of another size.
        """
        handle = self.open_handle()
        size = next((each.unit_bytes for each in self.model.info.states if each.name == state), None)
        if size is None or units.ndim != 2 or not units.flags.c_contiguous or units[:1].nbytes not in (0, size):
            raise UsageError(f"{units.dtype} {units.shape} is nothing that the state {state!r} has.")
        status = handle.library.hearth_session_write(
            handle.pointer, state.encode(), first, units.shape[0], address(units)
        )
        binding.check(handle.library, status, f"{state} cannot be written.")
        if self.model.info.device.kind != "cpu":
            self._written[state, first] = units

    def write_again(self) -> None:
        """What was written, into states that are new since a GPU was lost."""
        for (state, first), units in list(self._written.items()):
            self.write(state, first, units)

    def profile(self, enable: bool) -> None:
        """Switches the timing of steps on, from zero, or off."""
        handle = self.open_handle()
        handle.library.hearth_profile(handle.pointer, int(enable))

    def read_profile(self) -> Sequence[StepProfile]:
        """The times of all steps, in the order of the plan."""
        handle = self.open_handle()
        steps = []
        record = binding.StepProfileRecord()
        for index in range(self.model.info.num_steps):
            status = handle.library.hearth_profile_read(handle.pointer, index, ctypes.byref(record))
            binding.check(handle.library, status, "The profile cannot be read.")
            names = (record.function.decode(), record.label.decode(), record.kernel.decode())
            steps.append(StepProfile(*names, record.calls, record.time_ns))
        return steps

    def read_counters(self) -> Counters:
        """What the last call had a GPU do."""
        handle = self.open_handle()
        counters = binding.Counters()
        status = handle.library.hearth_read_counters(handle.pointer, ctypes.byref(counters))
        binding.check(handle.library, status, "The counters cannot be read.")
        return Counters(**{each.name: getattr(counters, each.name) for each in fields(Counters)})

    def close(self) -> None:
        """Ends the threads and gives the memory back, once no view that a run gave out is left."""
        self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open_handle(self) -> SessionHandle:
        """The session as the C API knows it, for this room.

        Raises:
            UsageError: the session is closed.
        """
        if self._handle is None:
            raise UsageError("The session is closed.")
        return self._handle


class _Borrowed:
    """Memory of a session, for numpy: an array made of it keeps that memory from being given back."""

    def __init__(
        self, handle: SessionHandle, data: int, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        self._handle = handle
        self.__array_interface__ = {
            "version": 3,
            "data": (data, True),  # read-only
            "shape": shape,
            "strides": strides,
            "typestr": dtype.str,
        }


def borrowed(
    handle: SessionHandle, data: int, dtype: np.dtype[Any], shape: tuple[int, ...], row_stride: int
) -> NDArray[Any]:
    """Memory of a session as an array that cannot be written; its rows begin `row_stride` elements apart."""
    strides = [dtype.itemsize]
    for size in (row_stride, *shape[-2:0:-1])[: len(shape) - 1]:
        strides.insert(0, strides[0] * size)
    return np.asarray(_Borrowed(handle, data, dtype, shape, tuple(strides[len(strides) - len(shape) :])))


def _view(handle: SessionHandle, tensor: binding.Tensor) -> NDArray[Any]:
    dtype = DTYPES[binding.DTYPES[tensor.dtype]]
    return borrowed(handle, tensor.data, dtype, tuple(tensor.shape[: tensor.rank]), tensor.row_stride)


def _function(functions: Mapping[str, FunctionInfo], name: str) -> FunctionInfo:
    if name not in functions:
        raise UsageError(f"The model has no function {name}.", why=f"It has: {', '.join(functions)}.")
    return functions[name]


def _converted(function: FunctionInfo, name: str, values: ArrayLike) -> NDArray[Any]:
    """`values` as the function takes them."""
    array = np.asarray(values)
    declared = function.inputs.get(name)
    if declared is None:
        known = ", ".join(function.inputs)
        raise UsageError(f"{function.name} has no input {name}.", why=f"Its inputs: {known or 'none'}.")
    if array.ndim != len(declared.shape):
        axes = ", ".join(map(str, declared.shape))
        raise UsageError(f"{name} must have {len(declared.shape)} axes ({axes}), not {array.ndim}.")
    return np.asarray(as_dtype(array, declared), order="C")


def as_dtype(array: NDArray[Any], declared: TensorInfo) -> NDArray[Any]:
    """Raises UsageError where a number would become another kind of number, or leave its range."""
    dtype = DTYPES[declared.dtype]
    if array.dtype == dtype or array.size == 0:
        return array.astype(dtype, copy=False)
    if dtype.kind == "f":
        if array.dtype.kind not in "fiu":
            raise UsageError(f"{declared.name} must be numbers, not {array.dtype}.")
        return array.astype(dtype)
    if array.dtype.kind not in "iu":
        raise UsageError(f"{declared.name} must be integers, not {array.dtype}.")
    limits = np.iinfo(dtype)
    if array.min() < limits.min or array.max() > limits.max:
        raise UsageError(f"{declared.name} has a number that leaves {limits.bits} bits.")
    return array.astype(dtype)


def _tensor(name: str, array: NDArray[Any]) -> binding.Tensor:
    shape = (ctypes.c_int64 * binding.MAX_AXES)(*array.shape)
    dtype = binding.DTYPES.index(next(each for each, known in DTYPES.items() if known == array.dtype))
    return binding.Tensor(name=name.encode(), data=address(array), dtype=dtype, rank=array.ndim, shape=shape)


def address(array: NDArray[Any]) -> int:
    """As `array.ctypes.data`, in a quarter of its time."""
    address: int = array.__array_interface__["data"][0]
    return address


def _free(owner: ModelHandle, pointer: int | None, process: int) -> None:
    # A forked process has the memory but none of the threads, which freeing waits for.
    if os.getpid() == process:
        owner.library.hearth_session_free(pointer)
