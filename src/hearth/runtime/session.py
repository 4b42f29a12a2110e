"""A session: a thread team, a workspace and a KV cache in pages, in which forwards of a model run."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hearth.errors import UsageError
from hearth.runtime import binding
from hearth.runtime.model import Model, ModelHandle, ModelInfo
from hearth.runtime.threads import default_threads

_INT32 = np.iinfo(np.int32)
_I32: np.dtype[Any] = np.dtype(np.int32)
_F32: np.dtype[Any] = np.dtype(np.float32)


class ForwardResult:
    """What a forward computed: views into the session's memory, overwritten by its next forward. Copy what must stay.

    A view is made when it is asked for: a decode step needs few, and making one costs as much as a small kernel.
    It has no rows when the plan does not give that output (`ModelInfo.outputs`).
    """

    def __init__(self, handle: SessionHandle, output: binding.Output) -> None:
        self._handle, self._output = handle, output

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """float32 (rows, vocab_size), one row for each of `logit_rows`."""
        return _array(self._handle, self._output.logits, _F32)

    @cached_property
    def argmax(self) -> NDArray[np.int32]:
        """int32 (rows,), the token of the largest logit."""
        return _array(self._handle, self._output.argmax, _I32).reshape(-1)

    @cached_property
    def hidden(self) -> NDArray[np.float32]:
        """float32 (tokens, hidden_size), after the final norm."""
        return _array(self._handle, self._output.hidden, _F32)


@dataclass(frozen=True)
class StepProfile:
    """How long one step of the plan took.

    Attributes:
        label: the compiler's name for the step.
        kernel: the kernel it runs.
        calls: forwards in which it had something to do.
        time_ns: in total.
    """

    label: str
    kernel: str
    calls: int
    time_ns: int


class SessionHandle:
    """A `hearth_session`, given back when the session is closed and no view of its memory is left."""

    def __init__(self, owner: ModelHandle, pointer: ctypes.c_void_p) -> None:
        self.library = owner.library
        self.pointer = pointer
        # Refers to the model's handle, so that model and library outlive the session.
        weakref.finalize(self, _free, owner, pointer.value, os.getpid()).atexit = False


class Session:
    """Runs forwards of `model`, one at a time.

    Args:
        num_pages: pages of the KV cache; `ModelInfo.page_tokens` positions each. Memory is taken as pages are written.
        threads: threads that compute; the physical cores this process may use by default.

    Raises:
        NotEnoughMemory: the session's memory cannot be had.
        UsageError: a number is out of range.
    """

    def __init__(self, model: Model, *, num_pages: int, threads: int | None = None) -> None:
        self.model = model
        self.num_pages = num_pages
        self.threads = default_threads() if threads is None else threads
        if self.threads < 1:
            raise UsageError(f"threads is {self.threads}, but must be at least 1.")
        if num_pages < 1:
            raise UsageError(f"num_pages is {num_pages}, but must be at least 1.")
        owner = model.handle()
        pointer = ctypes.c_void_p()
        options = binding.SessionOptions(threads=self.threads, num_pages=num_pages)
        status = owner.library.hearth_session_create(owner.pointer, ctypes.byref(options), ctypes.byref(pointer))
        binding.check(owner.library, status, f"A session with {num_pages} pages of KV cache cannot be made.")
        self._handle: SessionHandle | None = SessionHandle(owner, pointer)
        model.add_session(self)

    @property
    def closed(self) -> bool:
        """Whether the session, or its model, was closed."""
        return self._handle is None

    @property
    def size_bytes(self) -> int:
        """Memory asked of the system. Pages of the KV cache take real memory only once they are written."""
        handle = self._open_handle()
        return int(handle.library.hearth_session_bytes(handle.pointer))

    @property
    def info(self) -> ModelInfo:
        """Sizes and limits of the model."""
        return self.model.info

    def forward(
        self,
        token_ids: ArrayLike,
        positions: ArrayLike,
        token_seq: ArrayLike,
        block_table: ArrayLike,
        logit_rows: ArrayLike = (),
    ) -> ForwardResult:
        """Runs the model over a batch of tokens of any mixture of sequences.

        int32 arrays in C order are used as they are; everything else is converted.

        Args:
            token_ids: (n,) tokens.
            positions: (n,) the position of each in its sequence.
            token_seq: (n,) the row of `block_table` that each belongs to. Tokens of one sequence stand together and
                their positions ascend by 1.
            block_table: (sequences, columns) pages of each sequence in the order of its positions; -1 where none is
                needed.
            logit_rows: (rows,) indices of the tokens whose logits are wanted.

        Raises:
            UsageError: a number is out of range; nothing was computed.
        """
        handle = self._open_handle()
        ids = _int32(token_ids, "token_ids", 1)
        where = _int32(positions, "positions", 1)
        seqs = _int32(token_seq, "token_seq", 1)
        table = _int32(block_table, "block_table", 2)
        rows = _int32(logit_rows, "logit_rows", 1)
        if not ids.size == where.size == seqs.size:
            raise UsageError(
                "token_ids, positions and token_seq must have one entry a token.",
                why=f"They have {ids.size}, {where.size} and {seqs.size}.",
            )
        batch = binding.Batch(
            num_tokens=ids.size,
            num_seqs=table.shape[0],
            num_logit_rows=rows.size,
            block_table_stride=table.shape[1],
            token_ids=_address(ids),
            positions=_address(where),
            token_seq=_address(seqs),
            block_table=_address(table),
            logit_rows=_address(rows),
        )
        output = binding.Output()
        status = handle.library.hearth_forward(handle.pointer, ctypes.byref(batch), ctypes.byref(output))
        binding.check(handle.library, status, "The batch cannot be run.")
        return ForwardResult(handle, output)

    def apply_mask(self, logits: NDArray[np.float32], mask: NDArray[np.int32], out: NDArray[np.float32]) -> None:
        """Writes a row of logits to `out` with minus infinity in the place of every token that may not come.

        Args:
            logits: float32 (vocab_size,), in one piece.
            mask: int32 (ceil(vocab_size / 32),); bit t % 32 of word t // 32 says whether token t may come.
            out: float32 (vocab_size,), overwritten; may be `logits` itself if that can be written.

        Raises:
            UsageError: an array has another shape or type, or is not in one piece.
        """
        handle = self._open_handle()
        count = logits.size
        words = -(-count // 32)
        for name, array, dtype, size in (
            ("logits", logits, _F32, count),
            ("mask", mask, _I32, words),
            ("out", out, _F32, count),
        ):
            if array.dtype != dtype or array.shape != (size,) or not array.flags.c_contiguous:
                raise UsageError(
                    f"{name} must be {dtype} ({size},), in one piece, not {array.dtype} {array.shape}.",
                    why=f"There are {count} logits, and a word of the mask has 32 tokens.",
                )
        if not out.flags.writeable:
            raise UsageError("out cannot be written.")
        status = handle.library.hearth_apply_mask(_address(logits), _address(mask), count, _address(out))
        binding.check(handle.library, status, "The mask cannot be applied.")

    def clear_kv(self) -> None:
        """Writes zeros to the whole KV cache, so that all of it is in memory: to measure decoding behind a context that
        was never computed."""
        handle = self._open_handle()
        handle.library.hearth_session_clear_kv(handle.pointer)

    def profile(self, enable: bool) -> None:
        """Switches the timing of steps on, from zero, or off."""
        handle = self._open_handle()
        handle.library.hearth_profile(handle.pointer, int(enable))

    def read_profile(self) -> Sequence[StepProfile]:
        """The times of all steps, in the order of the plan."""
        handle = self._open_handle()
        steps = []
        record = binding.StepProfileRecord()
        for index in range(self.model.info.num_steps):
            status = handle.library.hearth_profile_read(handle.pointer, index, ctypes.byref(record))
            binding.check(handle.library, status, "The profile cannot be read.")
            steps.append(StepProfile(record.label.decode(), record.kernel.decode(), record.calls, record.time_ns))
        return steps

    def close(self) -> None:
        """Ends the threads and gives the memory back, once no view that a forward gave out is left."""
        self._handle = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_handle(self) -> SessionHandle:
        if self._handle is None:
            raise UsageError("The session is closed.")
        return self._handle


class _Borrowed:
    """Memory of a session, for numpy: an array made of it keeps that memory from being given back."""

    def __init__(self, handle: SessionHandle, view: binding.View, dtype: np.dtype[Any]) -> None:
        self._handle = handle
        self.__array_interface__ = {
            "version": 3,
            "data": (view.data, True),  # read-only
            "shape": (view.rows, view.cols),
            "strides": (view.row_stride * dtype.itemsize, dtype.itemsize),
            "typestr": dtype.str,
        }


def _array(handle: SessionHandle, view: binding.View, dtype: np.dtype[Any]) -> NDArray[Any]:
    if not view.data:
        return np.empty((0, 0), dtype)
    return np.asarray(_Borrowed(handle, view, dtype))


def _int32(values: ArrayLike, name: str, ndim: int) -> NDArray[np.int32]:
    array = np.asarray(values)
    if array.dtype is _I32 and array.ndim == ndim and array.flags.c_contiguous:
        return array
    if array.ndim != ndim:
        raise UsageError(f"{name} must have {ndim} dimension{'s' * (ndim > 1)}, not {array.ndim}.")
    if array.dtype != np.int32:
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise UsageError(f"{name} must be integers, not {array.dtype}.")
        if array.size and (array.min() < _INT32.min or array.max() > _INT32.max):
            raise UsageError(f"{name} has a number that leaves 32 bits.")
    return np.ascontiguousarray(array, np.int32)


def _address(array: NDArray[Any]) -> int:
    """As `array.ctypes.data`, in a quarter of its time."""
    address: int = array.__array_interface__["data"][0]
    return address


def _free(owner: ModelHandle, pointer: int | None, process: int) -> None:
    # A forked process has the memory but none of the threads, which freeing waits for.
    if os.getpid() == process:
        owner.library.hearth_session_free(pointer)
