"""`compile_vision`: models that see, from a model on disk to a bundle in the cache."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.tokenizer_files import save_tokenizer
from hearth.checkpoint.types import Checkpoint
from hearth.compiler.compile import Calibration, CompileOptions, Job, PictureFeed, compile_job
from hearth.compiler.formats import formats_of
from hearth.errors import TokenizerMissing, Unsupported
from hearth.image import read_preprocess
from hearth.image.preprocess import Exactly, Preprocess
from hearth.image.spec import VisionSpec, save_spec
from hearth.model.kinds import VISION
from hearth.model.network import Network
from hearth.model.vision import LoadedVision, load_vision
from hearth.quant.floats import widen
from hearth.quant.formats import Format
from hearth.quant.policy import Precision, row_choice
from hearth.units import counted

DEFAULT_QUANT = "int8"
# Below this many parameters, rounding to 4 bits without a look at pictures loses answers.
_LEAST_FOR_4_BITS = 100_000_000
_MOST_LOGIT_SCALE = math.log(1e6)


def compile_vision(
    source: Path,
    *,
    name: str,
    size: tuple[int, int] | None = None,
    quant: str | None = None,
    precision: Precision = "default",
    calibration: Calibration | None = None,
    **options: Unpack[CompileOptions],
) -> Path:
    """Compiles a model that sees, or finds it compiled.

    Args:
        source: a Hugging Face folder.
        name: the model as the user named it, for the manifest.
        size: height and width of the pictures that its network is to take; None: what its own rules for pictures make
            of all of them, or what its configuration says.
        quant: number format of the weights; None: int8, or q8 with high precision.
        precision: `high` computes with f32 activations.
        calibration: what a mixture of formats (`quant.mixed`) is chosen by.
        options: as `compile_job`.

    Returns:
        The bundle's folder.

    Raises:
        Unsupported, CorruptFile: the source cannot be compiled.
        CompileError: the compiler is not installed or fails.
        StorageError: the bundle cannot be written.
    """
    if progress := options.get("progress"):
        progress("reading", 0, 0)
    checkpoint = open_checkpoint(source)
    preprocess = read_preprocess(source, checkpoint.config)
    model = load_vision(checkpoint, size=size or preprocess.size, prepare=preprocess.part)
    quant, precision = row_choice(quant, precision)
    job = vision_job(checkpoint, model, preprocess, name, quant, precision)
    return compile_job(replace(job, calibration=calibration), **options)


def vision_job(
    checkpoint: Checkpoint,
    model: LoadedVision,
    preprocess: Preprocess,
    name: str,
    quant: str | None,
    precision: Precision,
) -> Job:
    """What there is to compile of a model that sees."""
    formats = vision_formats(model.network, quant or default_quant(precision), precision)
    spec = vision_spec(checkpoint, model, preprocess)

    def write(folder: Path) -> None:
        save_spec(spec, folder)
        if model.text is not None:
            tokenizer = checkpoint.tokenizer()
            if tokenizer is None:
                raise TokenizerMissing(
                    f"{name} compares pictures with texts and has no tokenizer.",
                    hint="Take tokenizer.json from the model's own repository.",
                )
            save_tokenizer(tokenizer, folder)

    used = [fmt.name for fmt in formats.values()]
    return Job(
        name=name,
        kind=VISION,
        family=model.family,
        network=model.network,
        checkpoint=checkpoint,
        formats=formats,
        quant=", ".join(fmt for fmt, _ in Counter(used).most_common()),
        precision=precision,
        identity=(model.family, spec),
        write=write,
        pictures=picture_feed(model, preprocess),
    )


def default_quant(precision: Precision) -> str:
    """The number format of weights where none is asked for."""
    return "q8" if precision == "high" else DEFAULT_QUANT


def picture_feed(model: LoadedVision, preprocess: Preprocess) -> PictureFeed:
    """How the network is given a picture; one whose pictures keep their shapes gets all in the size that it is for."""
    rules = preprocess
    if preprocess.size != model.size:
        rules = replace(preprocess, fit=Exactly(*model.size), crop=None, divisor=1)
    return PictureFeed("image", lambda pixels: {"pixels": rules.apply(pixels)[None]})


def vision_formats(network: Network, quant: str, precision: Precision) -> dict[str, Format]:
    """Format of every matrix and of convolutions, which are f32 or, with 8-bit activations only, 8-bit integers.

    Raises:
        Unsupported: 4 bits of a model that would lose by it.
    """
    parameters = sum(math.prod(shape) for shape in network.shapes.values())
    if quant.startswith("q4") and parameters < _LEAST_FOR_4_BITS:
        raise Unsupported(
            f"A model of {counted(round(parameters / 1e6), 'million parameter')} is not rounded to 4 bits.",
            why="Models of this size answer otherwise then.",
            hint="Leave --quant out: 8 bits lose nothing that can be seen.",
        )
    return formats_of(network, quant, precision, "safetensors")


def vision_spec(checkpoint: Checkpoint, model: LoadedVision, preprocess: Preprocess) -> VisionSpec:
    """What a bundle says of the model beside its plan."""
    head = model.head
    return VisionSpec(
        task=model.task,
        size=model.size,
        preprocess=preprocess,
        labels=model.labels,
        head=head,
        text=model.text,
        logit_scale=math.exp(min(_scalar(checkpoint, head.logit_scale), _MOST_LOGIT_SCALE))
        if head.logit_scale
        else 1.0,
        logit_bias=_scalar(checkpoint, head.logit_bias),
    )


def _scalar(checkpoint: Checkpoint, tensor: str) -> float:
    """A tensor of one number; 0 where there is none."""
    info = checkpoint.tensors.get(tensor)
    return 0.0 if info is None else float(widen(checkpoint.raw(tensor), info.dtype)[0])
