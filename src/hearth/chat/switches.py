"""Whether and how much a model thinks first, told to its chat template under the names that the template reads.

Families name the switch as they like. A name in the table counts where the template reads it and writes another prompt
for "on" than for "off"; a level of effort where the template treats it otherwise than a word that means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from hearth.chat.probe import Probe

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Levels of effort as protocols name them, from none to all."""


@dataclass(frozen=True)
class Switch:
    """A template's variable, and what it is for a model that thinks and for one that does not."""

    name: str
    on: Any
    off: Any


_SWITCHES: Final = (
    Switch("enable_thinking", True, False),  # Qwen 3, SmolLM 3, GLM and most others
    Switch("thinking", True, False),  # Granite 3, DeepSeek V3.1, Kimi K3
    Switch("reasoning", True, False),  # Cohere
    Switch("thinking_mode", "enabled", "disabled"),  # MiniMax M3
    Switch("thinking_option", "on", "off"),  # Ling
    Switch("thinking_budget", -1, 0),  # Seed-OSS
)
_LEVELS: Final = ("reasoning_effort", "thinking_effort", "reasoning_strength")
_OFF: Final = ("none", "no_think", "minimal")  # levels at which some templates open and close the block at once
_ECHOED: Final = ("low", "medium", "high")  # levels of a template that writes whatever it is given into the prompt
_NONSENSE: Final = "probe_of_an_effort"
_ANY_LEVEL: Final = re.compile("|".join(sorted({_NONSENSE, *EFFORTS, *_OFF}, key=len, reverse=True)))


class ThinkingSwitches:
    """What one template offers.

    Args:
        probe: asks the template.
        variables: those that the template reads.
        knows_tags: whether the tags of a thinking block stand in the template.
    """

    def __init__(self, probe: Probe, variables: frozenset[str], *, knows_tags: bool) -> None:
        self._probe = probe
        self._read = variables
        self._knows_tags = knows_tags

    @property
    def can_switch(self) -> bool:
        """Whether the template lets a request say if the model thinks first."""
        return self._both is not None

    @cached_property
    def thinks(self) -> bool:
        """Whether the model thinks first where nothing is said, as far as its template tells."""
        if self._both is None:
            return self._knows_tags or bool(self._level_names)
        return self._text({}) == self._text(self._both[0])

    def variables(self, on: bool) -> dict[str, Any]:
        """What the template is given for thinking on or off; empty where it cannot switch."""
        if self._both is None:
            return {}
        return dict(self._both[0] if on else self._both[1])

    def notice(self, on: bool) -> str:
        """What there is to say where the wish cannot be met; "" where it is met, or the model does so anyway."""
        if self._both is not None or self.thinks == on:
            return ""
        if on:
            return "This model's chat template has no switch for thinking: the model answers as it always does."
        return "This model's chat template cannot switch thinking off: the model thinks as it always does."

    def effort(self, wanted: str) -> dict[str, Any] | None:
        """What the template is given for a level of `EFFORTS`, or for the nearest that it takes; None where the model
        would have to stop or begin to think, and its template cannot switch that."""
        if wanted in ("none", "minimal") and self._both is not None:
            return self.variables(False)
        if wanted == "none" and self.thinks:
            return None
        if self._both is None and not self._level_names and self.thinks != (wanted not in ("none", "minimal")):
            return None
        return self.variables(True) | self.level(wanted)

    def level(self, wanted: str) -> dict[str, Any]:
        """What a template that knows levels is given for one, while the model thinks; empty where it knows none, or
        the level makes no difference."""
        given = self.variables(True)
        found = ((name, self._level(name, wanted, given)) for name in self._level_names)
        return {name: level for name, level in found if level is not None}

    # -- inside --------------------------------------------------------------------------------------------------

    def _text(self, variables: Mapping[str, Any]) -> str | None:
        return self._probe.text(self._probe.user, **variables)

    @property
    def _level_names(self) -> list[str]:
        return [name for name in _LEVELS if name in self._read]

    @cached_property
    def _both(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The variables for on and off; None where nothing switches."""
        found = [s for s in _SWITCHES if s.name in self._read and self._differ({s.name: s.on}, {s.name: s.off})]
        on, off = {s.name: s.on for s in found}, {s.name: s.off for s in found}
        if found and self._differ(on, off):
            return on, off
        for name in self._level_names:
            for level in _OFF:
                on, off = {name: "high"}, {name: level}
                if self._means_something(name, level, {}) and self._differ(on, off):
                    return on, off
        return None

    def _differ(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        first, second = self._text(one), self._text(other)
        return first is not None and second is not None and first != second

    def _level(self, name: str, wanted: str, given: Mapping[str, Any]) -> str | None:
        """The level that a template is given for one: this, or where it refuses or only writes down what it is given
        the nearest that means something; None where the level makes no difference."""
        if self._means_something(name, wanted, given):
            return wanted
        other = self._text({**given, name: _NONSENSE})
        if other is None:
            known = [level for level in EFFORTS if level not in _OFF and self._means_something(name, level, given)]
        else:
            known = list(_ECHOED) if _NONSENSE in other else []
        return _nearest(wanted, known) if known else None

    def _means_something(self, name: str, level: str, given: Mapping[str, Any]) -> bool:
        """Whether a level changes more in the prompt than that it stands there."""
        shown = self._text({**given, name: level})
        other = self._text({**given, name: _NONSENSE})
        if shown is None or other is None:
            return shown is not None
        return _ANY_LEVEL.sub("", shown) != _ANY_LEVEL.sub("", other)


def _nearest(wanted: str, known: list[str]) -> str:
    """The level itself, else the next higher one, else the highest."""
    at = EFFORTS.index(wanted)
    return next((level for level in EFFORTS[at:] if level in known), known[-1])
