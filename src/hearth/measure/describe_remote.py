"""What a model on the hub is, how much of it would come, and whether it fits: before anything is downloaded."""

from __future__ import annotations

from dataclasses import dataclass

from hearth.fit import Verdict, verdict
from hearth.hub import Remote, preview
from hearth.hub.ggufs import is_part, is_readable
from hearth.measure.describe import context_of
from hearth.preview import look_into, refuse_by_tensors
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
        family: None where the server sends only whole files, so that what is in it cannot be known; then the numbers
            after it are 0.
        context_max: tokens that its authors made it for.
        context: tokens that the memory is for.
        memory_bytes: weights, keys and values.
        fit: whether it fits here; None where the system does not tell.
        files: the GGUF files of its repository.
    """

    name: str
    download_bytes: int
    license: str | None
    gated: bool
    family: str | None
    parameters: int
    layers: int
    formats: str
    context_max: int
    context: int
    memory_bytes: int
    fit: Verdict | None
    files: tuple[RemoteFileLine, ...]


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
    inside = look_into(remote, context=context)
    if inside is None:
        fit = verdict(remote.size_bytes)
        return RemoteDescription(
            remote.name,
            remote.size_bytes,
            remote.license,
            remote.gated,
            None,
            0,
            0,
            "",
            0,
            0,
            0,
            fit,
            _files(remote, 0),
        )
    refuse_by_tensors(remote)
    size = inside.size(quant=quant, head=head)
    tokens = context_of(remote.name, context, inside.config.max_position)
    return RemoteDescription(
        name=remote.name,
        download_bytes=remote.size_bytes,
        license=remote.license,
        gated=remote.gated,
        family=inside.config.family,
        parameters=inside.parameters,
        layers=inside.config.num_layers,
        formats=size.formats,
        context_max=inside.config.max_position,
        context=tokens,
        memory_bytes=size.memory_bytes(tokens),
        fit=verdict(size.memory_bytes(tokens)),
        files=_files(remote, tokens * size.kv_bytes_per_token),
    )


def _files(remote: Remote, kv_bytes: int) -> tuple[RemoteFileLine, ...]:
    lines = []
    for file in remote.selection.choices:
        fit: str | None = verdict(file.size_bytes + kv_bytes)  # packed weights are about as large as the file
        if is_part(file.path):
            fit = "a part of a split file"
        elif not is_readable(file.path):
            fit = "a format that Hearth does not read"
        lines.append(RemoteFileLine(remote.choice_name(file), file.size_bytes, fit))
    return tuple(lines)
