"""Encoders: how their bundles are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hearth.bundle import Bundle
from hearth.calibrate import text_calibration_of
from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.types import Checkpoint
from hearth.encoding.texts import Reader, prompt_name
from hearth.errors import TokenizerMissing, Unsupported
from hearth.fit import Sizes, require_fit
from hearth.hub import Remote, Source
from hearth.model.encoder.batch import input_shapes, pack
from hearth.model.encoder.load import load_encoder
from hearth.model.encoder.onnx_weights import ENDING, onnx_folders, open_encoder
from hearth.model.kinds import ENCODER
from hearth.model.weights import tensor_type
from hearth.prepare.preparer import Own, Preparer, asked_for
from hearth.preview import look_into_encoder
from hearth.quant.mixed import base_of
from hearth.sizes import ModelSize, encoder_size


class EncoderPreparer(Preparer):
    kind = ENCODER
    options = ("quant", "head", "precision", "pooling", "calibrate")
    has_rows = True

    def find(self, name: str) -> Source | None:
        """An .onnx file, which is read as weights where its configuration lies beside it."""
        path = Path(name).expanduser()
        if path.suffix.lower() != ENDING or not path.is_file():
            return None
        return Source(str(path), path, "onnx", size_bytes=path.stat().st_size)

    def preview(self, remote: Remote, wanted: Own) -> Sizes | None:
        seen = look_into_encoder(remote)
        return None if seen is None else lambda quant: seen.size(quant=quant, head=wanted["head"])

    def open(self, source: Source, wanted: Own | None = None) -> Checkpoint:
        return open_encoder(source.path)

    def answers(self, source: Source) -> bool:
        found = super().answers(source)
        if source.kind == "onnx" and not found:
            raise Unsupported(
                f"The configuration beside {source.path} is of no encoder that Hearth knows.",
                hint=f"Run the graph alone with `hearth graph {source.path}`, or with hearth.compile in Python.",
            )
        return found

    def beside(self, source: Source, wanted: Own) -> Sequence[Path]:
        texts = () if wanted["calibrate"] is None else (Path(wanted["calibrate"]),)
        return (*(onnx_folders(source.path) if source.kind == "onnx" else ()), *texts)

    def check(self, source: Source, wanted: Own, memory_bytes: int | None) -> None:
        text_calibration_of(wanted["quant"], wanted["calibrate"], None)
        checkpoint = self.open(source)
        model = load_encoder(checkpoint)

        def size(quant: str | None) -> ModelSize:
            def dtype_of(parameter: str) -> str:
                return tensor_type(checkpoint, model.sources[parameter])

            return encoder_size(model.config, dtype_of, checkpoint.kind, quant=quant, head=wanted["head"])

        require_fit(source.name, size, base_of(wanted["quant"]), memory_bytes)

    def compile(self, source: Source, wanted: Own, **options: Any) -> Path:
        from hearth.compiler.encoder import compile_encoder

        own = {name: value for name, value in wanted.items() if name != "calibrate"}
        calibration = text_calibration_of(wanted["quant"], wanted["calibrate"], partial(_read, source))
        return compile_encoder(source.path, name=source.name, calibration=calibration, **own, **options)

    def will_do(self, bundle: Bundle, wanted: Own) -> bool:
        return bundle.manifest.kind == ENCODER and asked_for(wanted["quant"], bundle.manifest.quant)


def _read(source: Source, texts: Sequence[str]) -> Mapping[str, NDArray[Any]]:
    """The inputs of a batch of texts, put as the model wants them, long ones cut."""
    checkpoint = open_encoder(source.path)
    model, spec = load_encoder(checkpoint), checkpoint.tokenizer()
    if spec is None:
        raise TokenizerMissing(
            f"{source.name} has no tokenizer, so that it cannot be calibrated with texts.",
            hint="Put its tokenizer.json beside it, or leave --calibrate out: --quant int8 needs none.",
        )
    names = input_shapes(model.config)
    reader = Reader(model.task, Tokenizer(spec), "token_types" in names)
    prompt = prompt_name(model.task, None, None)
    return pack([reader.text(text, prompt, truncate=True) for text in texts], names)
