"""Declarations of `csrc/hearth.h` for ctypes, and how its status codes become Hearth's errors.

Each bundle has a library of its own, so nothing here is global: `load_library` answers a handle with typed functions.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, NoReturn

from hearth.errors import (
    BundleMismatch,
    CorruptFile,
    DeviceError,
    HearthError,
    NotEnoughMemory,
    StorageError,
    UsageError,
)

ABI_VERSION = 5

OK, INVALID, CORRUPT, MEMORY, IO, MISMATCH, CANCELLED, INTERNAL, DEVICE = range(9)

ProgressCallback = ctypes.CFUNCTYPE(c_int32, c_void_p, c_uint64, c_uint64)


class _Sized(ctypes.Structure):
    """A structure that begins with its own size, as hearth.h asks for."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(struct_size=ctypes.sizeof(self), **fields)


class OpenOptions(_Sized):
    _fields_ = [
        ("struct_size", c_uint32),
        ("use_mmap", c_uint32),
        ("load_threads", c_uint32),
        ("reserved", c_uint32),
        ("memory_limit_bytes", c_uint64),
        ("progress", ProgressCallback),
        ("progress_user", c_void_p),
        ("isa", c_char_p),
        ("device", c_char_p),
        ("gpu_library", c_char_p),
        ("gpu_features", c_char_p),
        ("gpu_unchecked", c_uint32),
        ("reserved2", c_uint32),
        ("first_layer", c_uint32),
        ("end_layer", c_uint32),
    ]


class Size(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("value", c_int64)]


class SessionOptions(_Sized):
    _fields_ = [
        ("struct_size", c_uint32),
        ("threads", c_uint32),
        ("sizes", POINTER(Size)),
        ("num_sizes", c_uint32),
        ("reserved", c_uint32),
    ]


MAX_AXES = 8
DTYPES = ("f32", "i32", "u8", "i8", "f16")
"""Names of `hearth_dtype`, in the order of its numbers."""


class Tensor(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("data", c_void_p),
        ("dtype", c_uint32),
        ("rank", c_uint32),
        ("shape", c_int64 * MAX_AXES),
        ("row_stride", c_int64),
    ]


class Batch(_Sized):
    _fields_ = [
        ("struct_size", c_uint32),
        ("num_tokens", c_uint32),
        ("num_seqs", c_uint32),
        ("num_logit_rows", c_uint32),
        ("block_table_stride", c_uint32),
        ("num_prompt_tokens", c_uint32),
        ("token_ids", c_void_p),
        ("positions", c_void_p),
        ("token_seq", c_void_p),
        ("block_table", c_void_p),
        ("logit_rows", c_void_p),
        ("num_embeddings", c_uint32),
        ("outputs", c_uint32),
        ("embeddings", c_void_p),
        ("embedded_tokens", c_void_p),
        ("last_seen", c_void_p),
        ("rope_positions", c_void_p),
        ("layer_input", c_void_p),
        ("state_from", c_void_p),
        ("state_to", c_void_p),
        ("hidden", c_void_p),
        ("adapters", c_void_p),
    ]


OUTPUTS = {"logits": 1, "argmax": 2, "hidden": 4, "likeliest": 16}
NO_OUTPUTS = 8
"""Bits of `hearth_outputs`."""


class View(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("dtype", c_uint32),
        ("rows", c_uint32),
        ("cols", c_uint32),
        ("row_stride", c_uint32),
    ]


class Output(_Sized):
    _fields_ = [
        ("struct_size", c_uint32),
        ("reserved", c_uint32),
        ("logits", View),
        ("argmax", View),
        ("hidden", View),
        ("layer_output", View),
        ("likeliest", View),
    ]


class StepProfileRecord(ctypes.Structure):
    _fields_ = [
        ("function", c_char_p),
        ("label", c_char_p),
        ("kernel", c_char_p),
        ("calls", c_uint64),
        ("time_ns", c_uint64),
    ]


class Counters(_Sized):
    _fields_ = [
        ("struct_size", c_uint32),
        ("dispatches", c_uint32),
        ("passes", c_uint32),
        ("submits", c_uint32),
        ("writes", c_uint32),
        ("objects", c_uint32),
        ("written_bytes", c_uint64),
        ("read_bytes", c_uint64),
        ("planned_bytes", c_uint64),
        ("allocated_bytes", c_uint64),
        ("encode_ns", c_uint64),
    ]


