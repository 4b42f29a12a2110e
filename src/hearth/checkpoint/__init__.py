"""Reads what was published: safetensors folders and GGUF files, behind one `Checkpoint` interface."""

from hearth.checkpoint.open import open_checkpoint
from hearth.checkpoint.types import Checkpoint, TensorInfo, TokenizerSpec

__all__ = ["Checkpoint", "TensorInfo", "TokenizerSpec", "open_checkpoint"]
