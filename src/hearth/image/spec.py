"""What a bundle of a vision model says beside its plan: `vision.json`, read strictly."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hearth.checkpoint.mapped import read_json_object, written_by_compiler
from hearth.image.preprocess import FITS, Preprocess
from hearth.model.vision import Head, Task, TextTower

FILE = "vision.json"
_TASKS = ("classify", "embed", "detect", "segment", "depth", "zero_shot")


@dataclass(frozen=True)
class VisionSpec:
    """A vision model for whoever runs it.

    Attributes:
        size: height and width of the pictures that the network takes.
        labels: names, by number; none where the task has none.
        logit_scale, logit_bias: what a cosine of a zero-shot model is multiplied by, and added to.
    """

    task: Task
    size: tuple[int, int]
    preprocess: Preprocess
    labels: tuple[str, ...] = ()
    head: Head = field(default_factory=Head)
    text: TextTower | None = None
    logit_scale: float = 1.0
    logit_bias: float = 0.0


def preprocess_data(rules: Preprocess) -> dict[str, Any]:
    """Rules for pictures as JSON has them."""
    fit = rules.fit
    kind = None if fit is None else {"kind": type(fit).__name__, **asdict(fit)}  # type: ignore[call-overload]  # all fits are dataclasses
    return {**asdict(rules), "fit": kind}


def read_preprocess_data(data: dict[str, Any]) -> Preprocess:
    """What `preprocess_data` made. Raises KeyError, TypeError, ValueError for anything else."""
    rules = dict(data)
    fit = rules.pop("fit")
    if fit is not None:
        fit = dict(fit)
        fit = FITS[fit.pop("kind")](**fit)
    for key in ("mean", "std", "crop"):
        rules[key] = None if rules[key] is None else tuple(rules[key])
    return Preprocess(fit=fit, **rules)


def save_spec(spec: VisionSpec, folder: Path) -> None:
    data = asdict(spec)
    data["preprocess"] = preprocess_data(spec.preprocess)
    (folder / FILE).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def load_spec(folder: Path) -> VisionSpec:
    """What `save_spec` has written. Raises CorruptFile for anything else, StorageError."""
    path = folder / FILE
    with written_by_compiler(path):
        return _spec(read_json_object(path))


def _spec(data: dict[str, Any]) -> VisionSpec:
    if data["task"] not in _TASKS:
        raise ValueError(f"the task {data['task']!r}")
    height, width = data["size"]
    return VisionSpec(
        task=data["task"],
        size=(int(height), int(width)),
        preprocess=read_preprocess_data(data["preprocess"]),
        labels=tuple(str(label) for label in data["labels"]),
        head=Head(**data["head"]),
        text=None if data["text"] is None else TextTower(**data["text"]),
        logit_scale=float(data["logit_scale"]),
        logit_bias=float(data["logit_bias"]),
    )
