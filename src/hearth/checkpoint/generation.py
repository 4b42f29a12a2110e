"""How a model's authors recommend to sample from it, and the file in a bundle that remembers it.

A folder says so in `generation_config.json`, a GGUF file in its `general.sampling.*` keys. The compiler writes what
they say into the bundle, since a bundle may travel without its source.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hearth.checkpoint.mapped import read_json_object
from hearth.checkpoint.types import Checkpoint
from hearth.errors import HearthError

GENERATION_FILE = "generation.json"
_NAMES = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
_GGUF_KEYS = {
    "general.sampling.temp": "temperature",
    "general.sampling.top_p": "top_p",
    "general.sampling.top_k": "top_k",
    "general.sampling.min_p": "min_p",
    "general.sampling.penalty_repeat": "repetition_penalty",
}
_MAX_BYTES = 1 << 20


def published_sampling(checkpoint: Checkpoint) -> dict[str, float]:
    """The authors' recommendation, by the names of sampling settings; {} where they say nothing.

    `do_sample: false` says greedy: temperature 0. A file that cannot be read recommends nothing: it decides no
    computation, only a default that the user can see and change.
    """
    if checkpoint.kind == "gguf":
        config = checkpoint.config
        return _numbers({name: config[key] for key, name in _GGUF_KEYS.items() if key in config})
    config = _read(checkpoint.path / "generation_config.json")
    if config.get("do_sample") is False:
        return {"temperature": 0.0}
    return _numbers(config)


def save_sampling(sampling: Mapping[str, float], folder: Path) -> Path:
    """Writes the recommendation into a bundle's folder and returns the file's path."""
    path = folder / GENERATION_FILE
    path.write_text(json.dumps(dict(sampling)) + "\n", encoding="utf-8")
    return path


def load_sampling(folder: Path) -> dict[str, float]:
    """What `save_sampling` wrote; {} where there is none."""
    return _numbers(_read(folder / GENERATION_FILE))


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    def sound(value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

    return {name: values[name] for name in _NAMES if sound(values.get(name))}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return read_json_object(path, _MAX_BYTES)
    except HearthError:
        return {}
