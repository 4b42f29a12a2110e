"""This machine's software adapter as the runtime knows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.bundle.manifest import LIBRARIES
from hearth.errors import DeviceError
from hearth.runtime import devices


def software_gpu(folder: Path) -> str:
    """The device of this machine's software adapter, for a bundle; the test skips where there is none."""
    (library,) = (folder / name for name in LIBRARIES if (folder / name).exists())
    try:
        found = [gpu for gpu in devices(library) if gpu.type == "cpu" and gpu.backend == "vulkan"]
    except DeviceError as error:
        pytest.skip(f"{error.what} {error.hint}")
    if not found:
        pytest.skip("needs a software Vulkan adapter (Debian: mesa-vulkan-drivers)")
    return f"gpu:{found[0].index}"
