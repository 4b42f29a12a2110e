"""Models that see: how their bundles are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hearth.bundle import Bundle
from hearth.calibrate import calibration_of, check_calibration
from hearth.fit import Sizes
from hearth.hub import Remote, Source
from hearth.image.spec import load_spec
from hearth.model.kinds import VISION
from hearth.model.vision import load_vision
from hearth.prepare.preparer import Own, Preparer, asked_for
from hearth.preview import vision_architecture
from hearth.sizes import ModelSize


class VisionPreparer(Preparer):
    kind = VISION
    options = ("quant", "precision", "size", "calibrate")
    has_rows = True

    def preview(self, remote: Remote, wanted: Own) -> Sizes | None:
        # Published with 16 bits or more, and compiled to 8.
        is_mine = vision_architecture(remote) is not None
        return (lambda quant: ModelSize(remote.size_bytes, 0, "")) if is_mine else None

    def beside(self, source: Source, wanted: Own) -> Sequence[Path]:
        return () if wanted["calibrate"] is None else (Path(wanted["calibrate"]),)

    def check(self, source: Source, wanted: Own, memory_bytes: int | None) -> None:
        check_calibration(wanted["quant"], wanted["calibrate"])
        load_vision(self.open(source), size=wanted["size"])

    def compile(self, source: Source, wanted: Own, **options: Any) -> Path:
        from hearth.compiler.vision import compile_vision

        own = {name: value for name, value in wanted.items() if name != "calibrate"}
        calibration = calibration_of(wanted["quant"], wanted["calibrate"])
        return compile_vision(source.path, name=source.name, calibration=calibration, **own, **options)

    def will_do(self, bundle: Bundle, wanted: Own) -> bool:
        made = bundle.manifest
        if made.kind != VISION or not asked_for(wanted["quant"], made.quant.partition(",")[0]):
            return False
        return wanted["size"] in (None, load_spec(bundle.path).size)

    def differences(self, bundle: Bundle, wanted: Own) -> Iterator[tuple[str, object, object]]:
        made = bundle.manifest  # another size of pictures is refused when there is one
        if not asked_for(wanted["quant"], made.quant.partition(",")[0]):
            yield "quant", made.quant, wanted["quant"]
