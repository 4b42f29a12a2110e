"""A model ready to be loaded: `Opened`."""

from __future__ import annotations

from dataclasses import dataclass

from hearth.bundle import Bundle
from hearth.distribution import install_command

COMPILE_HINT = f"Install the compiler: {install_command('compile')}. Or run a bundle that was compiled elsewhere."


@dataclass(frozen=True)
class Opened:
    """A model ready to be loaded.

    Attributes:
        name: as it was asked for.
        bundle: the compiled folder, checked.
        sampling: the authors' recommendation, of a language model.
        notices: what the user should know.
    """

    name: str
    bundle: Bundle
    sampling: dict[str, float]
    notices: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Of the model: one of `model.kinds`, or what else bundles are made of."""
        return self.bundle.manifest.kind
