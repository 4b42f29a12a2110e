"""Token ids in, token ids out: sequences, pages of keys and values, prefix cache, scheduler, sampling.

Knows nothing of text, tokenizers, files or the compiler; synchronous.
"""

from hearth.engine.engine import Engine, pages_for
from hearth.engine.forward import Forward, ForwardInfo, ForwardResult
from hearth.engine.generation import Generation
from hearth.engine.params import MAX_LOGPROBS, SamplingParams
from hearth.engine.sequence import FinishReason, Overflow, Request, TokenEvent, Usage

__all__ = [
    "MAX_LOGPROBS",
    "Engine",
    "FinishReason",
    "Forward",
    "ForwardInfo",
    "ForwardResult",
    "Generation",
    "Overflow",
    "Request",
    "SamplingParams",
    "TokenEvent",
    "Usage",
    "pages_for",
]
