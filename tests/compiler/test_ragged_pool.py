"""Pooling over the rows of several sequences."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.kernel_library import KernelLibrary, build, copied, guarded, isa_params

from hearth.compiler.cpu.kernels.ragged_pool import ragged_pool
from hearth.compiler.cpu.targets import Isa

MODES = ("cls", "lasttoken", "max", "mean", "mean_sqrt_len_tokens", "weightedmean")
STARTS = np.array([0, 5, 6, 43], np.int32)


@pytest.fixture(scope="module", params=isa_params())
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    isa: Isa = request.param
    pools = [ragged_pool(mode, skips=skips) for mode in MODES for skips in (False, True)]
    return build(pools, isa, tmp_path_factory.mktemp("rows"))


def pooled(rows: NDArray[np.float64], mode: str, skip: int) -> NDArray[np.float64]:
    """sentence-transformers' formulas over the tokens that count."""
    place = np.arange(1, len(rows) + 1)[skip:, None]
    rows = rows[skip:]
    return {
        "cls": rows[0],
        "lasttoken": rows[-1],
        "max": rows.max(0),
        "mean": rows.mean(0),
        "mean_sqrt_len_tokens": rows.sum(0) / np.sqrt(len(rows)),
        "weightedmean": (rows * place).sum(0) / place.sum(),
    }[mode]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("skips", [None, (2, 0, 30), (4, 9, 60)])
def test_pooling_is_that_of_sentence_transformers(
    library: KernelLibrary, mode: str, skips: tuple[int, ...] | None
) -> None:
    x = np.random.default_rng(1).standard_normal((STARTS[-1], 48)).astype(np.float32)
    out = guarded((3, 48), np.float32)
    more = [] if skips is None else [copied(np.array(skips, np.int32))]
    name = f"ragged_pool_{mode}" + ("" if skips is None else "_skips")
    library.run(name, [copied(x), copied(STARTS), *more, out], [48], 3, chunk=2)
    for index, (begin, end) in enumerate(pairwise(STARTS)):
        skip = 0 if skips is None else min(skips[index], end - begin - 1)  # the last token always counts
        expected = pooled(x[begin:end].astype(np.float64), mode, skip)
        assert np.abs(out[index] - expected).max() < 2e-6
