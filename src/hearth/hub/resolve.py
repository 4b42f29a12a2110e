"""A name becomes a model on this disk: what is there is used as it is, what is not is downloaded."""

from __future__ import annotations

from hearth.errors import NetworkError
from hearth.hub import cache, local
from hearth.hub.download import download
from hearth.hub.failures import offline_refusal, translated
from hearth.hub.names import HubName, LocalPath, parse
from hearth.hub.settings import is_offline
from hearth.hub.types import ProgressCallback, Source


def resolve(
    name: str, *, offline: bool = False, revision: str | None = None, progress: ProgressCallback | None = None
) -> Source:
    """Finds a model by name, and downloads it if it is not on this disk.

    A model that is installed is returned without a look at the network, even if the hub has a newer one: see `pull`.

    Args:
        name: `starter`, a folder, a `.gguf` file, `owner/name`, `owner/name@revision` or `hf:owner/name:file.gguf`.
        offline: never use the network (as HF_HUB_OFFLINE=1 says for the whole process).
        revision: branch, tag or commit of a repository on the hub; its main branch by default.
        progress: called while bytes come, about once a MiB.

    Raises:
        ModelNotFound: no such model, or not here and offline.
        UsageError: the name is empty, contradicts `revision`, or leaves open which of several GGUF files is meant.
        Unsupported: its files are in no form that Hearth reads.
        NetworkError: the hub cannot be reached, or refuses.
        CorruptFile: what came is not what the hub says it is.
        StorageError: the cache cannot be written, or the disk is too small.
    """
    parsed = parse(name, revision)
    if not isinstance(parsed, HubName):
        return _local(parsed)
    with translated(parsed.repo_id):
        found = cache.find(parsed)
    if found is not None:
        return found
    if offline or is_offline():
        raise offline_refusal(str(parsed))
    return download(parsed, progress)


def pull(name: str, *, revision: str | None = None, progress: ProgressCallback | None = None) -> Source:
    """Downloads a model, or what is new of it; for a local name there is nothing to do but to find it.

    An interrupted pull leaves the model that was there before in place, and the next one goes on where it stopped.

    Raises: as `resolve`; with offline mode on, NetworkError.
    """
    parsed = parse(name, revision)
    if not isinstance(parsed, HubName):
        return _local(parsed)
    if is_offline():
        raise NetworkError(
            f"{name!r} cannot be pulled while offline mode is on (HF_HUB_OFFLINE).",
            hint="It is installed and can be used." if cache.find(parsed) else "Unset HF_HUB_OFFLINE first.",
        )
    return download(parsed, progress)


def _local(parsed: LocalPath | None) -> Source:
    return local.starter() if parsed is None else local.open_local(parsed.path)
