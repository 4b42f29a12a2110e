"""What is installed, and how to remove it."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

from hearth.errors import ModelNotFound, StorageError, UsageError
from hearth.hub import cache, ggufs, local
from hearth.hub.cache import Repo
from hearth.hub.failures import not_installed, storage_failure
from hearth.hub.names import STARTER, BuiltIn, HubName, LocalPath, parse_hub_name
from hearth.hub.packaged import PACKAGED
from hearth.hub.propose import parse_or_propose
from hearth.hub.types import Installed


def list_models() -> list[Installed]:
    """The starter, models in installed packages, then every model in the Hugging Face cache that Hearth reads, by name;
    the cut downloads among them.

    Raises:
        StorageError: the cache cannot be read.
    """
    models: list[Installed] = []
    with contextlib.suppress(ModelNotFound):
        starter = local.starter()
        models.append(Installed(STARTER, "starter", starter.size_bytes, starter.path))
    for name in PACKAGED:
        with contextlib.suppress(ModelNotFound):
            source = local.built_in(BuiltIn(name))
            models.append(Installed(name, source.kind, source.size_bytes, source.path, _last_used(source.path)))
    try:
        for repo in cache.repos():
            models += _models_of(repo)
    except OSError as error:
        raise storage_failure(error) from error
    return models


def _models_of(repo: Repo) -> list[Installed]:
    models: list[Installed] = []
    for name in cache.names_of(repo):
        source = cache.find(parse_hub_name(name))
        if source is not None:
            models.append(Installed(name, source.kind, source.size_bytes, source.path, _last_used(source.path)))
    begun = _begun(repo)
    if models and begun:
        models[0] = replace(models[0], update_bytes=sum(p.stat().st_size for p in begun))
    elif begun:
        size_bytes = sum(p.stat().st_size for p in repo.blobs.iterdir() if p.is_file())
        models.append(Installed(repo.repo_id, "folder", size_bytes, repo.path, _last_used(repo.blobs), complete=False))
    return models


def _begun(repo: Repo) -> list[Path]:
    """Files of a download that was cut: parts of Hearth's, and whole ones that no snapshot has yet."""
    if not repo.blobs.is_dir():
        return []
    linked = {path.resolve() for path in (repo.path / "snapshots").rglob("*") if path.is_symlink()}
    return [
        blob
        for blob in repo.blobs.iterdir()
        if blob.name.endswith(cache.PART_SUFFIX)
        or (blob.is_file() and not blob.name.endswith(".incomplete") and blob.resolve() not in linked)
    ]


def _last_used(path: Path) -> float | None:
    """Latest access to a model's files. A file system may be mounted so that it records this rarely, or never."""
    files = [p for p in path.iterdir() if p.is_file()] if path.is_dir() else [path]
    return max((max(s.st_atime, s.st_mtime) for s in (p.stat() for p in files)), default=None)


def remove(name: str, *, dry_run: bool = False) -> int:
    """Removes a model from the Hugging Face cache, with all its revisions and parts of downloads.

    `owner/name` removes the repository, `owner/name@revision` that revision, `hf:owner/name:file.gguf` that file.

    Args:
        dry_run: remove nothing, only say what would be freed.

    Returns:
        Bytes freed.

    Raises:
        UsageError: the model is the starter, or a file or folder of the user's own.
        ModelNotFound: it is not installed.
        StorageError: it cannot be deleted.
    """
    parsed = parse_or_propose(name, None, None)
    if isinstance(parsed, BuiltIn):
        raise _built_in(parsed)
    if isinstance(parsed, LocalPath):
        parsed = _refuse_path(parsed, name)
    repo = Repo.of(parsed.repo_id)
    if not repo.path.is_dir():
        raise not_installed(name)
    try:
        if parsed.file is not None:
            return _remove_file(repo, parsed, name, dry_run)
        if parsed.revision is not None:
            commit = repo.commit(parsed.revision)
            if commit is None:
                raise not_installed(name)
            return _remove_revisions(repo, {commit}, dry_run)
        return _remove_repo(repo, dry_run)
    except OSError as error:
        raise StorageError(f"{name!r} cannot be removed.", why=str(error)) from error


def _built_in(model: BuiltIn) -> UsageError:
    if model.name == STARTER:
        return UsageError("The starter model is part of Hearth and cannot be removed by itself.")
    distribution = PACKAGED[model.name].distribution
    return UsageError(
        f"{model.name} is in the Python package {distribution}.", hint=f"Remove that: pip uninstall {distribution}"
    )


def _refuse_path(parsed: LocalPath, name: str) -> HubName:
    """A path is the user's own, unless it only happens to be called as an installed model is."""
    if not parsed.path.exists():
        raise not_installed(name)
    raise UsageError(
        f"{parsed.path} is a file or folder of your own: Hearth does not remove it.",
        hint="Delete it yourself if you want to; for the hub's model of that name: hearth rm hf:OWNER/NAME",
    )


def _remove_repo(repo: Repo, dry_run: bool) -> int:
    commits = {p.name for p in (repo.path / "snapshots").glob("*") if p.is_dir()}
    contents = [p for folder in ("blobs", "snapshots") for p in (repo.path / folder).rglob("*") if not p.is_symlink()]
    size_bytes = sum(p.stat().st_size for p in contents if p.is_file())
    if dry_run:
        return size_bytes
    # huggingface_hub forgets the revisions (and its shared blobs) first; what it does not know of, parts of downloads
    # and a folder that it finds inconsistent, goes after it.
    _remove_revisions(repo, commits, dry_run)
    if repo.path.exists():
        shutil.rmtree(repo.path)
    shutil.rmtree(repo.path.parent / ".locks" / repo.path.name, ignore_errors=True)
    return size_bytes


def _remove_revisions(repo: Repo, commits: set[str], dry_run: bool) -> int:
    """Deletes snapshots and the blobs that no other snapshot uses. Returns bytes freed."""
    from huggingface_hub import scan_cache_dir

    info = scan_cache_dir(repo.path.parent)
    known = {r.commit_hash for cached in info.repos if cached.repo_path == repo.path for r in cached.revisions}
    if not commits & known:
        return 0
    strategy = info.delete_revisions(*(commits & known))
    if not dry_run:
        strategy.execute()
    return strategy.expected_freed_size


def _remove_file(repo: Repo, parsed: HubName, name: str, dry_run: bool) -> int:
    """Deletes one GGUF model; the whole repository's folder when it was the last model in it."""
    source = cache.find(parsed)
    if source is None:
        raise not_installed(name)
    if len(cache.names_of(repo)) == 1 and not repo.parts():
        return _remove_repo(repo, dry_run)
    snapshots = repo.path / "snapshots"
    files = ggufs.part_files(source.path)
    used = {p.resolve() for p in snapshots.rglob("*") if p.is_symlink() and p not in files}
    freed = sum(file.stat().st_size for file in files if file.resolve() not in used)
    if dry_run:
        return freed
    for file in files:
        blob = file.resolve()
        file.unlink()
        if blob.is_relative_to(repo.blobs.resolve()) and blob not in used:
            blob.unlink(missing_ok=True)
    return freed
