"""A name becomes a model on this disk: what is there is used as it is, what is not is downloaded."""

from __future__ import annotations

import contextlib

from hearth.errors import HearthError, NetworkError, UsageError
from hearth.hub import cache, local
from hearth.hub.download import download
from hearth.hub.failures import not_installed, translated
from hearth.hub.names import BuiltIn, HubName, LocalPath, Parsed, parse
from hearth.hub.propose import parse_or_propose
from hearth.hub.remote import Remote, look
from hearth.hub.settings import is_offline
from hearth.hub.types import Inspect, ProgressCallback, Source


def resolve(
    name: str,
    *,
    offline: bool = False,
    revision: str | None = None,
    progress: ProgressCallback | None = None,
    inspect: Inspect | None = None,
    memory_bytes: int | None = None,
) -> Source:
    """Finds a model by name, and downloads it if it is not on this disk.

    A model that is installed is returned without a look at the network, even if the hub has a newer one: see `pull`.

    Args:
        name: `starter`, a folder, a `.gguf` file, `owner/name`, `owner/name@revision`, `owner/name:Q4_K_M`, ...
            (docs/models.md).
        offline: never use the network (as HF_HUB_OFFLINE=1 says for the whole process).
        revision: branch, tag or commit of a repository on the hub; its main branch by default.
        progress: called while bytes come, about once a MiB.
        inspect: called before a model is downloaded, with what is to come; raises to refuse it.
        memory_bytes: what this machine can give; decides which of several GGUF files is taken where none is named.

    Raises:
        ModelNotFound: no such model, or not here and offline; a short name is answered with what it can mean.
        UsageError: the name is empty, contradicts `revision`, or can mean several GGUF files.
        Unsupported: its files are in no form that Hearth reads.
        NetworkError: the hub cannot be reached, or refuses.
        CorruptFile: what came is not what the hub says it is.
        StorageError: the cache cannot be written, or the disk is too small.
    """
    parsed = parse_or_propose(name, revision, memory_bytes)
    found = _here(parsed, memory_bytes)
    if found is not None:
        return found
    assert isinstance(parsed, HubName)
    if offline or is_offline():
        raise not_installed(str(parsed), offline="option" if offline else "environment")
    return download(parsed, progress, inspect=inspect, memory_bytes=memory_bytes)


def installed(name: str, *, memory_bytes: int | None = None) -> Source:
    """A model that is on this disk. Never uses the network, and does not speak of it.

    Raises:
        As `resolve`; ModelNotFound where it is not here.
    """
    parsed = parse_or_propose(name, None, memory_bytes)
    found = _here(parsed, memory_bytes)
    if found is None:
        raise not_installed(str(parsed))
    return found


def pull(
    name: str,
    *,
    revision: str | None = None,
    progress: ProgressCallback | None = None,
    inspect: Inspect | None = None,
    memory_bytes: int | None = None,
) -> Source:
    """Downloads a model, or what is new of it; for a local name there is nothing to do but to find it.

    An interrupted pull leaves the model that was there before in place, and the next one goes on where it stopped.

    Args: as `resolve`.

    Raises: as `resolve`; with offline mode on, NetworkError.
    """
    parsed = parse_or_propose(name, revision, memory_bytes)
    if not isinstance(parsed, HubName):
        return _local(parsed)
    if is_offline():
        raise NetworkError(
            f"{name!r} cannot be pulled while offline mode is on (HF_HUB_OFFLINE).",
            hint="It is installed and can be used." if _here(parsed, memory_bytes) else "Unset HF_HUB_OFFLINE first.",
        )
    return download(parsed, progress, inspect=inspect, memory_bytes=memory_bytes)


def preview(name: str, *, memory_bytes: int | None = None) -> Remote:
    """A model on the hub as it is described there; nothing is downloaded.

    Raises:
        UsageError: the name is that of something on this disk. Else as `pull`.
    """
    parsed = parse_or_propose(name, None, memory_bytes)
    if not isinstance(parsed, HubName):
        raise UsageError(f"{_local(parsed).name} is on this disk.")
    if is_offline():
        raise not_installed(str(parsed), offline="environment")
    return look(parsed, memory_bytes)


def canonical_name(name: str) -> str:
    """What a model goes by in lists, in a server and on the page, whichever of its names it is called by here.

    Only what is installed is known to have another one; whatever else is typed stays as it is.
    """
    with contextlib.suppress(HearthError):
        parsed = parse_or_propose(name, None, None)
        if isinstance(parsed, HubName):
            found = _here(parsed, None)
            plain = found.name if found is not None else str(parsed)
            # A folder of that name would win over the hub's.
            return f"hf:{plain}" if isinstance(parse(plain), LocalPath) else plain
        if isinstance(parsed, LocalPath):
            return str(parsed.path)
    return name.strip()


def _here(parsed: Parsed, memory_bytes: int | None) -> Source | None:
    if not isinstance(parsed, HubName):
        return _local(parsed)
    with translated(parsed.repo_id):
        return cache.find(parsed, memory_bytes)


def _local(parsed: LocalPath | BuiltIn) -> Source:
    return local.built_in(parsed) if isinstance(parsed, BuiltIn) else local.open_local(parsed.path)
