"""The GPUs of this machine, as the runtime sees them, whether or not a model is compiled yet."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hearth.bundle import cache_dir, list_bundles, open_bundle
from hearth.compiler.cpu.link import library_name, link_library
from hearth.errors import DeviceError, HearthError
from hearth.runtime import GpuInfo, devices, gpu_library


def list_gpus() -> Sequence[GpuInfo]:
    """All of them, in the order of their index.

    Raises:
        DeviceError: what drives GPUs is not installed, or cannot be used.
        CompileError: there is neither a bundle whose runtime could be asked, nor a compiler to make one.
    """
    driver = gpu_library.find()
    for stored in list_bundles():
        try:
            return devices(open_bundle(stored.path).library, driver=driver)
        except DeviceError:
            raise
        except HearthError:  # of another version or machine: the next one may do
            continue
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        runtime = Path(folder) / library_name()
        link_library([], [], runtime, cache_dir=cache_dir() / "zig")
        return devices(runtime, driver=driver)
