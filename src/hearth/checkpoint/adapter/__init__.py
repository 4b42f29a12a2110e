"""Adapters (LoRA) as they are published: what they add to the matrices of another model."""

from hearth.checkpoint.adapter.open import open_adapter
from hearth.checkpoint.adapter.types import MOST_RANKS, Adapter, LowRank

__all__ = ["MOST_RANKS", "Adapter", "LowRank", "open_adapter"]
