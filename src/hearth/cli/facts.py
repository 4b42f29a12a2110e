"""What is known of a model, as names and values for people: common facts first, then those of its kind."""

from __future__ import annotations

import shlex

from hearth.measure import Description, EncoderDescription, RemoteDescription, TextDescription, VisionDescription
from hearth.units import counted, format_bytes

Facts = list[tuple[str, str]]
_SOME_LABELS = 6
# What a model does, in words, and how to ask it for that.
_TASKS = {
    "embed": ("makes vectors of texts", 'hearth embed {} "A text."'),
    "rank": ("ranks documents by how well they answer a question", 'hearth rerank {} "A question?" FILE'),
    "classify": ("puts labels on texts", 'hearth classify {} "A text."'),
    "tag": ("puts labels on places in texts", 'hearth classify {} "A text."'),
}
_SIGHTS = {
    "classify": ("says what a picture shows", "hearth vision {} PICTURE"),
    "detect": ("finds objects and their boxes", "hearth vision {} PICTURE -o found.png"),
    "segment": ("divides pictures into regions", "hearth vision {} PICTURE -o regions.png"),
    "depth": ("tells how far away things are", "hearth vision {} PICTURE -o depth.png"),
    "embed": ("makes vectors of pictures", "hearth vision {} PICTURE --json"),
    "zero_shot": ("chooses among labels that you name", 'hearth vision {} PICTURE --labels "a cat, a dog"'),
}


def facts_of(about: Description) -> Facts:
    """All that is known, in the order in which it is printed; what is not known has an empty value."""
    published = ", ".join(f"{name} {100 * share:.0f}%" for name, share in about.source_formats.items())
    return [
        ("model", about.name),
        ("path", str(about.path)),
        ("kind", about.kind),
        *_head(about),
        ("published as", f"{published} ({format_bytes(about.source_bytes)})" if published else ""),
        ("compiled as", about.formats),
        ("quantised", "; ".join(_taken_over(how, types) for how, types in about.quantised.items())),
        *_own(about),
    ]


def _taken_over(how: str, types: tuple[str, ...]) -> str:
    """What becomes of weights that were published quantised."""
    kept = [name for name in types if name != "f32"]
    if not kept:
        return f"{how}: no format here holds these numbers, so they are widened to f32 and rounded anew as compiled"
    rest = ", the others are widened to f32 first" if len(kept) < len(types) else ""
    return f"{how}: the same integers and scales, as {' and '.join(kept)}{rest}, unless --quant says otherwise"


def first_command(about: Description) -> str:
    """What to type to try a model."""
    match about:
        case EncoderDescription():
            command = _TASKS[_task(about)][1]
        case VisionDescription():
            command = _SIGHTS[about.task][1]
        case _:
            command = "hearth chat {}"
    return command.format(shlex.quote(about.name))


def count(number: int) -> str:
    """`3.02 million`."""
    for size, unit in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return str(number)


def active(about: TextDescription | RemoteDescription) -> str:
    """`, 3.35 billion active`, where a token meets a part of a model alone."""
    return f", {count(about.active_parameters)} active" if about.active_parameters else ""


def _head(about: Description) -> Facts:
    match about:
        case TextDescription():
            inside = f"{active(about)} in {about.layers} layers, vocabulary {about.vocab_size}"
            does = ""
        case EncoderDescription():
            inside, does = "", _TASKS[_task(about)][0]
        case VisionDescription():
            inside, does = "", _SIGHTS[about.task][0]
        case _:
            inside, does = "", "computes a graph of arrays"
    return [("does", does), ("family", about.family), ("parameters", f"{count(about.parameters)}{inside}")]


def _own(about: Description) -> Facts:
    match about:
        case TextDescription():
            return _of_text(about)
        case EncoderDescription():
            return _of_encoder(about)
        case VisionDescription():
            return _of_vision(about)
    return [("memory", format_bytes(about.memory_bytes))]


def _of_text(about: TextDescription) -> Facts:
    template = {True: "its own", False: "none: a known format is guessed", None: "no tokenizer"}[about.chat_template]
    return [
        ("chat template", template),
        ("pictures", "taken in a chat" if about.sees else ""),
        ("guesses", "by a block of its own, which predicts 1 further token at a time" if about.predicts else ""),
        ("context", f"{about.context_max} tokens at most"),
        (
            "memory",
            f"{format_bytes(about.memory_bytes)} with {about.context} tokens of context: weights"
            f" {format_bytes(about.weights_bytes)}, keys and values {format_bytes(about.kv_bytes)}"
            + (f", recurrent state {format_bytes(about.state_bytes)}" if about.state_bytes else ""),
        ),
    ]


def _of_encoder(about: EncoderDescription) -> Facts:
    cut = f", which may be cut to {', '.join(map(str, about.dimensions))}" if about.dimensions else ""
    return [
        ("vectors", f"{about.size} numbers{cut}" if about.size else ""),
        ("labels", _labels(about.labels) if len(about.labels) > 1 else ""),
        ("longest text", f"{about.max_tokens} tokens"),
        ("prompts", ", ".join(about.prompts)),
        ("memory", format_bytes(about.memory_bytes)),
        ("problem", f"{about.refused}; --pooling says otherwise" if about.refused else ""),
        ("to use it", first_command(about)),
    ]


def _of_vision(about: VisionDescription) -> Facts:
    height, width = about.size
    size = f"{height} x {width} pixels; pictures keep their shape, and each new size is compiled once"
    return [
        ("labels", _labels(about.labels)),
        ("pictures", size if about.any_size else f"are brought to {height} x {width} pixels"),
        ("memory", format_bytes(about.memory_bytes)),
        ("problem", about.problem),
        ("to use it", first_command(about)),
    ]


def _task(about: EncoderDescription) -> str:
    return "rank" if about.task == "classify" and len(about.labels) == 1 else about.task


def _labels(labels: tuple[str, ...]) -> str:
    if not labels:
        return ""
    more = ", ..." if len(labels) > _SOME_LABELS else ""
    return f"{counted(len(labels), 'label')}: {', '.join(labels[:_SOME_LABELS])}{more}"
