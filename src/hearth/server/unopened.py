"""A model that a request needs and that cannot be opened: what its sender is told, and what the owner."""

from __future__ import annotations

from typing import Final

from hearth.errors import (
    BundleMismatch,
    CompileError,
    CorruptFile,
    DeviceError,
    HearthError,
    ModelNotFound,
    NetworkError,
    NotEnoughMemory,
    StorageError,
    Unsupported,
    UntrustedBundle,
)

# Kind of error -> what a client is told of it.
_REASONS: Final[tuple[tuple[type[HearthError], str], ...]] = (
    (CorruptFile, "its files are damaged"),
    (Unsupported, "it is of a kind that Hearth does not run"),
    (ModelNotFound, "its files are not there"),
    (NetworkError, "it has to be downloaded, and that failed"),
    (StorageError, "its files cannot be read or written"),
    (NotEnoughMemory, "it needs more memory than there is"),
    (BundleMismatch, "it was compiled for something else"),
    (UntrustedBundle, "it was compiled elsewhere, and nobody said to trust it"),
    (CompileError, "it cannot be compiled"),
    (DeviceError, "the GPU that it is to run on cannot be had"),
)


class NoRoom(NotEnoughMemory):
    """The models that are in use leave too little of the server's budget."""


class Unopened(HearthError):
    """A model cannot be opened. Its own text is for whoever sent the request.

    Args:
        model: its name in requests.
        cause: what went wrong; may name files and advise the owner.
    """

    def __init__(self, model: str, cause: HearthError) -> None:
        why = next((told for kind, told in _REASONS if isinstance(cause, kind)), "")
        super().__init__(f"The model {model} cannot be opened{': ' if why else ''}{why}. The server's log says more.")
        self.cause = cause
