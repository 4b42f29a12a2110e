"""Options that several verbs share, and how they reach `LLM`: in one place, so that they mean the same everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hearth.cli.inputs import readable
from hearth.cli.terminal import note
from hearth.units import counted

if TYPE_CHECKING:
    from hearth.llm import LLM

F = TypeVar("F", bound=Callable[..., Any])
FORMATS = ("f32", "f16", "q8", "q4", "q4a")
BODY_FORMATS = (*FORMATS, "int8")
ANY_FORMATS = (*BODY_FORMATS, "w4a8")
"""Also mixtures of formats, of models that look at pictures and of graphs."""

_QUANT = click.option(
    "--quant", type=click.Choice(BODY_FORMATS), help="Number format of the weights [q4; GGUF: as it is]."
)
_QUANTS = click.option(
    "--quant",
    "quants",
    type=click.Choice(ANY_FORMATS),
    multiple=True,
    help="Number format of the weights [text: q4, GGUF as it is; pictures: int8]. Of pictures several may be named.",
)
_ANY_QUANT = click.option(
    "--quant",
    type=click.Choice(ANY_FORMATS),
    help="Number format of the weights [text: q4, GGUF as it is; pictures: int8; graphs: q8].",
)
calibrate_option = click.option(
    "--calibrate",
    type=click.Path(),
    metavar="PATH",
    help="Examples by which it is chosen which weights of w4a8 have 4 bits: a folder of pictures like those that MODEL"
    " is to look at; for an encoder a file with a text a line, or a folder of .txt files.",
)
_FORMAT = (
    click.option("--head", type=click.Choice(FORMATS), help="The same for embedding and head [q8 with 4 bits]."),
    click.option(
        "--precision",
        type=click.Choice(["default", "high", "fast"]),
        default="default",
        help="high computes with 32-bit floats: slower, closest to the original; fast reads prompts faster, a little"
        " less exactly.",
    ),
    click.option(
        "--kv",
        type=click.Choice(["f16", "q8"]),
        help="Number format of keys and values; q8 has half the bytes [f16, f32 with high precision].",
    ),
)


class GpuLayers(click.ParamType[int | str]):
    """A number of layers, or `auto`."""

    name = "layers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        text = str(value)
        if text == "auto":
            return text
        if not text.isdecimal():
            self.fail(f"'{text}' is no number of layers; write it as 20, or auto.", param, ctx)
        return int(text)


DEVICE = (
    click.option(
        "--device",
        default="auto",
        metavar="NAME",
        help="Where models run: cpu, gpu, or gpu:N as hearth doctor lists them [auto: a GPU that the model fits, at"
        " least a quarter of its layers, else the CPU].",
    ),
    click.option(
        "--gpu-layers",
        type=GpuLayers(),
        metavar="N",
        help="So many of a model's first layers on the GPU, the rest on the CPU; auto: as many as fit [all of them].",
    ),
)
_SOURCE = (
    click.option("--offline", is_flag=True, help="Never use the network."),
    click.option(
        "--trust-bundle", is_flag=True, help="Run MODEL where it is a bundle compiled elsewhere: it is a program."
    ),
)
_OPEN = (
    *_FORMAT,
    click.option("--context", type=int, help="Tokens of prompt and answer together [the model's, up to 8192]."),
    click.option("--threads", type=int, help="Threads that compute [physical cores this process may use]."),
    *DEVICE,
    click.option("--mmproj", metavar="FILE", help="What sees for a GGUF file [the one beside it; none: none]."),
    click.option("--mmap", is_flag=True, help="Map the weights instead of copying them: shared between processes."),
    *_SOURCE,
)
_LORA = (
    click.option(
        "--lora",
        multiple=True,
        metavar="[NAME=]PATH[:SCALE]",
        help="An adapter (LoRA): a folder, a GGUF file or owner/name. May be repeated; the first one answers.",
    ),
)
_SPECULATION = (
    click.option(
        "--speculate",
        type=click.Choice(["auto", "lookup", "mtp", "off"]),
        default="auto",
        help="Guess tokens where that is faster: from the text so far (lookup), with the model's own block for that"
        " (mtp), both (auto), or never; the answer is the same.",
    ),
    click.option("--draft", metavar="MODEL", help="A small model with the same tokenizer that guesses instead."),
)
_TEMPLATE = (
    click.option("--template", metavar="NAME", help="Chat format by name (chatml, llama3, ...) or a .jinja file."),
    click.option(
        "--context-overflow",
        type=click.Choice(["error", "slide"]),
        default="error",
        help="When a chat outgrows the context: stop, or drop the oldest turns and say so.",
    ),
)
REPETITION_STOP = click.option(
    "--repetition-stop/--no-repetition-stop",
    default=True,
    help="Whether an answer that says the same over and over is ended [it is].",
)
_SAMPLING = (
    click.option("-t", "--temperature", type=float, help="0 is always the likeliest token [the model's, else 0.7]."),
    click.option("--top-p", type=float, help="Likeliest tokens that sum to this probability [the model's, else 0.95]."),
    click.option("--top-k", type=int, help="This many likeliest tokens; 0 is all."),
    click.option("--min-p", type=float, help="Tokens at least this likely, relative to the likeliest."),
    click.option("--repetition-penalty", type=float, help="Above 1: what was said becomes less likely."),
    click.option("--presence-penalty", type=float, help="Taken from the logit of every token already written."),
    click.option("--frequency-penalty", type=float, help="The same, once for each time."),
    click.option("--seed", type=int, help="The same seed gives the same text [random]."),
    click.option("-n", "--max-tokens", type=int, help="The answer ends after so many."),
    click.option("--stop", multiple=True, metavar="TEXT", help="The answer ends before this text. May be repeated."),
    REPETITION_STOP,
)
_IMAGES = (
    click.option(
        "--image",
        "images",
        multiple=True,
        metavar="FILE",
        help="A picture that the question is about, for a model that sees. May be repeated.",
    ),
)
_THINKING = (
    click.option(
        "--thinking",
        type=click.Choice(["show", "fold", "hide"]),
        help="What a reasoning model thinks: dimmed, as one line, or not at all [show on a terminal, else hide].",
    ),
    click.option("--no-thinking", is_flag=True, help="Ask a reasoning model not to think, where it can be asked."),
)
_SAMPLING_KEYS = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "max_tokens",
    "stop",
    "repetition_stop",
]
_OPEN_KEYS = [
    "quant",
    "head",
    "precision",
    "kv",
    "context",
    "threads",
    "device",
    "gpu_layers",
    "mmap",
    "mmproj",
    "offline",
    "trust_bundle",
    "template",
    "context_overflow",
    "speculate",
    "draft",
]


def _adds(options: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


format_options = _adds((_QUANT, *_FORMAT))
compile_options = _adds((_ANY_QUANT, *_FORMAT, calibrate_option))
source_options = _adds(_SOURCE)
device_options = _adds(DEVICE)
open_options = _adds((_QUANT, *_OPEN))
eval_options = _adds((_QUANTS, calibrate_option, *_OPEN))
lora_options = _adds(_LORA)
speculation_options = _adds(_SPECULATION)
template_options = _adds(_TEMPLATE)
sampling_options = _adds(_SAMPLING)
thinking_options = _adds(_THINKING)
image_options = _adds(_IMAGES)


def sampling(options: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling settings among a verb's options; those not given are None, which means the model's default."""
    settings = {key: options[key] for key in _SAMPLING_KEYS if key in options}
    stops = [readable(text, "--stop") for text in settings.get("stop") or ()]
    return {**settings, "stop": stops or None}


def open_llm(model: str, options: Mapping[str, Any], *, to_chat: bool = False, **overrides: Any) -> LLM:
    """Opens a model as the options say, with progress on standard error and its notices told.

    `to_chat`: a model that cannot chat is refused here, before the first question.
    """
    from hearth.cli.progress import showing_progress
    from hearth.llm import LLM

    settings = {"max_seqs": 1} | {key: options[key] for key in _OPEN_KEYS if key in options} | overrides
    if options.get("lora"):
        from hearth.adapters import given_adapters

        settings["adapters"] = given_adapters(options["lora"])
    with showing_progress() as progress:
        llm = LLM(model, progress=progress, **settings)
    if llm.adapters:
        llm = llm.with_adapter(llm.adapters[0])
    if to_chat:
        llm.check_chat()
    for notice in llm.notices:
        note(notice)
    cores = os.cpu_count()
    if cores is not None and llm.info.threads > cores:
        note(f"{llm.info.threads} threads share {counted(cores, 'core')}: more than {cores} are no faster.")
    return llm


def examples(*lines: str) -> str:
    """The epilog of a verb's help."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
