"""From a checkpoint to a described language model, whether it sees or not: `load_family`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hearth.checkpoint.joined import JoinedCheckpoint
from hearth.checkpoint.part import CheckpointPart
from hearth.checkpoint.quantised import refuse_unreadable
from hearth.checkpoint.types import Checkpoint
from hearth.model.settings import Settings
from hearth.model.tensors import names_of
from hearth.model.text.config import DecoderConfig
from hearth.model.text.load import LoadedModel, load_decoder, load_decoder_config
from hearth.model.vision.model import Source
from hearth.model.vision.names import Naming, map_parameters
from hearth.model.vlm.families import FAMILIES, Family
from hearth.model.vlm.mmproj import restate
from hearth.model.vlm.model import LoadedSight, Sight
from hearth.model.weights import ComputedWeight, WeightSource
from hearth.model.weights import Source as AnySource


def load_family(checkpoint: Checkpoint, *, context: int | None = None) -> LoadedModel:
    """Says what language model a checkpoint holds.

    Args:
        checkpoint: an opened model; only its header is read, and small tables of rope factors.
        context: the context length to prepare for, in tokens, as `load_decoder`.

    Raises:
        Unsupported: an architecture, a setting or a tensor that Hearth does not know, by name.
        CorruptFile: a setting out of range, a tensor missing or of the wrong shape.
        UsageError: `context` is not positive.
    """
    if isinstance(checkpoint, JoinedCheckpoint):
        return _load_joined(checkpoint, context)
    family = _family_of(checkpoint.architecture, checkpoint.kind, checkpoint.config)
    if family is None:
        return load_decoder(checkpoint, context=context)
    refuse_unreadable(str(checkpoint.path), checkpoint.config, checkpoint.tensors)
    text, eyes = _halves(checkpoint, family)
    model = load_decoder(text, context=context)
    # Of some only the half that reads was published again.
    settings = Settings(eyes.config, where="config.json", defaults=family.defaults)
    sight = _load_sight(eyes, family, settings, family.naming, model.config) if eyes.tensors else None
    return replace(
        model,
        sources={name: _in_whole(source, text) for name, source in model.sources.items()},
        unused=tuple(text.names[name] for name in model.unused),
        sight=sight,
    )


def load_config(config: Mapping[str, Any], model_type: str, *, context: int | None = None) -> DecoderConfig:
    """What a config.json says of a language model, without its weights. Raises: as `load_family`."""
    family = _family_of(model_type, "safetensors", config)
    if family is None:
        return load_decoder_config(config, model_type, context=context)
    inner = _text_config(config, family)
    return load_decoder_config(inner, inner["model_type"], context=context)


def sight_of_config(config: Mapping[str, Any], model_type: str, text: DecoderConfig) -> Sight | None:
    """What a config.json says of how a language model sees; None: it does not. Raises: as `load_family`."""
    family = _family_of(model_type, "safetensors", config)
    if family is None:
        return None
    settings = Settings(config, where="config.json", defaults=family.defaults)
    return family.describe(Source(settings, (), family.naming, None), text)


def sees(architecture: str, kind: str, config: Mapping[str, Any]) -> bool:
    """Whether an architecture is a language model that sees."""
    return _family_of(architecture, kind, config) is not None


def _family_of(architecture: str, kind: str, config: Mapping[str, Any]) -> Family | None:
    return next((family for family in FAMILIES if family.answers_to(architecture, kind, config)), None)


def _text_config(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """The configuration of the decoder alone."""
    inner = Settings(config, where="config.json").table("text_config")
    if not inner and family.text_beside:
        inner = {key: value for key, value in config.items() if key not in ("model_type", "vision_config")}
    values: dict[str, Any] = {"model_type": family.text_type, **family.text_defaults, **inner}
    # Whether the head is the embedding is said outside, inside or in both; a head that is there counts in any case.
    values["tie_word_embeddings"] = bool(config.get("tie_word_embeddings") or values.get("tie_word_embeddings"))
    values["model_type"] = Settings(values, where="config.json, text_config").text("model_type")
    return values


def _halves(checkpoint: Checkpoint, family: Family) -> tuple[CheckpointPart, CheckpointPart]:
    """What reads and what sees."""
    text: dict[str, str] = {}
    eyes: dict[str, str] = {}
    for name in checkpoint.tensors:
        prefix = next((pair for pair in family.text_names if name.startswith(pair[0])), None)
        if prefix is None:
            eyes[name] = name
        else:
            text[prefix[1] + name.removeprefix(prefix[0])] = name
    config = _text_config(checkpoint.config, family)
    return (
        CheckpointPart(checkpoint, text, architecture=config["model_type"], config=config),
        CheckpointPart(checkpoint, eyes, architecture=checkpoint.architecture, config=checkpoint.config),
    )


def _load_joined(checkpoint: JoinedCheckpoint, context: int | None) -> LoadedModel:
    """A language model in a GGUF file, with the file that sees."""
    model = load_decoder(checkpoint.text, context=context)
    restated = restate(checkpoint)
    if restated is None:
        return model
    sight = _load_sight(checkpoint.eyes, restated.family, restated.settings, restated.naming, model.config)
    return replace(model, sight=replace(sight, processor=restated.processor))


def _load_sight(
    eyes: Checkpoint, family: Family, settings: Settings, naming: Naming, text: DecoderConfig
) -> LoadedSight:
    for key, values in family.fixed.items():
        if settings.get(key) is not None and settings.get(key) not in values:
            raise settings.unsupported(key, f"Hearth does not compute it for the family {family.name!r}.")
    sight = family.describe(Source(settings, names_of(eyes, naming.places), naming, None), text)
    places = replace(naming.places, ignored=(*naming.places.ignored, *sight.unused))
    sources, _ = map_parameters(eyes, family.name, [sight.part.declarations], replace(naming, places=places))
    return LoadedSight(family.name, sight, sources)


def _in_whole(source: AnySource, part: CheckpointPart) -> Any:
    """A parameter's source with the names that its tensors have in the whole checkpoint."""
    if isinstance(source, WeightSource):
        return replace(source, tensor=part.names[source.tensor])
    assert isinstance(source, ComputedWeight)
    return replace(source, tensors=tuple(part.names[tensor] for tensor in source.tensors))
