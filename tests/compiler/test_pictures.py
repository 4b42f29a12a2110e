"""Pictures are made ready by the plan as transformers does it, within one of 256 levels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.compiler.test_networks import compiled

from golden.preprocess import CONFIGS, draw_picture, expected
from hearth.errors import UsageError
from hearth.image import Preprocess, read_preprocess
from hearth.model.vision.load import network_of
from hearth.model.vision.model import Described
from hearth.runtime import Model, Session

Size = tuple[int, int]


def rules(name: str, folder: Path) -> Preprocess:
    (folder / "preprocessor_config.json").write_text(json.dumps(CONFIGS[name]))
    return read_preprocess(folder, {})


def prepared(session: Session, function: str, preprocess: Preprocess, size: Size) -> np.ndarray:
    place = preprocess.placement(*size)
    inputs = {"size": size, "resized": place.resized or size, "offset": place.offset}
    pixels = session.run(function, {"picture": draw_picture(*size).reshape(-1, 3), **inputs})["pixels"]
    assert pixels.flags.c_contiguous  # so that it may be the input of the function that follows
    return pixels.copy()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A function for each of transformers' processors and each size that it gives pictures."""
    folder, parts = tmp_path_factory.mktemp("pictures"), {}
    for name in CONFIGS:
        preprocess = rules(name, folder)
        for size in {pixels.shape[:2] for pixels in expected(name).values()}:
            part = preprocess.part(size)
            parts[f"{name} {size}"] = replace(part, function=replace(part.function, name=f"{name} {size}"))
    network = network_of(Described("classify", (1, 1), tuple(parts.values())), {})
    return Session(Model(compiled(network, folder / "bundle")), threads=2)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_picture_becomes_what_transformers_makes_of_it(name: str, session: Session, tmp_path: Path):
    preprocess = rules(name, tmp_path)
    for size, pixels in expected(name).items():
        (actual,) = prepared(session, f"{name} {pixels.shape[:2]}", preprocess, size)
        assert actual.shape == pixels.shape
        level = 1 / 255 / np.asarray(preprocess.std)
        assert (np.abs(actual - pixels) <= 1.01 * level).all()
        # Nearly all are the very same.
        assert (np.abs(actual - pixels) <= 0.01 * level).mean() > 0.9


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_bit(threads: int, session: Session, tmp_path: Path):
    for name in ("clip", "yolos", "mobilevit"):
        preprocess = rules(name, tmp_path)
        with Session(session.model, threads=threads) as other:
            for size, pixels in expected(name).items():
                function = f"{name} {pixels.shape[:2]}"
                alike = [prepared(each, function, preprocess, size) for each in (session, other)]
                np.testing.assert_array_equal(*alike)


def test_pictures_that_are_no_pictures_do_no_harm(session: Session):
    right = {"picture": np.full((12, 3), 255, np.uint8), "size": (3, 4), "resized": (24, 24), "offset": (0, 0)}
    function = "vit (24, 24)"
    np.testing.assert_allclose(session.run(function, right)["pixels"], 1, atol=1e-6)
    # More pixels than there are: nothing is read, all is outside of the picture, which is black.
    np.testing.assert_allclose(session.run(function, right | {"size": (4, 4)})["pixels"], -1, atol=1e-6)
    np.testing.assert_allclose(session.run(function, right | {"size": (1 << 15, 1 << 15)})["pixels"], -1, atol=1e-6)
    for extreme in ({"resized": (1 << 26, 1 << 26)}, {"offset": (1 << 26, -(1 << 26))}, {"resized": (1, 1 << 26)}):
        assert np.isin(session.run(function, right | extreme)["pixels"].round(5), (-1, 1)).all()
    for wrong in ({"size": (0, 4)}, {"size": (4, (1 << 15) + 1)}, {"resized": (0, 9)}, {"offset": (0, 1 << 27)}):
        with pytest.raises(UsageError, match="must be"):
            session.run(function, right | wrong)
