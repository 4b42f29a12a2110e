"""Adapters by name: a folder, a file, or a repository of the hub, of which what an adapter is made of is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hearth.errors import ModelNotFound, Unsupported, UsageError
from hearth.hub.cache import DEFAULT_REVISION, Repo
from hearth.hub.download import bring
from hearth.hub.files import RemoteFile, Selection
from hearth.hub.ggufs import is_gguf
from hearth.hub.names import HubName, LocalPath, parse
from hearth.hub.settings import is_offline
from hearth.hub.types import ProgressCallback

_FORMS = "An adapter is a folder that peft wrote, a .gguf file, `owner/name` or `owner/name:file.gguf`."
_PEFT_FILES = ("adapter_config.json", "adapter_model.safetensors")


def resolve_adapter(name: str, *, offline: bool = False, progress: ProgressCallback | None = None) -> Path:
    """Where an adapter is on this disk: a folder that peft wrote, or a GGUF file. It is downloaded if need be.

    Args:
        name: a folder, a `.gguf` file, `owner/name`, `owner/name@revision`, `owner/name:file.gguf`.
        offline: never use the network.

    Raises:
        ModelNotFound: there is none of that name, or not here and offline.
        Unsupported: the repository holds no adapter.
        NetworkError, CorruptFile, StorageError: as `resolve`.
    """
    try:
        parsed = parse(name)
    except (ModelNotFound, UsageError) as error:
        raise ModelNotFound(f"There is no adapter {name[:200]!r}.", hint=_FORMS) from error
    if isinstance(parsed, LocalPath):
        if not parsed.path.exists():
            raise ModelNotFound(f"There is no adapter {name!r}.", why=f"{parsed.path} does not exist.", hint=_FORMS)
        return parsed.path
    if not isinstance(parsed, HubName):
        raise ModelNotFound(f"{name!r} is a model, and no adapter.", hint=_FORMS)
    found = _here(parsed)
    if found is not None:
        return found
    if offline or is_offline():
        forbids = "--offline" if offline else "HF_HUB_OFFLINE"
        raise ModelNotFound(
            f"The adapter {str(parsed)!r} is not installed, and {forbids} forbids to download it.",
            hint=f"{'Leave out' if offline else 'Unset'} {forbids} once; it is kept then.",
        )
    bring(parsed, progress, choose=_choose)
    found = _here(parsed)
    assert found is not None  # all files of the selection came
    return found


def _here(name: HubName) -> Path | None:
    repo = Repo.of(name.repo_id)
    commit = repo.commit(name.revision or DEFAULT_REVISION)
    if commit is None:
        return None
    folder = repo.snapshot(commit)
    if name.file is not None:
        return folder / name.file if is_gguf(name.file) and (folder / name.file).is_file() else None
    if all((folder / file).is_file() for file in _PEFT_FILES):
        return folder
    files = sorted(folder.glob("*.gguf"))
    return files[0] if len(files) == 1 else None


def _choose(repo_id: str, files: Sequence[RemoteFile], wanted: str | None, memory_bytes: int | None) -> Selection:
    """The files of an adapter in a repository."""
    by_path = {file.path: file for file in files}
    if wanted is not None:
        if wanted not in by_path or not is_gguf(wanted):
            raise ModelNotFound(f"{repo_id!r} has no file {wanted!r} that is an adapter.")
        return Selection((by_path[wanted],))
    if all(path in by_path for path in _PEFT_FILES):
        return Selection(tuple(by_path[path] for path in _PEFT_FILES))
    ggufs = [file for file in files if is_gguf(file.path) and "/" not in file.path]
    if len(ggufs) == 1:
        return Selection((ggufs[0],))
    hint = f"Name one: {', '.join(f'{repo_id}:{file.path}' for file in ggufs[:8])}" if ggufs else ""
    raise Unsupported(
        f"{repo_id!r} holds no adapter that Hearth reads.",
        why=f"There is no {_PEFT_FILES[1]} beside an {_PEFT_FILES[0]}, and {len(ggufs) or 'no'} GGUF files.",
        hint=hint,
    )
