"""Where libwgpu_native is, which drives GPUs: a part of the package `wgpu`, whose Python code Hearth does not use."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from hearth.distribution import install_command
from hearth.errors import DeviceError

_NAMES = {"darwin": "libwgpu_native-release.dylib", "win32": "wgpu_native-release.dll"}


# A layer of Mesa asks the desktop which card it is on, and where there is none complains on standard error.
_NO_DESKTOP = {"NODEVICE_SELECT": "1"}


def find() -> Path:
    """The library of the installed package. The package is not imported: that takes its time, and starts things.

    Raises:
        DeviceError: the package is not installed, or has no library for this system.
    """
    if sys.platform == "linux" and not os.environ.get("XDG_RUNTIME_DIR"):
        for name, value in _NO_DESKTOP.items():
            os.environ.setdefault(name, value)
    spec = importlib.util.find_spec("wgpu")
    path = None
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "resources" / _NAMES.get(sys.platform, "libwgpu_native-release.so")
    if path is None or not path.is_file():
        raise DeviceError(
            "What drives GPUs is not installed.",
            why="The Python package wgpu, which brings libwgpu_native, is missing."
            if path is None
            else f"{path} is missing.",
            hint=f"Install it with: {install_command('gpu')}",
        )
    return path
