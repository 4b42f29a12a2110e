"""What a model on the hub is, how much of it would come, and whether it fits: before anything is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hearth.errors import UsageError
from hearth.fit import Verdict, verdict
from hearth.hub import Remote, preview
from hearth.hub.files import is_complete
from hearth.hub.ggufs import in_memory, is_readable
from hearth.measure.describe import context_of
from hearth.model.kinds import ENCODER, TEXT, VISION, KindName
from hearth.model.text.parameters import active_parameters
from hearth.preview import look_into, look_into_encoder, refuse_by_tensors, vision_architecture
from hearth.runtime import available_bytes


@dataclass(frozen=True)
class RemoteFileLine:
    """A GGUF file that can be chosen.

    Attributes:
        name: what to type to get it.
        fit: whether it fits here; what is in the way where it cannot be used at all.
    """

    name: str
    size_bytes: int
    fit: str | None


@dataclass(frozen=True)
class RemoteDescription:
    """A model on the hub, described.

    Attributes:
        name: what to type to get it: of a repository with several GGUF files, the one that fits best.
        license, gated: as `hub.Remote`.
        made_for: which kind of model it is; None where the server sends only whole files, so that what is in it cannot
            be known; then there is no family, and the numbers after it are 0.
        active_parameters: as in `TextDescription`.
        parameters, layers, memory_bytes: 0 where only the tensors would tell.
        context_max: tokens that its authors made it for.
        context: tokens that the memory is for; 0 where it keeps none.
        memory_bytes: weights, keys and values.
        fit: whether it fits here; None where the system does not tell.
        files: the GGUF files of its repository.
    """

    name: str
    download_bytes: int
    license: str | None
    gated: bool
    made_for: KindName | None
    memory_bytes: int
    fit: Verdict | None
    files: tuple[RemoteFileLine, ...]
    family: str | None = None
    parameters: int = 0
    active_parameters: int | None = None
    layers: int = 0
    formats: str = ""
    context_max: int = 0
    context: int = 0


def describe_remote(
    name: str, *, context: int | None = None, quant: str | None = None, head: str | None = None
) -> RemoteDescription:
    """Looks at a model on the hub.

    Args:
        context: tokens that memory is computed for; None: all that it was made for, up to 8192.
        quant, head: number formats to compute with.

    Raises:
        As `hub.preview` and `preview.look_into`. UsageError: the model has no such context.
    """
    remote = preview(name, memory_bytes=available_bytes())
    about = _of_encoder(remote, quant, head) or _of_vision(remote) or _of_text(remote, context, quant, head)
    if context is not None and about.made_for not in (TEXT, None):
        what = f"context is of no use to {remote.name}."
        raise UsageError(what, why="It is no language model.", hint="Leave it out.")
    return about


def _of_text(remote: Remote, context: int | None, quant: str | None, head: str | None) -> RemoteDescription:
    inside = look_into(remote, context=context)
    if inside is None:
        return _described(remote, None, 0)
    refuse_by_tensors(remote)
    size = inside.size(quant=quant, head=head)
    tokens = context_of(remote.name, context, inside.config.max_position)
    return _described(
        remote,
        TEXT,
        size.memory_bytes(tokens),
        family=inside.config.family,
        parameters=inside.parameters,
        active_parameters=active_parameters(inside.config),
        layers=inside.config.num_layers,
        formats=size.formats,
        context_max=inside.config.max_position,
        context=tokens,
        files=_files(remote, tokens * size.kv_bytes_per_token + size.state_bytes),
    )


def _of_encoder(remote: Remote, quant: str | None, head: str | None) -> RemoteDescription | None:
    inside = look_into_encoder(remote)
    if inside is None:
        return None
    size = inside.size(quant=quant, head=head)
    return _described(
        remote,
        ENCODER,
        size.weights_bytes,
        family=inside.config.family,
        parameters=inside.parameters,
        layers=len(inside.config.layers),
        formats=size.formats,
        context_max=inside.config.max_position,
    )


def _of_vision(remote: Remote) -> RemoteDescription | None:
    """How large it is compiled is known when its tensors are here: 8 bits for what was published with 16 or more."""
    architecture = vision_architecture(remote)
    return None if architecture is None else _described(remote, VISION, 0, family=architecture)


def _described(remote: Remote, made_for: KindName | None, memory_bytes: int, **known: Any) -> RemoteDescription:
    return RemoteDescription(
        name=remote.name,
        download_bytes=remote.size_bytes,
        license=remote.license,
        gated=remote.gated,
        made_for=made_for,
        memory_bytes=memory_bytes,
        fit=verdict(memory_bytes or remote.size_bytes),
        **{"files": _files(remote, 0), **known},
    )


def _files(remote: Remote, kept_bytes: int) -> tuple[RemoteFileLine, ...]:
    lines = []
    for file in remote.selection.choices:
        fit: str | None = verdict(in_memory(file.path, file.size_bytes) + kept_bytes)
        if not is_complete(file):
            fit = "not all parts of it are there"
        elif not is_readable(file.path):
            fit = "a format that Hearth does not read"
        lines.append(RemoteFileLine(remote.choice_name(file), file.size_bytes, fit))
    return tuple(lines)
