"""Executes a bundle: the C runtime (csrc/) and its Python binding.

The runtime knows tokens, positions and pages of KV memory; it knows no text, no sampling and no scheduling. The C code
is compiled into each bundle's own library, so a bundle and its runtime cannot drift apart: `Model` loads that library.
"""

from hearth.runtime.memory import available_bytes, require, total_bytes
from hearth.runtime.model import Loading, Model, ModelInfo
from hearth.runtime.session import ForwardResult, Session, StepProfile
from hearth.runtime.threads import default_threads

__all__ = [
    "ForwardResult",
    "Loading",
    "Model",
    "ModelInfo",
    "Session",
    "StepProfile",
    "available_bytes",
    "default_threads",
    "require",
    "total_bytes",
]
