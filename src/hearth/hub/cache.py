"""Finds models in the Hugging Face cache, without a network, and says which of them are whole.

The cache's layout is documented by Hugging Face and shared with its other tools: for each repository a folder
`models--owner--name` with `blobs/` (contents, named by hash), `snapshots/COMMIT/` (links to blobs under the files'
names) and `refs/REVISION` (the commit a branch or tag pointed to when it was last pulled).
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from hearth.errors import UsageError
from hearth.hub import ggufs
from hearth.hub.names import HubName
from hearth.hub.settings import cache_dir
from hearth.hub.types import Source
from hearth.hub.weights import SHARD, form_in

DEFAULT_REVISION = "main"
# Hearth's unfinished downloads in blobs/; the ending is the one by which other tools know such files.
PART_SUFFIX = ".hearth.incomplete"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PREFIX = "models--"


@dataclass(frozen=True)
class Repo:
    """A model repository's folder in the cache."""

    repo_id: str
    path: Path

    @classmethod
    def of(cls, repo_id: str) -> Repo:
        """The folder that `repo_id` has, or would have."""
        return cls(repo_id, cache_dir() / (_PREFIX + repo_id.replace("/", "--")))

    @property
    def blobs(self) -> Path:
        return self.path / "blobs"

    def snapshot(self, commit: str) -> Path:
        """The folder of one commit's files."""
        return self.path / "snapshots" / commit

    def commit(self, revision: str) -> str | None:
        """The commit that `revision` meant when it was last pulled, if its files are here."""
        if _COMMIT.fullmatch(revision):
            commit = revision
        else:
            try:
                commit = (self.path / "refs" / revision).read_text("ascii").strip()
            except (OSError, ValueError):
                return None
        return commit if _COMMIT.fullmatch(commit) and self.snapshot(commit).is_dir() else None

    def revisions(self) -> list[str]:
        """Branches and tags that were pulled, the main branch first."""
        refs = self.path / "refs"
        if not refs.is_dir():
            return []
        names = (p.relative_to(refs).as_posix() for p in refs.rglob("*") if p.is_file())
        return sorted(names, key=lambda name: (name != DEFAULT_REVISION, name))

    def parts(self) -> list[Path]:
        """Files of unfinished downloads: Hearth's, which a pull takes up again, and other tools'."""
        return sorted(self.blobs.glob("*.incomplete"))


def repos() -> Iterator[Repo]:
    """All model repositories in the cache, by name."""
    root = cache_dir()
    if not root.is_dir():
        return
    for path in sorted(root.glob(_PREFIX + "*--*")):
        if path.is_dir():
            yield Repo(path.name.removeprefix(_PREFIX).replace("--", "/"), path)


def find(name: HubName, memory_bytes: int | None = None) -> Source | None:
    """The model on this disk if all of its files are; None otherwise. Never touches the network.

    Args:
        memory_bytes: where `name` leaves open which of several GGUF files is meant, one that fits in these is taken.

    Raises:
        UsageError: `name.file` can mean several of the files that are here.
    """
    repo = Repo.of(name.repo_id)
    commit = repo.commit(name.revision or DEFAULT_REVISION)
    if commit is None:
        return None
    snapshot = repo.snapshot(commit)
    if name.file is None and is_whole(snapshot):
        size_bytes = sum(p.stat().st_size for p in snapshot.rglob("*") if p.is_file())
        return Source(str(name), snapshot, "folder", name.repo_id, commit, size_bytes)
    # What is here is what a name stands for, whatever else its repository has: nothing is asked of the network.
    files = gguf_files(snapshot)
    if name.file is None:
        chosen = ggufs.best(files, memory_bytes)
    else:
        found = ggufs.matching(name.repo_id, list(files), name.file)
        if len(found) > 1:
            raise UsageError(
                f"{name} can be {len(found)} files.",
                hint=f"Say which: {' or '.join(full_name(name, path, files) for path in found)}",
            )
        chosen = found[0] if found else None
    if chosen is None:
        return None
    notices: tuple[str, ...] = ()
    if name.file is None and len(files) > 1:
        notices = (f"{len(files)} files of {name} are here; {full_name(name, chosen, files)} is taken.",)
    return Source(
        full_name(name, chosen, files), snapshot / chosen, "gguf", name.repo_id, commit, files[chosen], notices=notices
    )


def full_name(name: HubName, path: str, others: Collection[str]) -> str:
    """The one name that a GGUF file goes by everywhere: in lists, in a server, on the page.

    Args:
        others: files that it must be told apart from.
    """
    short = ggufs.short_name(name.repo_id, path)
    is_clear = ggufs.matching(name.repo_id, list(others), short) == [path]
    return str(HubName(name.repo_id, name.revision, short if is_clear else path))


def gguf_files(snapshot: Path) -> dict[str, int]:
    """The GGUF models of a snapshot: path inside it -> bytes; of a split one, if all of it is there, of the first part
    -> bytes of all."""
    sizes = {p.relative_to(snapshot).as_posix(): p.stat().st_size for p in snapshot.rglob("*") if p.is_file()}
    models = (path for path in ggufs.models_among(sizes) if ggufs.is_whole(path, sizes))
    return {path: sum(sizes[part] for part in ggufs.parts_of(path)) for path in models}


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a config.json and every file of its weights."""
    if not (folder / "config.json").is_file():
        return False
    form = form_in(folder)
    if form is None:
        return False
    index = folder / form.index
    if index.exists():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            shards = set(json.loads(index.read_text("utf-8-sig"))["weight_map"].values())
            return bool(shards) and all((folder / shard).is_file() for shard in shards)
        return False
    names = [p.name for p in folder.iterdir() if form.is_weights(p.name) and p.is_file()]
    if form.single in names:
        return True
    return bool(names) and all(_siblings_present(name, names) for name in names)


def _siblings_present(name: str, names: list[str]) -> bool:
    """Whether all shards of the set that `name` belongs to are in `names`; true for what is no shard."""
    match = SHARD.fullmatch(name)
    if match is None:
        return True
    count = int(match["count"])
    return all(f"{match['stem']}-{n:05d}-of-{count:05d}{match['suffix']}" in names for n in range(1, count + 1))


def names_of(repo: Repo) -> list[str]:
    """What to type for each whole model of a repository: `owner/name`, `owner/name@tag`, `owner/name:Q4_K_M`."""
    found: list[str] = []
    seen: set[str] = set()
    for revision in repo.revisions():
        commit = repo.commit(revision)
        if commit is None or commit in seen:  # a tag of the very commit that a branch has is no other model
            continue
        seen.add(commit)
        name = HubName(repo.repo_id, None if revision == DEFAULT_REVISION else revision)
        snapshot = repo.snapshot(commit)
        if is_whole(snapshot):
            found.append(str(name))
        files = gguf_files(snapshot)
        found += [full_name(name, path, files) for path in files]
    return found
