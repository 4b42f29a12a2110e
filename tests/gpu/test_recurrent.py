"""A model with recurrent layers on a GPU: what transformers computes, in any kind of batch; and what a token costs.

On this machine's software adapter; it skips where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import (
    Float32s,
    Piece,
    Sequences,
    compile_exact,
    compile_here,
    open_session,
    relative_error,
)
from tests.gpu.software import software_gpu
from tests.gpu.test_models import TOLERANCE, assert_same, sessions

from golden import CASES
from hearth.bundle import GPU_COSTS, read_costs
from hearth.compiler import pipeline
from hearth.errors import DeviceError
from hearth.runtime import Model, TextSession

AROUND = 8 + 5
"""Dispatches of a token beside its recurrent layers: of the one that attends and gates the result, and of no layer."""
(CASE,) = (case for case in CASES if case.name == "qwen3_5")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    folder = compile_exact(CASE.path, tmp_path_factory.mktemp("recurrent") / "bundle")
    with Model(folder, device=software_gpu(folder)) as model:
        yield model


@pytest.fixture
def session(model: Model) -> Iterator[TextSession]:
    with open_session(model) as session:
        yield session


def fed(sequences: Sequences, number: int, ends: list[int]) -> Float32s:
    """Logits of the prompt, brought in pieces that end there."""
    ids = CASE.token_ids
    return np.concatenate([sequences.run([Piece(number, ids[a:b])])[0] for a, b in pairwise([0, *ends])])


@pytest.mark.parametrize("size", [34, 9, 1])
def test_a_prompt_in_pieces_gives_the_logits_of_transformers(session: TextSession, size: int) -> None:
    count = len(CASE.token_ids)
    found = fed(Sequences(session), 0, [*range(size, count, size), count])
    assert relative_error(found, CASE.expected_logits()) < TOLERANCE


def test_a_token_has_the_same_bits_however_its_sequence_is_cut(session: TextSession) -> None:
    """Up to where attention computes more tokens together, which it sums in another order."""
    sequences, count = Sequences(session), len(CASE.token_ids)
    single = fed(sequences, 0, list(range(1, count + 1)))
    np.testing.assert_array_equal(fed(sequences, 1, [5, 7, 8, 16, 24, 27, count]), single)
    np.testing.assert_array_equal(fed(sequences, 2, [16]), single[:16])


@pytest.mark.parametrize("name", ["bamba", "jamba"])
def test_a_scanned_token_has_the_same_bits_however_its_sequence_is_cut(name: str, tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.name == name)
    folder, ids = compile_here(case.path, tmp_path / "bundle", quant="q8", head="q8"), case.token_ids[:14]
    with Model(folder, device=software_gpu(folder)) as model, open_session(model) as session:
        sequences = Sequences(session)
        single = np.concatenate([sequences.run([Piece(0, ids[i : i + 1])])[0] for i in range(len(ids))])
        found = [sequences.run([Piece(1, ids[a:b])])[0] for a, b in pairwise([0, 5, 7, 8, len(ids)])]
    np.testing.assert_array_equal(np.concatenate(found), single)


def test_ragged_batches_give_what_each_sequence_gives_alone(session: TextSession) -> None:
    ids, sequences = CASE.token_ids, Sequences(session)
    single = fed(sequences, 0, list(range(1, len(ids) + 1)))
    ends = dict.fromkeys((1, 2, 3), 0)
    for counts in ({1: 8, 2: 1}, {3: 3, 1: 1, 2: 7}, {1: 1, 2: 1, 3: 1}, {2: 4, 3: 8}):
        pieces = [Piece(number, ids[ends[number] : ends[number] + count]) for number, count in counts.items()]
        for piece, logits in zip(pieces, sequences.run(pieces), strict=True):
            first = ends[piece.sequence]
            ends[piece.sequence] += len(piece.ids)
            np.testing.assert_array_equal(logits, single[first : ends[piece.sequence]])


def test_a_sequence_goes_on_from_any_state_that_was_kept(session: TextSession) -> None:
    """States are left in the middle of a batch, and more than one sequence begins with one."""
    ids = CASE.token_ids
    table, at = np.arange(8, dtype=np.int32)[None], np.arange(len(ids), dtype=np.int32)
    to = np.full(8, -1, np.int32)
    to[4], to[7] = 6, 5
    session.forward(ids[:8], at[:8], np.zeros(8, np.int32), table, [7], state_from=[-1], state_to=to)
    single = fed(Sequences(session, count=1, pages_each=4), 0, list(range(1, 13)))  # in slots 0 and 1
    session.forward(ids[:8], at[:8], np.zeros(8, np.int32), table, [7], state_from=[-1], state_to=to)
    for first, slot in ((5, 6), (8, 5), (5, 6)):
        there = slice(first, 12)
        zeros = np.zeros(12 - first, np.int32)
        result = session.forward(
            ids[there], at[there], zeros, table, np.arange(12 - first), state_from=[slot], state_to=zeros - 1
        )
        np.testing.assert_array_equal(result.logits, single[there])


def test_slots_that_no_gpu_can_bind_are_refused(model: Model) -> None:
    with pytest.raises(DeviceError, match="take fewer slots"):
        TextSession(model, num_pages=8, num_slots=2**30)


def test_what_a_decoded_token_costs_is_counted(session: TextSession) -> None:
    """Of a recurrent layer: a product of all that it reads, convolution, rule with its norm, product; the MLP's two."""
    fed(Sequences(session), 0, [12, 13])
    counters = session.read_counters()
    assert counters.dispatches == 2 * 6 + AROUND
    assert (counters.passes, counters.submits) == (1, 1)


def test_weights_of_several_formats_are_several_products(tmp_path: Path) -> None:
    """What says how much is forgotten stays in 32-bit floats."""
    folder = compile_here(CASE.path, tmp_path / "bundle", quant="q8", head="q8", precision="high")
    with sessions(folder) as (here, there):
        assert_same([fed(here, 0, [12, 13])], [fed(there, 0, [12, 13])])
        assert there.session.read_counters().dispatches == 2 * 6 + AROUND


def test_products_of_several_formats_are_put_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As queries, keys and values of Kimi delta attention where a GGUF file has them in blocks of several types: then
    nothing makes one product of the three."""
    monkeypatch.setattr(pipeline, "fuse_joined", lambda module, parameters: module)
    (case,) = (case for case in CASES if case.name == "kimi_linear")
    folder = compile_exact(case.path, tmp_path / "bundle")
    with sessions(folder) as both:
        for sequences in both:
            (logits,) = sequences.run([Piece(0, case.token_ids)])
            assert relative_error(logits, case.expected_logits()) < TOLERANCE


def test_a_state_is_read_and_written_once_a_sequence(session: TextSession) -> None:
    """What `hearth bench --profile` says of a step; and that a recurrent layer has no keys and values."""
    fed(Sequences(session), 0, [12])
    session.profile(True)
    fed(Sequences(session), 1, [1])
    steps = list(zip(session.read_profile(), read_costs(session.model.path, GPU_COSTS), strict=True))
    ran = [cost for step, cost in steps for _ in range(step.calls)]
    assert sum(cost.row_bytes.get("sequences", 0) for cost in ran) == 2 * session.info.state_bytes_per_slot
    assert sum(cost.kv_bytes for cost in ran) == session.info.kv_bytes_per_page // session.info.page_tokens
