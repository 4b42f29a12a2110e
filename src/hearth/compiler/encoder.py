"""`compile_encoder`: text encoders, from a model on disk to a bundle in the cache."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Unpack

from hearth.checkpoint.embedding import Pooling
from hearth.checkpoint.task import save_task
from hearth.checkpoint.tokenizer_files import save_tokenizer
from hearth.checkpoint.types import Checkpoint
from hearth.compiler.compile import Calibration, CompileOptions, Job, compile_job
from hearth.model.encoder.load import LoadedEncoder, load_encoder
from hearth.model.encoder.network import encoder_network
from hearth.model.encoder.onnx_weights import open_encoder
from hearth.model.encoder.parameters import DEFAULT_QUANT, parameter_role
from hearth.model.kinds import ENCODER
from hearth.model.weights import tensor_type
from hearth.quant.formats import Format
from hearth.quant.mixed import base_of
from hearth.quant.policy import Precision, choose_format, row_choice


def compile_encoder(
    source: Path,
    *,
    name: str,
    quant: str | None = None,
    head: str | None = None,
    precision: Precision = "default",
    pooling: Pooling | None = None,
    calibration: Calibration | None = None,
    **options: Unpack[CompileOptions],
) -> Path:
    """Compiles an encoder, or finds it compiled.

    Args:
        source: a Hugging Face folder, a GGUF file, or an ONNX file with its configuration.
        name: the model as the user named it, for the manifest.
        quant: number format of the weights; None: q8, or as a GGUF file has them.
        head: the same for the embeddings of tokens.
        precision: `high` computes with f32 activations; `fast` is the format int8.
        pooling: how one vector is made of a text, where the model does not say.
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
    checkpoint = open_encoder(source)
    model = load_encoder(checkpoint, pooling=pooling)
    quant, precision = row_choice(quant, precision)
    formats = encoder_formats(checkpoint, model, base_of(quant), head)
    job = encoder_job(checkpoint, model, formats, name, precision, calibration)
    return compile_job(job, **options)


def encoder_formats(
    checkpoint: Checkpoint, model: LoadedEncoder, quant: str | None, head: str | None
) -> dict[str, Format]:
    """Format of every matrix."""
    return {
        name: choose_format(
            name, role, tensor_type(checkpoint, source), checkpoint.kind, quant, head, default=DEFAULT_QUANT
        )
        for name, source in model.sources.items()
        if (role := parameter_role(name)) != "exact"
    }


def encoder_job(
    checkpoint: Checkpoint, model: LoadedEncoder, formats: dict[str, Format], name: str, precision: Precision,
    calibration: Calibration | None = None,
) -> Job:  # fmt: skip
    """What there is to compile of an encoder."""
    body = [f.name for p, f in formats.items() if parameter_role(p) == "body"]

    def write(folder: Path) -> None:
        tokenizer = checkpoint.tokenizer()
        if tokenizer is not None:
            save_tokenizer(tokenizer, folder)
        save_task(model.task, folder)

    return Job(
        name=name,
        kind=ENCODER,
        family=model.config.family,
        network=encoder_network(model),
        checkpoint=checkpoint,
        formats=formats,
        quant=", ".join(fmt for fmt, _ in Counter(body).most_common()),
        precision=precision,
        identity=(model.config, model.task),
        write=write,
        calibration=calibration,
    )
