"""Language models: how their bundles are made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hearth.bundle import Bundle
from hearth.checkpoint.generation import published_sampling
from hearth.checkpoint.tokenizer_files import load_tokenizer
from hearth.fit import Sizes, require_fit
from hearth.hub import Remote, Source
from hearth.model import load_family
from hearth.model.kinds import TEXT
from hearth.model.text.kv_cache import kv_format
from hearth.prepare.preparer import Own, Preparer, asked_for
from hearth.preview import look_into, refuse_by_tensors
from hearth.sizes import ModelSize, size_of


class TextPreparer(Preparer):
    kind = TEXT
    options = ("quant", "head", "precision", "kv", "context")

    def preview(self, remote: Remote, wanted: Own) -> Sizes | None:
        seen = look_into(remote, context=wanted["context"])

        def sizes(quant: str | None) -> ModelSize:
            if seen is not None:
                return seen.size(quant=quant, head=wanted["head"], kv=_kv(wanted))
            # A GGUF file that cannot be looked into: as it is, it takes what it has.
            return ModelSize(0 if quant else remote.size_bytes, 0, "")

        return sizes

    def refuse_by_tensors(self, remote: Remote) -> None:
        refuse_by_tensors(remote)

    def check(self, source: Source, wanted: Own, memory_bytes: int | None) -> None:
        checkpoint = self.open(source)
        model = load_family(checkpoint, context=wanted["context"])

        def sizes(quant: str | None) -> ModelSize:
            def dtype_of(parameter: str) -> str:
                return checkpoint.tensors[model.sources[parameter].tensor].dtype

            return size_of(model.config, dtype_of, checkpoint.kind, quant=quant, head=wanted["head"], kv=_kv(wanted))

        require_fit(source.name, sizes, wanted["quant"], memory_bytes)

    def compile(self, source: Source, wanted: Own, **options: Any) -> Path:
        from hearth.compiler import compile_model

        return compile_model(source.path, name=source.name, **wanted, **options)

    def will_do(self, bundle: Bundle, wanted: Own) -> bool:
        text = bundle.manifest.text
        load_tokenizer(bundle.path)
        return (
            text is not None
            and text.kv == _kv(wanted)
            and wanted["head"] in (None, text.head)
            and asked_for(wanted["quant"], bundle.manifest.quant)
        )

    def differences(self, bundle: Bundle, wanted: Own) -> Iterator[tuple[str, object, object]]:
        made = bundle.manifest
        asked = (
            ("quant", wanted["quant"], made.quant),
            ("head", wanted["head"], made.language.head),
            ("precision", wanted["precision"] if wanted["precision"] == "high" else None, made.precision),
            ("kv", wanted["kv"], made.language.kv),
        )
        return ((name, is_, want) for name, want, is_ in asked if want is not None and want != is_)

    def sampling(self, source: Source) -> dict[str, float]:
        return published_sampling(self.open(source))


def _kv(wanted: Own) -> str:
    return kv_format(wanted["kv"], wanted["precision"])
