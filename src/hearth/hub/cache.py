"""Finds models in the Hugging Face cache, without a network, and says which of them are whole.

The cache's layout is documented by Hugging Face and shared with its other tools: for each repository a folder
`models--owner--name` with `blobs/` (contents, named by hash), `snapshots/COMMIT/` (links to blobs under the files'
names) and `refs/REVISION` (the commit a branch or tag pointed to when it was last pulled).
"""

from __future__ import annotations

import contextlib
import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hearth.hub.files import INDEX_FILE, SHARD
from hearth.hub.names import STARTER, HubName
from hearth.hub.settings import cache_dir
from hearth.hub.types import Source

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


def find(name: HubName) -> Source | None:
    """The model on this disk if all of its files are; None otherwise. Never touches the network."""
    repo = Repo.of(name.repo_id)
    commit = repo.commit(name.revision or DEFAULT_REVISION)
    if commit is None:
        return None
    snapshot = repo.snapshot(commit)
    if name.file is not None:
        return _gguf(name, snapshot, name.file, commit)
    if is_whole(snapshot):
        size_bytes = sum(p.stat().st_size for p in snapshot.iterdir() if p.is_file())
        return Source(str(name), snapshot, "folder", name.repo_id, commit, size_bytes)
    # One GGUF file that was pulled is what its repository's name stands for from then on; several are a question.
    files = ggufs(snapshot)
    return _gguf(name, snapshot, files[0], commit) if len(files) == 1 else None


def _gguf(name: HubName, snapshot: Path, file: str, commit: str) -> Source | None:
    path = snapshot / file
    if not path.is_file():
        return None
    full_name = str(HubName(name.repo_id, name.revision, file))
    return Source(full_name, path, "gguf", name.repo_id, commit, path.stat().st_size)


def ggufs(snapshot: Path) -> list[str]:
    """The GGUF files of a snapshot that are models of their own, as paths inside it."""
    paths = (p.relative_to(snapshot).as_posix() for p in sorted(snapshot.rglob("*.gguf")) if p.is_file())
    return [p for p in paths if "mmproj" not in p.lower() and not SHARD.fullmatch(p)]


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a config.json and every file of its safetensors weights."""
    if not (folder / "config.json").is_file():
        return False
    index = folder / INDEX_FILE
    if index.exists():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
            return bool(shards) and all((folder / shard).is_file() for shard in shards)
        return False
    names = [p.name for p in folder.glob("*.safetensors") if p.is_file()]
    if "model.safetensors" in names:
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
    """What to type for each whole model of a repository: `owner/name`, `owner/name@tag`, `hf:owner/name:file.gguf`."""
    found: list[str] = []
    seen: set[str] = set()
    for revision in repo.revisions():
        commit = repo.commit(revision)
        if commit is None or commit in seen:  # a tag of the very commit that a branch has is no other model
            continue
        seen.add(commit)
        shown = None if revision == DEFAULT_REVISION else revision
        snapshot = repo.snapshot(commit)
        if is_whole(snapshot):
            found.append(str(HubName(repo.repo_id, shown)))
        found += [str(HubName(repo.repo_id, shown, file)) for file in ggufs(snapshot)]
    return found


def close_names(name: str, limit: int = 3) -> list[str]:
    """Names of installed models that look like `name`, the closest first."""
    wanted = name.removeprefix("hf:").lower()
    known: dict[str, str] = {STARTER: STARTER}
    with contextlib.suppress(OSError):  # a proposal in an error must not become another error
        for repo in repos():
            for full in names_of(repo):
                # Both the whole name and its last part count, so that `qwen3-0.6b` finds `Qwen/Qwen3-0.6B`.
                bare = full.removeprefix("hf:").lower()
                known[bare] = full
                known.setdefault(bare.split("/", 1)[-1], full)
    matches = difflib.get_close_matches(wanted, known, n=limit * 2, cutoff=0.6)
    return list(dict.fromkeys(known[match] for match in matches))[:limit]
