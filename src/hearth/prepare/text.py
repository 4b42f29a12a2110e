"""Language models: how their bundles are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hearth.bundle import Bundle
from hearth.chat.call_formats import call_formats
from hearth.checkpoint.adapter import open_adapter
from hearth.checkpoint.generation import published_sampling
from hearth.checkpoint.joined import eyes_beside
from hearth.checkpoint.open import NO_EYES, open_checkpoint
from hearth.checkpoint.tokenizer_files import load_tokenizer
from hearth.checkpoint.types import Checkpoint
from hearth.fit import Sizes, require_fit
from hearth.hub import Remote, Source
from hearth.model import load_family
from hearth.model.kinds import TEXT
from hearth.model.text.adapter_places import load_places, targets_of
from hearth.model.text.kv_cache import kv_format
from hearth.model.weights import tensor_type
from hearth.prepare.preparer import Own, Preparer, asked_for
from hearth.preview import look_into, refuse_by_tensors
from hearth.quant.policy import ACTIVATIONS
from hearth.sizes import ModelSize, size_of


class TextPreparer(Preparer):
    kind = TEXT
    options = ("quant", "head", "precision", "kv", "context", "mmproj", "adapters")

    def open(self, source: Source, wanted: Own | None = None) -> Checkpoint:
        return open_checkpoint(source.path, mmproj=wanted["mmproj"] if wanted else None)

    def beside(self, source: Source, wanted: Own) -> Sequence[Path]:
        given = wanted["mmproj"]
        eyes = Path(given).expanduser() if given not in (None, NO_EYES) else None
        if given is None and source.kind == "gguf":
            eyes = eyes_beside(source.path)
        adapters = (Path(adapter) for adapter in wanted["adapters"] or ())
        files = (file for path in adapters for file in (sorted(path.iterdir()) if path.is_dir() else [path]))
        return (*(() if eyes is None else (eyes,)), *files)

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
        checkpoint = self.open(source, wanted)
        model = load_family(checkpoint, context=wanted["context"])

        def sizes(quant: str | None) -> ModelSize:
            def dtype_of(parameter: str) -> str:
                return tensor_type(checkpoint, model.sources[parameter])

            sight = None if model.sight is None else model.sight.sight.part
            return size_of(
                model.config, dtype_of, checkpoint.kind, quant=quant, head=wanted["head"], kv=_kv(wanted), sight=sight
            )

        require_fit(source.name, sizes, wanted["quant"], memory_bytes)

    def compile(self, source: Source, wanted: Own, **options: Any) -> Path:
        from hearth.compiler import compile_model

        adapters = [Path(adapter) for adapter in wanted["adapters"] or ()]
        own = {**wanted, "adapters": adapters}
        if str(options.get("target")).startswith("wasm32"):
            own["call_formats"] = call_formats
        return compile_model(source.path, name=source.name, **own, **options)

    def will_do(self, bundle: Bundle, wanted: Own) -> bool:
        text = bundle.manifest.text
        load_tokenizer(bundle.path)
        return (
            text is not None
            and text.kv == _kv(wanted)
            and wanted["head"] in (None, text.head)
            and asked_for(wanted["quant"], bundle.manifest.quant)
            and _has_room(bundle, wanted["adapters"] or ())
        )

    def differences(self, bundle: Bundle, wanted: Own) -> Iterator[tuple[str, object, object]]:
        made = bundle.manifest
        precision = None if wanted["precision"] == "default" else ACTIVATIONS[wanted["precision"]]
        asked = (
            ("quant", wanted["quant"], made.quant),
            ("head", wanted["head"], made.language.head),
            ("precision", precision, made.precision),
            ("kv", wanted["kv"], made.language.kv),
        )
        return ((name, is_, want) for name, want, is_ in asked if want is not None and want != is_)

    def sampling(self, source: Source) -> dict[str, float]:
        return published_sampling(self.open(source))


def _has_room(bundle: Bundle, adapters: Sequence[str]) -> bool:
    """Whether a bundle was compiled with room for adapters; for none it is to have none."""
    places = load_places(bundle.path)
    if places is None or not adapters:
        return places is None and not adapters
    return all(targets_of(places.find(open_adapter(Path(path)))) <= set(places.targets) for path in adapters)


def _kv(wanted: Own) -> str:
    return kv_format(wanted["kv"], wanted["precision"])
