"""A golden checkpoint with something changed: what a user gets who has a strange or damaged model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from golden import CASES, Case
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.types import TensorInfo

BY_NAME = {case.name: case for case in CASES}


class Edited:
    """A golden checkpoint of which tests may change `architecture`, `config`, `tensors` and `data`."""

    def __init__(self, name: str, *, gguf: bool = False) -> None:
        self.case: Case = BY_NAME[name]
        source = self.case.gguf_path if gguf else self.case.path
        assert source is not None
        self.source = open_checkpoint(source)
        self.path: Path = self.source.path
        self.kind = self.source.kind
        self.architecture = self.source.architecture
        self.config: dict[str, Any] = dict(self.source.config)
        self.tensors: Mapping[str, TensorInfo] = dict(self.source.tensors)
        self.data: dict[str, np.ndarray] = {}

    def add(self, name: str, values: np.ndarray) -> None:
        dtype = {"float16": "f16", "float32": "f32"}[values.dtype.name]
        self.tensors = {**self.tensors, name: TensorInfo(name, values.shape, dtype, values.nbytes)}
        self.data[name] = np.frombuffer(values.tobytes(), np.uint8)

    def rename(self, old: str, new: str) -> None:
        info = self.tensors[old]
        self.data[new] = self.raw(old)
        self.remove(old)
        self.tensors = {**self.tensors, new: TensorInfo(new, info.shape, info.dtype, info.size_bytes)}

    def remove(self, name: str) -> None:
        self.tensors = {n: info for n, info in self.tensors.items() if n != name}

    def raw(self, name: str) -> np.ndarray:
        return self.data[name] if name in self.data else self.source.raw(name)

    def fingerprint(self) -> str:
        return self.source.fingerprint()

    def tokenizer(self) -> None:
        return None
