"""Which GPUs this machine has."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path

from hearth.runtime import binding, gpu_library
from hearth.runtime.info import GpuInfo

_ROOM_BYTES = 64 << 10


def devices(library: Path, *, driver: Path | None = None) -> tuple[GpuInfo, ...]:
    """All GPUs, in the order of their index.

    Args:
        library: of any bundle (`binding.library_path`): the code that asks is in it.
        driver: libwgpu_native; None: that of the installed package.

    Raises:
        DeviceError: libwgpu_native is not installed or cannot be used.
    """
    found = gpu_library.find() if driver is None else driver
    loaded = binding.load_library(library)
    try:
        text, size = ctypes.create_string_buffer(_ROOM_BYTES), ctypes.c_size_t(_ROOM_BYTES)
        status = loaded.hearth_devices(os.fsencode(found), text, ctypes.byref(size))
        binding.check(loaded, status, "The GPUs of this machine cannot be listed.")
        return tuple(GpuInfo.of(each) for each in json.loads(text.value))
    finally:
        binding.unload_library(loaded)
