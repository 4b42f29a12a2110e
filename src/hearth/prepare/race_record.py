"""What races have found, kept for each adapter and driver: a JSON file in Hearth's cache. One that is damaged is as
good as none: the race is run again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hearth.bundle import cache_dir
from hearth.bundle.failures import storage_errors
from hearth.bundle.paths import write_whole
from hearth.runtime import GpuInfo

_VERSION = 1
_MAX_BYTES = 4 << 20
_FEATURES = re.compile(r"core|(f16|subgroups|dot4)(\+(f16|subgroups|dot4))*")


def record_path(gpu: GpuInfo) -> Path:
    """Of an adapter with its driver."""
    identity = json.dumps([gpu.name, gpu.backend, gpu.driver, gpu.vendor_id, gpu.device_id, sorted(gpu.features)])
    return cache_dir() / "gpus" / f"{hashlib.sha256(identity.encode()).hexdigest()[:20]}.json"


def read_choices(gpu: GpuInfo, digests: Mapping[str, str]) -> dict[str, str]:
    """The features chosen for those kernels whose shaders are still those that raced.

    Args:
        digests: of the shaders that there are now, by the kernel's name.
    """
    kernels = _read(record_path(gpu))
    found = {}
    for name, digest in digests.items():
        entry = kernels.get(f"{name} {digest}")
        if isinstance(entry, str) and _FEATURES.fullmatch(entry):
            found[name] = entry
    return found


def write_choices(gpu: GpuInfo, choices: Mapping[str, tuple[str, str]]) -> None:
    """Adds (digest, features) of kernels to what is known.

    Raises:
        StorageError: the file cannot be written.
    """
    path = record_path(gpu)
    known = {**_read(path), **{f"{name} {digest}": features for name, (digest, features) in choices.items()}}
    content = {"version": _VERSION, "gpu": gpu.label, "driver": gpu.driver, "kernels": known}
    with storage_errors("write", path):
        write_whole(path, json.dumps(content, indent=1) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            read = json.loads(stream.read(_MAX_BYTES))
        return dict(read["kernels"]) if read["version"] == _VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
