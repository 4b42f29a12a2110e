"""What this package is called where it is installed from: the one place that knows.

The import name and the command are `hearth`; the distribution is `hearth-run`, since `hearth` on the public index is
somebody else's.
"""

from __future__ import annotations

import importlib.metadata

NAME = "hearth-run"


def version() -> str:
    """The installed version, or "unknown" where the sources are imported without being installed."""
    return version_of(NAME) or "unknown"


def version_of(distribution: str) -> str | None:
    """The installed version of any distribution; None where it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def install_command(*extras: str) -> str:
    """What to type to have these extras of `pyproject.toml`."""
    wanted = f"{NAME}[{','.join(extras)}]" if extras else NAME
    return f"pip install '{wanted}'"
