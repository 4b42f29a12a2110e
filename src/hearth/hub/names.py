"""What a user typed, taken apart: the starter, a path on this disk, or a repository of the hub."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from hearth.errors import ModelNotFound, UsageError

STARTER = "starter"

# `owner/name`, each part as the hub allows it; `hf:` in front, `@revision` and `:file.gguf` behind are optional.
_HUB_NAME = re.compile(
    r"""(?P<prefix>hf:)?
        (?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)
        (?:@(?P<revision>[^@:\s]+))?
        (?::(?P<file>[^:@\s][^:@]*))?""",
    re.VERBOSE | re.ASCII,
)

FORMS = (
    "A model is `starter`, a folder, a .gguf file, `owner/name`, `owner/name@revision` or `hf:owner/name:file.gguf`."
)


@dataclass(frozen=True)
class HubName:
    """A repository of the hub, at a revision (a branch, tag or commit), and one GGUF file of it or the whole."""

    repo_id: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf:{self.repo_id}{revision}:{self.file}" if self.file else f"{self.repo_id}{revision}"


@dataclass(frozen=True)
class LocalPath:
    """A folder or file of this disk, existing or not."""

    path: Path


def parse(name: str, revision: str | None = None) -> HubName | LocalPath | None:
    """Says what `name` means; None is the starter.

    What looks like a path or exists on this disk is a path, so a folder `owner/name` wins over the hub's repository
    of that name; `hf:owner/name` always means the hub.

    Raises:
        UsageError: the name is empty, or `revision` contradicts it.
        ModelNotFound: the name has no form that Hearth knows.
    """
    name = name.strip()
    if not name:
        raise UsageError("No model was named.", hint=FORMS)
    parsed: HubName | LocalPath | None
    if name == STARTER:
        parsed = None
    elif not name.startswith("hf:") and _looks_like_path(name):
        parsed = LocalPath(Path(name).expanduser().absolute())
    else:
        parsed = _parse_hub_name(name)
    if revision is not None:
        if not isinstance(parsed, HubName):
            raise UsageError(f"{name!r} lies on this disk and has no revision {revision!r}.")
        if parsed.revision not in (None, revision):
            raise UsageError(f"{name!r} names one revision, and {revision!r} was asked as well.")
        parsed = HubName(parsed.repo_id, revision, parsed.file)
    return parsed


def _looks_like_path(name: str) -> bool:
    if name.startswith(("/", "./", "../", "~", ".\\", "..\\")) or name in (".", ".."):
        return True
    if os.sep == "\\" and re.match(r"[A-Za-z]:[\\/]", name):
        return True
    # `hf:` is gone here, so a colon means a mistyped hub name and not a file.
    return (name.lower().endswith(".gguf") and ":" not in name) or os.path.lexists(name)


def _parse_hub_name(name: str) -> HubName:
    match = _HUB_NAME.fullmatch(name)
    if match is None:
        raise ModelNotFound(f"{name!r} is no model that Hearth knows.", hint=FORMS)
    repo_id, file = match["repo"], match["file"]
    if ".." in repo_id or "--" in repo_id or repo_id.endswith((".git", ".", "-")):
        raise ModelNotFound(f"{repo_id!r} is no name that a repository of the hub can have.", hint=FORMS)
    if file is not None:
        if not file.lower().endswith(".gguf"):
            raise ModelNotFound(f"{file!r} is no .gguf file.", hint=f"For the whole repository: {repo_id}")
        if file.startswith("/") or ".." in file.split("/") or "\\" in file:
            raise ModelNotFound(f"{file!r} is no path inside a repository.")
    revision = match["revision"]
    if revision is not None and (revision.startswith("/") or ".." in revision or "\\" in revision):
        # It becomes a file name below refs/ in the cache.
        raise ModelNotFound(f"{revision!r} is no name that a revision can have.")
    return HubName(repo_id, revision, file)
