"""What the configurations of vision models have in common: sizes, activations, labels."""

from __future__ import annotations

from collections.abc import Mapping

from hearth.errors import Unsupported
from hearth.model.settings import Settings
from hearth.model.vision.model import Source

MAX_PIXELS, MAX_LAYERS, MAX_HEADS, MAX_LABELS = 1 << 14, 1000, 4096, 1 << 17

ACTIVATIONS: Mapping[str, str] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu6": "relu6",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}


def activation(settings: Settings, key: str = "hidden_act") -> str:
    return settings.choice(key, ACTIVATIONS)


def pair(settings: Settings, key: str, *, most: int = MAX_PIXELS) -> tuple[int, int]:
    """A height and a width, or one number for both."""
    value = settings.get(key)
    if isinstance(value, list | tuple):
        ok = len(value) == 2 and all(type(v) is int and 1 <= v <= most for v in value)
        if not ok:
            raise settings.corrupt(key, f"one or two whole numbers from 1 to {most}")
        return int(value[0]), int(value[1])
    number = settings.count(key, most=most)
    return number, number


def counts(settings: Settings, key: str, *, length: int | None = None, most: int = MAX_PIXELS) -> tuple[int, ...]:
    """A list of whole numbers from 1 to `most`."""
    value = settings.get(key)
    fits = isinstance(value, list | tuple) and (len(value) == length if length else 0 < len(value) <= MAX_LAYERS)
    if not fits or not all(type(v) is int and 1 <= v <= most for v in value):
        raise settings.corrupt(key, f"a list of {length or ''} whole numbers from 1 to {most}".replace("  ", " "))
    return tuple(value)


def whole(settings: Settings, key: str, *, most: int = MAX_PIXELS) -> int:
    """A whole number from 0 to `most`; absent and null are 0."""
    return 0 if settings.get(key) == 0 else settings.optional_count(key, most=most) or 0


def wholes(settings: Settings, key: str, *, most: int, least: int = 0, length: int | None = None) -> tuple[int, ...]:
    """A list of whole numbers from `least` to `most`; of any length, if none is given."""
    value = settings.get(key)
    fits = isinstance(value, list | tuple) and len(value) <= MAX_LAYERS and length in (None, len(value))
    if not fits or not all(type(v) is int and least <= v <= most for v in value):
        raise settings.corrupt(key, f"a list of {length or ''} whole numbers from {least} to {most}".replace("  ", " "))
    return tuple(value)


def picture_size(source: Source, patch: tuple[int, int], *, key: str = "image_size") -> tuple[int, int]:
    """The size that a model is made for: whole patches."""
    trained = pair(source.settings, key) if source.size is None else source.size
    if any(size < step for size, step in zip(trained, patch, strict=True)):
        raise Unsupported(f"Pictures of {trained[0]} x {trained[1]} pixels are smaller than a patch of this model.")
    return trained


def divided(settings: Settings, size: int, heads: int, key: str) -> None:
    """Raises CorruptFile where heads do not divide a size evenly."""
    if size % heads:
        raise settings.corrupt(key, f"a divisor of the size {size}")


def labels_of(settings: Settings, count: int) -> tuple[str, ...]:
    """The names of a model's labels; their numbers where it has none. Raises CorruptFile for another number of them."""
    table = settings.table("id2label")
    if not table:
        return tuple(f"LABEL_{i}" for i in range(count))
    if len(table) != count:
        raise settings.corrupt("id2label", f"{count} labels, as many as the model tells apart")
    by_number = {str(key): str(name) for key, name in table.items()}
    if set(by_number) != {str(i) for i in range(count)}:
        raise settings.corrupt("id2label", f"the keys 0 to {count - 1}")
    return tuple(by_number[str(i)] for i in range(count))


def num_labels(settings: Settings) -> int:
    """How many labels: as many as have names, or `num_labels`, or transformers' two."""
    table = settings.table("id2label")
    if table:
        if len(table) > MAX_LABELS:
            raise settings.corrupt("id2label", f"at most {MAX_LABELS} labels")
        return len(table)
    return settings.optional_count("num_labels", most=MAX_LABELS) or 2
