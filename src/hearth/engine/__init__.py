"""Token ids in, token ids out: sequences, pages of keys and values, slots of state, prefix cache, scheduler, sampling.

Knows nothing of text, tokenizers, files or the compiler; synchronous. An `Engine` belongs to one thread; a
`SharedEngine` lets many take turns.
"""

from hearth.engine.adapters import AdapterTable, LoadedAdapter
from hearth.engine.constraint import Constraint, ConstraintFailed
from hearth.engine.draft import Ask, Computed, Draft, Drafter
from hearth.engine.draft_model import DraftModel
from hearth.engine.engine import Engine, pages_for, slots_for
from hearth.engine.evaluate import Scores
from hearth.engine.forward import Forward, ForwardInfo, ForwardResult
from hearth.engine.generation import Generation
from hearth.engine.lookup import PromptLookup
from hearth.engine.pace import Pace
from hearth.engine.params import MAX_LOGPROBS, SamplingParams
from hearth.engine.predicting import PredictingBlock
from hearth.engine.sequence import FinishReason, Overflow, Request, TokenEvent, Usage
from hearth.engine.shared import SharedEngine
from hearth.engine.speculation import Speculation

__all__ = [
    "MAX_LOGPROBS",
    "AdapterTable",
    "Ask",
    "Computed",
    "Constraint",
    "ConstraintFailed",
    "Draft",
    "DraftModel",
    "Drafter",
    "Engine",
    "FinishReason",
    "Forward",
    "ForwardInfo",
    "ForwardResult",
    "Generation",
    "LoadedAdapter",
    "Overflow",
    "Pace",
    "PredictingBlock",
    "PromptLookup",
    "Request",
    "SamplingParams",
    "Scores",
    "SharedEngine",
    "Speculation",
    "TokenEvent",
    "Usage",
    "pages_for",
    "slots_for",
]
