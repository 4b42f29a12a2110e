"""What a user typed, taken apart: a model that comes with Hearth or a package, a path, or a repository of the hub."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hearth.errors import ModelNotFound, UsageError
from hearth.hub import ggufs
from hearth.hub.packaged import PACKAGED
from hearth.hub.settings import endpoint

STARTER = "starter"

# `owner/name`, each part as the hub allows it; `hf:` in front, `@revision` and `:file` behind are optional.
_HUB_NAME = re.compile(
    r"""(?P<prefix>hf:)?
        (?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)
        (?:@(?P<revision>[^@:\s]+))?
        (?::(?P<file>[^:@\s][^:@]*))?""",
    re.VERBOSE | re.ASCII,
)
_HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co", "hf-mirror.com")
# What may follow `owner/name` in the address of a page or file of a model.
_PAGES_OF_A_REVISION = ("blob", "resolve", "raw", "tree", "commit", "commits")
_OTHER_FILE = re.compile(r".*\.[A-Za-z]{2,}")
_OLLAMAS_DEFAULT = "latest"

FORMS = (
    "A model is `starter`, a folder, a .gguf file, `owner/name`, `owner/name@revision`, `owner/name:Q4_K_M`, "
    "`owner/name:file.gguf` or the address of its page on the hub."
)


@dataclass(frozen=True)
class HubName:
    """A repository of the hub, at a revision (a branch, tag or commit), and one GGUF file of it or the whole.

    Attributes:
        file: a path in the repository, a number format (`Q4_K_M`), or a part of a file's name (`ggufs.matching`).
    """

    repo_id: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        return self.repo_id + (f"@{self.revision}" if self.revision else "") + (f":{self.file}" if self.file else "")


def can_mean(asked: HubName, model: HubName) -> bool:
    """Whether `asked` is another name of `model`: of a GGUF file its path, its format, or its repository alone."""
    if (asked.repo_id, asked.revision) != (model.repo_id, model.revision):
        return False
    names = {ggufs.short_name(name.repo_id, name.file).lower() for name in (asked, model) if name.file is not None}
    return asked.file is None or (model.file is not None and len(names) == 1)


@dataclass(frozen=True)
class LocalPath:
    """A folder or file of this disk, existing or not."""

    path: Path


@dataclass(frozen=True)
class BuiltIn:
    """A model that needs no hub: the starter, or one in an installed Python package (`packaged.PACKAGED`)."""

    name: str


Parsed = HubName | LocalPath | BuiltIn


def parse(name: str, revision: str | None = None) -> Parsed:
    """Says what `name` means.

    What looks like a path or exists on this disk is a path, so a folder `owner/name` wins over the hub's repository
    of that name; `hf:owner/name` always means the hub.

    Raises:
        UsageError: the name is empty, or `revision` contradicts it.
        ModelNotFound: the name has no form that Hearth knows.
    """
    name = name.strip()
    if not name:
        raise UsageError("No model was named.", hint=FORMS)
    parsed: Parsed
    if name == STARTER or name in PACKAGED:
        parsed = BuiltIn(name)
    elif not name.startswith("hf:") and _looks_like_path(name):
        parsed = LocalPath(Path(name).expanduser().absolute())
    else:
        parsed = parse_hub_name(name)
    if revision is not None:
        if not isinstance(parsed, HubName):
            raise UsageError(f"{name!r} lies on this disk and has no revision {revision!r}.")
        if parsed.revision not in (None, revision):
            raise UsageError(f"{name!r} names one revision, and {revision!r} was asked as well.")
        parsed = HubName(parsed.repo_id, revision, parsed.file)
    return parsed


def parse_hub_name(name: str) -> HubName:
    """What `name` means on the hub, whatever lies on this disk: `owner/name` with its parts, or a web address.

    Raises:
        ModelNotFound: a model of the hub cannot be called so.
    """
    name = name.strip()
    match = _HUB_NAME.fullmatch(_from_address(name) or name)
    if match is None:
        raise ModelNotFound(f"{name[:200]!r} is no model that Hearth knows.", hint=FORMS)
    repo_id, revision, file = match["repo"], match["revision"], match["file"]
    if ".." in repo_id or "--" in repo_id or repo_id.endswith((".git", ".", "-")):
        raise ModelNotFound(f"{repo_id!r} is no name that a repository of the hub can have.", hint=FORMS)
    if file == _OLLAMAS_DEFAULT:
        file = None
    if file is not None:
        if not file.lower().endswith(".gguf") and _OTHER_FILE.fullmatch(file):
            raise ModelNotFound(f"{file!r} is no .gguf file.", hint=f"For the whole repository: {repo_id}")
        if file.startswith("/") or ".." in file.split("/") or "\\" in file:
            raise ModelNotFound(f"{file!r} is no path inside a repository.")
    if revision is not None and (revision.startswith("/") or ".." in revision or "\\" in revision):
        # It becomes a file name below refs/ in the cache.
        raise ModelNotFound(f"{revision!r} is no name that a revision can have.")
    return HubName(repo_id, revision, file)


def _looks_like_path(name: str) -> bool:
    if name.startswith(("/", "./", "../", "~", ".\\", "..\\")) or name in (".", ".."):
        return True
    if os.sep == "\\" and re.match(r"[A-Za-z]:[\\/]", name):
        return True
    if os.path.lexists(name):
        return True
    # A file that is not there, unless it is on a web page. A colon means a name on the hub.
    return name.lower().endswith((".gguf", ".whl")) and ":" not in name and _from_address(name) is None


def _from_address(name: str) -> str | None:
    """A web address of the hub as a name (`owner/name@revision:file.gguf`); None for what is no such address.

    Raises:
        ModelNotFound: an address, but not that of a model.
    """
    name = name.removeprefix("hf:")
    has_scheme = re.match(r"https?://", name, re.IGNORECASE) is not None
    hosts = (*_HUB_HOSTS, urlsplit(endpoint()).netloc)
    try:
        address = urlsplit(name if has_scheme else f"https://{name}")
    except ValueError:  # brackets that hold no IPv6 address
        address = urlsplit("")
    if address.netloc.lower() not in hosts:
        if has_scheme:
            raise ModelNotFound(f"{name[:200]!r} is no address of a model on {endpoint()}.", hint=FORMS)
        return None
    parts = [unquote(part) for part in address.path.strip("/").split("/")]
    if parts[0] == "models":
        parts = parts[1:]
    if len(parts) < 2 or parts[0] in ("datasets", "spaces", "collections", "papers", "docs", "blog"):
        raise ModelNotFound(f"{name[:200]!r} is no address of a model.", hint="Give that of the model's own page.")
    plain = "/".join(parts[:2])
    if len(parts) > 3 and parts[2] in _PAGES_OF_A_REVISION:
        # The branch of a pull request has slashes of its own.
        length = 3 if parts[3:5] == ["refs", "pr"] else 1
        revision, file = "/".join(parts[3 : 3 + length]), "/".join(parts[3 + length :])
        plain += f"@{revision}" if revision != "main" else ""
        plain += f":{file}" if file.lower().endswith(".gguf") else ""
    return plain
