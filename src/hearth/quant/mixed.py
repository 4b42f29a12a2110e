"""Mixtures of formats: which matrices of a network can do with fewer bits, by what that was seen to cost its results.

Whether a matrix can be coarse is no matter of its name or place: of two networks of one family, one may need what the
other does not. So each is made coarse by itself, and the loss of the network's outputs measured. Small losses add up:
those that cost least for the bytes that they save go first, as long as the sum stays within what a mixture may lose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hearth.quant.formats import Format, get_format


@dataclass(frozen=True)
class Mixture:
    """What `--quant` means by a name that stands for several formats.

    Attributes:
        base: as `--quant` names it: the format of what stays fine, and of all that is no matrix of a product.
        coarse: number format of the others.
        most_loss: of all outputs together, as part of their square: about twice what is missing to a cosine of 1.
    """

    base: str
    coarse: str
    most_loss: float

    @property
    def coarse_format(self) -> Format:
        return get_format(self.coarse)


MIXTURES: dict[str, Mixture] = {"w4a8": Mixture(base="int8", coarse="i4", most_loss=1.5e-3)}
"""By the name that users choose. They need calibration."""


def base_of(quant: str | None) -> str | None:
    """The format of what is not coarse: of a mixture its base, else the format itself."""
    return MIXTURES[quant].base if quant in MIXTURES else quant


@dataclass(frozen=True)
class Candidate:
    """A matrix that may become coarse.

    Attributes:
        loss: of the outputs, where only it is: the square of their difference as part of their square.
        saved_bytes: what its coarse format saves.
    """

    loss: float
    saved_bytes: int


def choose_coarse(candidates: Mapping[str, Candidate], most_loss: float) -> set[str]:
    """The names of those that become coarse: the cheapest for what they save, while the sum of losses allows it."""
    chosen, lost = set(), 0.0
    for name, candidate in sorted(candidates.items(), key=lambda item: (item[1].loss / item[1].saved_bytes, item[0])):
        if lost + candidate.loss <= most_loss:
            chosen.add(name)
            lost += candidate.loss
    return chosen
