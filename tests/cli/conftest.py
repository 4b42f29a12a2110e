"""What the tests of the commands share: the type of the `hearth` fixture."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Run = Callable[..., "subprocess.CompletedProcess[str]"]
