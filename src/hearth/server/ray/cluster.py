"""A Ray to work with: one of this machine that only this process and its children reach, or a running cluster."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hearth.distribution import install_command
from hearth.errors import HearthError, UsageError
from hearth.hub.names import LocalPath, parse
from hearth.prepare import ANY_KIND, Progress, prepare
from hearth.runtime.memory import available_bytes

if TYPE_CHECKING:
    from hearth.server.models import ModelSettings

_OBJECT_STORE_BYTES = 128 << 20  # messages are small and do not go through it
_MODELS_SHARE = 0.7  # of the memory that is free


def prepare_ray(address: str | None) -> None:
    """Sets what Ray reads from the environment when it is imported, so this comes before.

    Args:
        address: as `connected` takes it.

    Raises:
        UsageError: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError("Ray is not installed.", hint=install_command("serve", "ray"))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None:
        # Ray's switch for "this machine only": without it, it listens on all addresses whatever address it is given.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        if os.environ["RAY_AUTH_MODE"] == "token" and "RAY_AUTH_TOKEN_PATH" not in os.environ:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connected to Ray for as long as the block lasts. `prepare_ray` was called before.

    Args:
        address: of a running cluster; None: a Ray of its own, on loopback, without dashboard, with a secret that
            keeps other users of this machine out, and gone afterwards.

    Raises:
        HearthError: there is no cluster.
    """
    options: dict[str, Any] = {"logging_level": "warning", "log_to_driver": True, "namespace": "hearth"}
    if address is None:
        options |= {
            "address": "local",
            "_node_ip_address": "127.0.0.1",
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
        }
    else:
        options["address"] = address
    import ray

    # Ray takes SIGTERM for itself; whoever runs decides what it means.
    on_main = threading.current_thread() is threading.main_thread()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options)
        if on_main and on_sigterm is not None:
            signal.signal(signal.SIGTERM, on_sigterm)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise HearthError(f"Ray cannot be used{f' at {address}' if address else ''}.", why=str(error)) from error
    try:
        yield
    finally:
        ray.shutdown()


def compile_first(names: Iterable[str], settings: ModelSettings, progress: Callable[[Progress], None]) -> None:
    """Downloads and compiles what is not here yet, once, before several engines want it at the same time.

    Raises:
        HearthError: a model cannot be had, as `prepare` says.
    """
    for name in names:
        prepare(
            name,
            kinds=ANY_KIND,
            progress=progress,
            **settings.preparing,
        )


def from_anywhere(name: str) -> str:
    """The same model for a process whose working directory is another one."""
    parsed = parse(name)
    return str(parsed.path.absolute()) if isinstance(parsed, LocalPath) else name


def shares(count: int, threads: int | None, memory_bytes: int | None, *, local: bool) -> tuple[int, int | None]:
    """Threads and bytes for each of so many engines: what was asked for, else its part of this machine."""
    if threads is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = max(1, cores // count) if local else cores
    if memory_bytes is None and local:
        free = available_bytes()
        memory_bytes = int(_MODELS_SHARE * free / count) if free else None
    return threads, memory_bytes
