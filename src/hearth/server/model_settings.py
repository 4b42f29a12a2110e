"""How a server opens its models: `ModelSettings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hearth.chat.request import ContextOverflow
from hearth.errors import UsageError
from hearth.model.text.kv_cache import KvFormat
from hearth.prepare import Wanted, check_device, check_gpu_layers
from hearth.quant.policy import Precision


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How a server opens its models.

    Attributes:
        memory_bytes: for all open models together, weights and sessions; None: 70 % of what is free at the start.
        max_seqs: requests that one model computes at the same time.
        max_waiting: requests that may wait for one model.
        adapters: (name, place, scale) each: of the first model, which answers with one where it is called
            `MODEL:NAME`.
        aliases: (alias, model) each: further names in requests; see `ModelNames`.
        context, threads, device, gpu_layers, quant, head, kv, precision, template, context_overflow, offline,
            trust_bundle, repetition_stop: as `LLM`.
    """

    memory_bytes: int | None = None
    context: int | None = None
    threads: int | None = None
    device: str = "auto"
    gpu_layers: int | Literal["auto"] | None = None
    max_seqs: int = 16
    max_waiting: int = 64
    quant: str | None = None
    head: str | None = None
    kv: KvFormat | None = None
    precision: Precision = "default"
    template: str | None = None
    context_overflow: ContextOverflow = "error"
    aliases: tuple[tuple[str, str], ...] = ()
    adapters: tuple[tuple[str, str, float], ...] = ()
    offline: bool = False
    trust_bundle: bool = False
    repetition_stop: bool = True

    def __post_init__(self) -> None:
        check_device(self.device)
        check_gpu_layers(self.gpu_layers, self.device)
        for name, least in (("max_seqs", 1), ("max_waiting", 0), ("memory_bytes", 1), ("context", 2), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} is {value}, but must be at least {least}.")

    @property
    def preparing(self) -> dict[str, Any]:
        """What `prepare` and `LLM` are told alike."""
        return self.preparing_encoder | {"kv": self.kv, "context": self.context}

    @property
    def preparing_vision(self) -> dict[str, Any]:
        """What `prepare` and `Vision` are told alike."""
        return {name: getattr(self, name) for name in ("quant", "precision", "offline", "trust_bundle")}

    @property
    def wanted(self) -> Wanted:
        """What bundles are to be like."""
        return {
            "quant": self.quant,
            "head": self.head,
            "precision": self.precision,
            "kv": self.kv,
            "context": self.context,
        }

    @property
    def preparing_encoder(self) -> dict[str, Any]:
        """What `prepare` and `Embedder` are told alike."""
        return {name: getattr(self, name) for name in ("quant", "head", "precision", "offline", "trust_bundle")}
