"""What can go wrong between this disk and the hub, said in Hearth's own errors."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
from collections.abc import Iterator
from typing import Literal

from hearth.errors import HearthError, ModelNotFound, NetworkError, StorageError, did_you_mean
from hearth.hub.propose import close_names
from hearth.hub.settings import PUBLIC_HUB, cache_dir, endpoint

INSTALLED_STILL_WORK = "Models that are installed (`hearth list`) work without a network."
_STORAGE_ERRNOS = {
    errno.ENOSPC: "The disk is full.",
    errno.EDQUOT: "The disk quota is used up.",
    errno.EROFS: "It is on a read-only file system.",
    errno.EACCES: "Permission denied.",
    errno.EPERM: "Permission denied.",
    errno.ENOTDIR: "A file stands where a folder is needed.",
    errno.EEXIST: "A file stands where a folder is needed.",
}


def http_error_type() -> type[Exception]:
    """Base of the errors of the HTTP client under huggingface_hub.

    Which client that is depends on the version of huggingface_hub; its error base is a parent of HfHubHTTPError in all.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")


@contextlib.contextmanager
def translated(repo_id: str, revision: str | None = None) -> Iterator[None]:
    """Turns every error of the library and the system inside the block into a HearthError with advice.

    The library's own notices go to stderr; in here only its errors would, since this room must not print.
    """
    from huggingface_hub.utils import logging as hub_logging

    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.ERROR)
    try:
        yield
    except HearthError:
        raise
    except Exception as error:
        translation = _translate(error, repo_id, revision)
        if translation is None:
            raise
        raise translation from error
    finally:
        hub_logging.set_verbosity(verbosity)


def _translate(error: Exception, repo_id: str, revision: str | None) -> HearthError | None:
    from huggingface_hub import errors as hub

    # GatedRepoError is a RepositoryNotFoundError, which is an HfHubHTTPError, which is an OSError: most special first.
    if isinstance(error, hub.GatedRepoError):
        return NetworkError(
            f"{repo_id!r} is gated: its owners ask you to accept their terms first.",
            hint=f"Sign in at {endpoint()}/{repo_id} and accept them, then `hf auth login` or set HF_TOKEN.",
        )
    if isinstance(error, hub.RepositoryNotFoundError):
        return not_on_hub(repo_id)
    if isinstance(error, hub.RevisionNotFoundError):
        return ModelNotFound(
            f"{repo_id!r} has no revision {revision!r}.", hint=f"Without one, its main branch is taken: {repo_id}"
        )
    if isinstance(error, hub.EntryNotFoundError) and isinstance(error, hub.HfHubHTTPError):
        return ModelNotFound(f"A file of {repo_id!r} is gone from the hub: {error}")
    if isinstance(error, hub.OfflineModeIsEnabled):
        return not_installed(repo_id, offline="environment")
    if isinstance(error, hub.HfHubHTTPError):
        return refused(repo_id, error.response.status_code, error.server_message)
    if isinstance(error, hub.LocalEntryNotFoundError):
        # The library tried the network, failed, and found nothing on the disk: the cause says which.
        cause = error.__cause__
        if isinstance(cause, Exception) and (found := _translate(cause, repo_id, revision)) is not None:
            return found
        return unreachable(str(error).splitlines()[0])
    if isinstance(error, hub.HFValidationError):
        return ModelNotFound(f"{repo_id!r} is no name that a repository of the hub can have.", why=str(error))
    if isinstance(error, http_error_type()):
        return unreachable(f"{type(error).__name__}: {error}")
    if isinstance(error, json.JSONDecodeError):
        return NetworkError(f"{endpoint()} answered with something that is not the hub's.", why=str(error))
    if isinstance(error, OSError):
        return storage_failure(error)
    return None


def unreachable(why: str) -> NetworkError:
    """The hub gives no answer."""
    check = "the network" if endpoint() == PUBLIC_HUB else "HF_ENDPOINT, which names this hub, and the network"
    return NetworkError(
        f"{endpoint()} cannot be reached.", why=why.rstrip(".") + ".", hint=f"Check {check}. {INSTALLED_STILL_WORK}"
    )


def refused(repo_id: str, status: int, message: str | None = None) -> NetworkError:
    """The hub answers, but not with what was asked."""
    if status in (401, 403):
        hint = "Check that HF_TOKEN is valid and may read this repository (`hf auth login`)."
    elif status == 429:
        hint = "Too many requests: wait a few minutes, or sign in with `hf auth login`."
    else:
        hint = f"That is trouble on the hub's side: try again later. {INSTALLED_STILL_WORK}"
    return NetworkError(
        f"{endpoint()} refused {repo_id!r} (HTTP {status}).", why=f"It says: {message}." if message else "", hint=hint
    )


def not_on_hub(repo_id: str) -> ModelNotFound:
    """No such repository, or none that this user may see: the hub does not tell the two apart."""
    return ModelNotFound(
        f"{repo_id!r} is not on {endpoint()}, not on this disk, and not a folder here.",
        hint=did_you_mean(close_names(repo_id), "If it is private, sign in with `hf auth login` or set HF_TOKEN."),
    )


def not_installed(name: str, *, offline: Literal["option", "environment"] | None = None) -> ModelNotFound:
    """Not here.

    Args:
        offline: what forbids to look on the hub; None: nobody wanted to look there.
    """
    why, then = {
        None: ("", "`hearth list` shows what is."),
        "option": (", and --offline forbids to download it", f"Leave out --offline, or `hearth pull {name}`."),
        "environment": (
            ", and HF_HUB_OFFLINE forbids to download it",
            f"Unset HF_HUB_OFFLINE, then `hearth pull {name}`.",
        ),
    }[offline]
    close = close_names(name, only_installed=offline is None)
    return ModelNotFound(f"{name!r} is not installed{why}.", hint=did_you_mean(close, then))


def storage_failure(error: OSError) -> StorageError:
    """The cache folder cannot be read or written."""
    where = error.filename if isinstance(error.filename, str) else str(cache_dir())
    why = _STORAGE_ERRNOS.get(error.errno or 0, str(error))
    return StorageError(
        f"Models cannot be kept in {cache_dir()}: {where} failed.",
        why=why,
        hint="Free space there (`hearth rm MODEL`), or set HF_HOME to a folder that can be written.",
    )
