"""What is asked of a model that sees, whichever task it is for: `Asked`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hearth.errors import UsageError
from hearth.vision.vision import DEFAULT_THRESHOLD, DEFAULT_TOP, Vision


@dataclass(frozen=True)
class Asked:
    """What is asked of a model, as far as its task has a use for it.

    Attributes: as the methods of `Vision` take them.
    """

    labels: Sequence[str] = ()
    template: str | None = None
    top: int | None = None
    threshold: float | None = None

    def looker(self, vision: Vision) -> Callable[[list[Any]], Sequence[Any]]:
        """What to call with pictures; a result for each.

        Raises:
            UsageError: a template for a model that chooses among labels of its own.
        """
        task = vision.info.task
        if task == "zero_shot" and self.labels:
            more = {} if self.template is None else {"template": self.template}
            return lambda pictures: vision.zero_shot(pictures, self.labels, top=self.top, **more)
        if self.template is not None:
            why = "without labels it makes vectors" if task == "zero_shot" else "this one has its own"
            raise UsageError(f"template is for models that choose among labels that you name; {why}.")
        if task == "classify":
            return lambda pictures: vision.classify(pictures, top=self.top or DEFAULT_TOP)
        if task == "detect":
            threshold = DEFAULT_THRESHOLD if self.threshold is None else self.threshold
            return lambda pictures: vision.detect(pictures, threshold=threshold)
        if task == "segment":
            return vision.segment
        if task == "depth":
            return vision.depth
        return lambda pictures: list(vision.embed(pictures))
