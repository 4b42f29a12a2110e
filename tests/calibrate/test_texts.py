"""Encoders in `w4a8`, calibrated by texts. If these fail, 4 bits cost vectors more than they may, or are not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.encoding.lettered import LETTERS, lettered

from hearth import Embedder
from hearth.calibrate import ExampleCalibration
from hearth.calibrate.texts import texts_in
from hearth.errors import HearthError, StorageError, UsageError
from hearth.model.kinds import ENCODER
from hearth.prepare import prepare


def lines(count: int, seed: int = 0) -> list[str]:
    """Texts of different lengths."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice([*LETTERS], rng.integers(1, 14))) for _ in range(count)]


@pytest.mark.parametrize("name", ["bert", "nomic-bert"])
def test_texts_say_which_matrices_have_4_bits(
    name: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, texts, asked = lettered(name, tmp_path / "model"), tmp_path / "texts.txt", lines(6, 1)
    texts.write_text("\n".join(lines(40)), "utf-8")
    with Embedder(model, quant="f32", precision="high", threads=1) as exact:
        expected = exact.embed(asked)
    with Embedder(model, quant="w4a8", calibrate=texts, threads=1) as mixed:
        found = mixed.embed(asked)
    made, bytes_ = (
        prepare(str(model), kinds=(ENCODER,), offline=True, **wanted).bundle.manifest
        for wanted in ({"quant": "w4a8", "calibrate": str(texts)}, {"quant": "int8"})
    )
    assert made.quant == "w4a8"
    assert made.facts.weights_bytes < bytes_.facts.weights_bytes
    assert ((expected * found).sum(1) > 0.98).all()
    # The same texts as files of a folder lead to the same model, which is there already.
    folder = tmp_path / "folder" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("\n\n".join(lines(40)[:25]), "utf-8")
    (folder / "b.txt").write_text("\n".join(lines(40)[25:]), "utf-8")
    monkeypatch.setattr(ExampleCalibration, "calibrated", None)
    with Embedder(model, quant="w4a8", calibrate=folder.parent, threads=1) as again:
        np.testing.assert_array_equal(again.embed(asked), found)


@pytest.mark.parametrize(
    ("quant", "calibrate", "error", "says"),
    [
        ("w4a8", None, UsageError, "needs texts to calibrate with"),
        ("int8", "few.txt", UsageError, "say nothing for int8"),
        ("w4a8", "none.txt", StorageError, "cannot be read"),
        ("w4a8", "few.txt", UsageError, "holds 3 texts"),
        ("w4a8", "empty.txt", UsageError, "holds 0 texts"),
        ("w4a8", "latin.txt", UsageError, "no UTF-8"),
        ("w4a8", ".", UsageError, "no UTF-8"),
        ("w4a8", "nothing", StorageError, "has no texts"),
    ],
)
def test_texts_that_cannot_be_used_are_refused_before_a_model_is_looked_for(
    quant: str, calibrate: str | None, error: type[HearthError], says: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.txt").write_text("\n".join(lines(3)))
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n" * 9)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(error, match=says):
        Embedder("a model that is nowhere", quant=quant, calibrate=calibrate, offline=True)


def test_of_many_texts_some_are_taken_from_everywhere(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("\n".join(f"{name} {i}" for i in range(1000)), "utf-8")
    found = texts_in(tmp_path)
    assert len(found) == 384
    assert sum(text.startswith("a") for text in found) == 192
