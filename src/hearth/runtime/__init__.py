"""Executes a bundle: the C runtime (csrc/) and its Python binding.

The runtime knows arrays with names, tokens, positions and pages of KV memory; it knows no text, no pictures, no
sampling and no scheduling. The C code is compiled into each bundle's own library, so a bundle and its runtime cannot
drift apart: `Model` loads that library. `Session` runs any function of a model, `TextSession` a language model.
"""

from hearth.runtime.devices import devices
from hearth.runtime.gpu_memory import gpu_memory
from hearth.runtime.info import DeviceInfo, FunctionInfo, GpuInfo, LayersInfo, ModelInfo, StateInfo, TensorInfo
from hearth.runtime.memory import available_bytes, require, require_within, total_bytes
from hearth.runtime.model import Loading, Model
from hearth.runtime.session import Counters, Session, StepProfile
from hearth.runtime.split import SplitLoading, SplitModel, SplitTextSession, text_session
from hearth.runtime.text import ForwardResult, TextInfo, TextSession
from hearth.runtime.threads import default_threads

__all__ = [
    "Counters",
    "DeviceInfo",
    "ForwardResult",
    "FunctionInfo",
    "GpuInfo",
    "LayersInfo",
    "Loading",
    "Model",
    "ModelInfo",
    "Session",
    "SplitLoading",
    "SplitModel",
    "SplitTextSession",
    "StateInfo",
    "StepProfile",
    "TensorInfo",
    "TextInfo",
    "TextSession",
    "available_bytes",
    "default_threads",
    "devices",
    "gpu_memory",
    "require",
    "require_within",
    "text_session",
    "total_bytes",
]
