"""Which room of `model/` a checkpoint belongs to, and the verbs that it is for: one table for all rooms.

The rooms refuse each other's models through this table, so it looks into them only when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from hearth.checkpoint.folder import TIMM, model_type_of
from hearth.checkpoint.torch_file import TORCH
from hearth.checkpoint.types import Checkpoint
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


def _sees(architecture: str, kind: str, config: Mapping[str, Any]) -> bool:
    from hearth.model.vlm.load import sees

    return sees(architecture, kind, config)


def _is_decoder(architecture: str, kind: str, config: Mapping[str, Any]) -> bool:
    from hearth.model.text.families import FAMILIES

    return any(architecture in (f.architectures if kind == "gguf" else f.model_types) for f in FAMILIES)


def _is_encoder(architecture: str, kind: str, config: Mapping[str, Any]) -> bool:
    from hearth.model.encoder.families import FAMILIES

    return any(family.answers_to(architecture, kind, config) for family in FAMILIES)


def _is_vision(architecture: str, kind: str, config: Mapping[str, Any]) -> bool:
    from hearth.model.vision.families import FAMILIES

    named = architecture == TIMM or any(architecture in family.model_types for family in FAMILIES)
    return architecture == TORCH or (kind == "safetensors" and named)


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
        _sees,
        "a language model that looks at pictures",
        "It answers in text; it gives no labels and no boxes.",
        'Ask it: hearth run MODEL "What is this?" --image FILE; in Python, LLM.',
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


def kind_of(checkpoint: Checkpoint) -> Kind | None:
    """What kind of model a checkpoint holds; None where nobody knows its architecture."""
    return _kind(checkpoint.architecture, checkpoint.kind, checkpoint.config)


def kind_by_config(config: Mapping[str, Any]) -> Kind | None:
    """The same by the config.json of a folder. Raises Unsupported where it does not say which architecture it has."""
    return _kind(model_type_of(config), "safetensors", config)


def refuse_other_kinds(place: str, wanted: KindName, architecture: str, kind: str, config: Mapping[str, Any]) -> None:
    """Raises Unsupported where a model is of a kind that another door opens."""
    found = _kind(architecture, kind, config)
    if found is not None and found.name != wanted:
        raise Unsupported(f"{place} is {found.what} ({shown(architecture)}).", why=found.cannot, hint=found.hint)


def refuse_bundle(place: str, kind: str, family: str) -> NoReturn:
    """Raises Unsupported for a bundle of a kind that another door opens."""
    found = next((each for each in reversed(KINDS) if each.name == kind), None)
    if found is None:
        raise Unsupported(
            f"{place} is a graph of arrays ({family}).",
            why="It says what is computed, not what its numbers mean.",
            hint=f"Run it with `hearth graph {place}`, or with hearth.Graph in Python.",
        )
    raise Unsupported(f"{place} is {found.what} ({family}).", why=found.cannot, hint=found.hint)


def _kind(architecture: str, kind: str, config: Mapping[str, Any]) -> Kind | None:
    return next((each for each in KINDS if each.answers(architecture, kind, config)), None)
