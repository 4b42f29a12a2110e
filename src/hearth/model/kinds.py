"""Which room of `model/` a checkpoint belongs to, and the verbs that it is for: one table for all rooms.

The rooms refuse each other's models through this table, so it looks into them only when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hearth.checkpoint.folder import TIMM
from hearth.errors import Unsupported
from hearth.model.settings import shown

KindName = Literal["text", "encoder", "vision"]
TEXT: KindName = "text"
ENCODER: KindName = "encoder"
VISION: KindName = "vision"
"""What manifests of bundles say of a model, too."""


@dataclass(frozen=True)
class Kind:
    """One kind of model.

    Attributes:
        name: of its room.
        answers: whether an architecture (by its name, the file's kind and its configuration) is of this kind.
        what: it is, for people.
        cannot: what it does instead of what was asked for.
        hint: what to use it with.
    """

    name: KindName
    answers: Callable[[str, str, Mapping[str, Any]], bool]
    what: str
    cannot: str
    hint: str


def _is_decoder(architecture: str, kind: str, config: Mapping[str, Any]) -> bool:
    from hearth.model.text.families import FAMILIES

    return any(architecture in (f.architectures if kind == "gguf" else f.model_types) for f in FAMILIES)


def _is_encoder(architecture: str, kind: str, config: Mapping[str, Any]) -> bool:
    from hearth.model.encoder.families import FAMILIES

    return any(family.answers_to(architecture, kind, config) for family in FAMILIES)


def _is_vision(architecture: str, kind: str, config: Mapping[str, Any]) -> bool:
    from hearth.model.vision.families import FAMILIES

    return kind == "safetensors" and (architecture == TIMM or any(architecture in f.model_types for f in FAMILIES))


# Encoders come first: some are language models by name, and say otherwise in their configuration.
KINDS: tuple[Kind, ...] = (
    Kind(
        ENCODER,
        _is_encoder,
        "an encoder",
        "It makes vectors, scores or labels of texts and writes none.",
        "Use `hearth embed`, `hearth rerank` or `hearth classify`; in Python, Embedder; or choose another model for "
        "chat.",
    ),
    Kind(
        TEXT,
        _is_decoder,
        "a language model",
        "It looks at no pictures and gives no labels.",
        "Talk with it: hearth chat MODEL; in Python, LLM.",
    ),
    Kind(
        VISION,
        _is_vision,
        "made to look at pictures",
        "It writes no text.",
        "Use `hearth vision MODEL IMAGE`; in Python, Vision; or choose another model for chat.",
    ),
)


def refuse_other_kinds(place: str, wanted: KindName, architecture: str, kind: str, config: Mapping[str, Any]) -> None:
    """Raises Unsupported where a model is of a kind that another door opens."""
    found = next((each for each in KINDS if each.answers(architecture, kind, config)), None)
    if found is not None and found.name != wanted:
        raise Unsupported(f"{place} is {found.what} ({shown(architecture)}).", why=found.cannot, hint=found.hint)
