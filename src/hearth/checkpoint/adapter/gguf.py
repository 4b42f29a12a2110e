"""Adapters in GGUF files, as llama.cpp's `convert_lora_to_gguf.py` writes them.

`general.type` is "adapter", `adapter.type` "lora"; tensors are `NAME.lora_a` [rank, columns] and `NAME.lora_b`
[rows, rank] beside the tensor NAME of the base model, whose rows they have in the order that GGUF files have them. What
is added is multiplied by `adapter.lora.alpha` over the rank, where alpha is not 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hearth.checkpoint.adapter.types import MERGE, Adapter, low_rank, nothing_in
from hearth.checkpoint.gguf_file import GgufFile
from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.errors import CorruptFile, Unsupported

_A, _B = ".lora_a", ".lora_b"


def open_gguf(path: Path) -> Adapter:
    """Raises as `open_adapter`."""
    file = GgufFile(path)
    kind, tuner = file.metadata.get("general.type"), file.metadata.get("adapter.type")
    if kind != "adapter":
        said = "a model" if kind in (None, "model") else f"of the type {str(kind)[:40]!r}"
        raise Unsupported(
            f"{path.name} is no adapter: it is {said}.",
            hint="A model is named where the model is: hearth chat MODEL --lora ADAPTER.",
        )
    if tuner != "lora":
        raise Unsupported(f"{path.name} is an adapter of the type {str(tuner)[:40]!r}.", why="Known: lora.", hint=MERGE)
    if file.metadata.get("adapter.alora.invocation_tokens") is not None:
        raise Unsupported(
            f"{path.name} is an activated adapter (adapter.alora.invocation_tokens), which is not supported.",
            why="It changes only what comes behind certain tokens.",
        )
    alpha = _alpha(path, file.metadata.get("adapter.lora.alpha"))
    names = {name.removesuffix(end) for name in file.tensors for end in (_A, _B) if name.endswith(end)}
    for name in file.tensors:
        if not name.endswith((_A, _B)):
            raise Unsupported(f"{path.name}: the tensor {name[:200]!r} is no part of a LoRA adapter.", hint=MERGE)
    matrices = {}
    for name in sorted(names):
        a, b = file.tensors.get(name + _A), file.tensors.get(name + _B)
        if a is None or b is None:
            raise CorruptFile(f"{path.name} has only one of A and B beside {name[:200]!r}.", hint=PULL_AGAIN)
        rank = a.shape[0] if a.shape else 1
        matrices[name] = low_rank(path, name, a, b, alpha / rank if alpha and rank else 1.0, file.raw)
    if not matrices:
        raise nothing_in(path)
    base = file.metadata.get("general.base_model.0.name") or ""
    architecture = file.metadata.get("general.architecture")
    return Adapter(path, "gguf", str(base)[:200], architecture[:200] if isinstance(architecture, str) else "", matrices)


def _alpha(path: Path, value: Any) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise CorruptFile(f"{path.name}: adapter.lora.alpha is {value!r:.40}, which is no number.", hint=PULL_AGAIN)
    return float(value)