_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "hearth_abi_version": (c_uint32, []),
    "hearth_error": (c_char_p, []),
    "hearth_devices": (c_int32, [c_char_p, c_char_p, POINTER(c_size_t)]),
    "hearth_open": (c_int32, [c_char_p, POINTER(OpenOptions), POINTER(c_void_p)]),
    "hearth_open_memory": (
        c_int32,
        [c_void_p, c_uint64, c_void_p, c_uint64, POINTER(OpenOptions), POINTER(c_void_p)],
    ),
    "hearth_describe": (c_char_p, [c_void_p]),
    "hearth_weights_huge_bytes": (c_uint64, [c_void_p]),
    "hearth_close": (None, [c_void_p]),
    "hearth_session_create": (c_int32, [c_void_p, POINTER(SessionOptions), POINTER(c_void_p)]),
    "hearth_session_free": (None, [c_void_p]),
    "hearth_session_write": (c_int32, [c_void_p, c_char_p, c_int64, c_int64, c_void_p]),
    "hearth_session_bytes": (c_uint64, [c_void_p]),
    "hearth_run": (c_int32, [c_void_p, c_char_p, POINTER(Tensor), c_uint32, POINTER(Tensor), c_uint32]),
    "hearth_forward": (c_int32, [c_void_p, POINTER(Batch), POINTER(Output)]),
    "hearth_apply_mask": (c_int32, [c_void_p, c_void_p, c_int64, c_void_p]),
    "hearth_profile": (None, [c_void_p, c_int32]),
    "hearth_profile_read": (c_int32, [c_void_p, c_uint32, POINTER(StepProfileRecord)]),
    "hearth_read_counters": (c_int32, [c_void_p, POINTER(Counters)]),
    "hearth_read_bandwidth": (c_int32, [c_uint32, c_uint64, c_uint32, POINTER(c_double)]),
    "hearth_compute_peak": (c_int32, [c_void_p, c_int32, c_uint32, c_uint32, POINTER(c_double)]),
    "hearth_session_clear_states": (None, [c_void_p]),
}


def library_path(bundle_dir: Path) -> Path:
    """Where a bundle for this system keeps its library."""
    if sys.platform == "darwin":
        return bundle_dir / "libhearth.dylib"
    return bundle_dir / ("libhearth.dll" if sys.platform == "win32" else "libhearth.so")


def load_library(path: Path) -> ctypes.CDLL:
    """Loads a bundle's library, its symbols apart from those of any other, and checks its version.

    Raises:
        BundleMismatch: the file is no library for this machine, or was made by another version of Hearth.
        CorruptFile: there is no such file.
    """
    if not path.is_file():
        raise CorruptFile(f"The bundle has no {path.name}.", why=str(path), hint="Compile the model again.")
    try:
        library = ctypes.CDLL(str(path.resolve()), mode=os.RTLD_LOCAL | os.RTLD_NOW)
    except OSError as error:
        raise BundleMismatch(
            f"{path.name} cannot be loaded on this machine.",
            why=str(error),
            hint="Compile the model for this machine: hearth compile MODEL",
        ) from error
    try:
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError as error:
        unload_library(library)
        raise BundleMismatch(
            f"{path.name} is not a library that this version of Hearth can use.",
            why=str(error),
            hint="Compile the model again: hearth compile MODEL",
        ) from error
    version = library.hearth_abi_version()
    if version != ABI_VERSION:
        unload_library(library)
        raise BundleMismatch(
            f"{path.name} has version {version} of the C API; this Hearth speaks version {ABI_VERSION}.",
            hint="Compile the model again: hearth compile MODEL",
        )
    return library


def unload_library(library: ctypes.CDLL) -> None:
    """Gives a library back, so that a bundle compiled anew in the same place is not taken for the old one.

    No thread may be inside the library, nor come back to it.
    """
    import _ctypes  # not documented, but the only way

    if sys.platform != "win32":
        _ctypes.dlclose(library._handle)


def check(library: ctypes.CDLL, status: int, what: str) -> None:
    """Raises the error that belongs to `status`; `what` says in a sentence what was tried."""
    if status != OK:
        raise_error(status, what, library.hearth_error().decode("utf-8", "replace"))


def raise_error(status: int, what: str, why: str) -> NoReturn:
    """Raises the error that belongs to a `status` other than OK; `why` is the library's text."""
    if status == INVALID:
        raise UsageError(what, why=why)
    if status == CORRUPT:
        raise CorruptFile(what, why=why, hint="Compile the model again: hearth compile MODEL")
    if status == MEMORY:
        raise NotEnoughMemory(what, why=why, hint="Use a smaller context, a smaller model or a smaller number format.")
    if status == IO:
        raise StorageError(what, why=why)
    if status == MISMATCH:
        raise BundleMismatch(what, why=why, hint="Compile the model again: hearth compile MODEL")
    if status == DEVICE:
        raise DeviceError(what, why=why, hint="Use another device (`hearth doctor` lists them), or the processor.")
    raise HearthError(what, why=why)
