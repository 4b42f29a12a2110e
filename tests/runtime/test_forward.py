"""A plan is executed as its tables say, whatever the number of threads and the mixture of sequences."""

from __future__ import annotations

import numpy as np
import pytest
from tests.runtime import plan_writer as pw
from tests.runtime import tiny_model
from tests.runtime.conftest import BundleMaker

from hearth.runtime import Model, Session

TABLE = [[0, 1, 2, -1]]


def one(tokens: list[int], start: int = 0) -> tuple[list[int], list[int], list[int]]:
    """Batch arrays for one sequence that goes on at `start`."""
    return tokens, list(range(start, start + len(tokens))), [0] * len(tokens)


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_a_prompt_at_once_and_token_by_token_give_the_same_numbers(model: Model, threads: int) -> None:
    tokens = [5, 17, 99, 0, 3, 42, 42, 8, 61, 7]
    hidden, logits = tiny_model.hidden_of(tokens), tiny_model.logits_of(tokens)
    with Session(model, num_pages=4, threads=threads) as session:
        result = session.forward(*one(tokens), TABLE, [9, 0, 4])
        np.testing.assert_array_equal(result.hidden, hidden)
        np.testing.assert_array_equal(result.logits, logits[[9, 0, 4]])
        np.testing.assert_array_equal(result.argmax, logits[[9, 0, 4]].argmax(axis=1))
    with Session(model, num_pages=4, threads=threads) as session:
        for i, token in enumerate(tokens):
            result = session.forward(*one([token], i), TABLE, [0])
            np.testing.assert_array_equal(result.logits[0], logits[i])


@pytest.mark.parametrize("threads", [1, 2])
def test_sequences_of_different_lengths_share_a_batch(model: Model, threads: int) -> None:
    """Chunks of prompts and single tokens together; pages in any order; a sequence without tokens in between."""
    a, b, c = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [50, 51, 52], [70] * 9
    table = [[7, 2], [-1, -1], [5, -1], [0, 1]]
    with Session(model, num_pages=8, threads=threads) as session:
        session.forward(a[:6] + c[:8], [*range(6), *range(8)], [0] * 6 + [3] * 8, table)
        result = session.forward(
            c[8:] + a[6:] + b, [8, *range(6, 10), *range(3)], [3] + [0] * 4 + [2] * 3, table, [0, 4, 7]
        )
        expected = [tiny_model.logits_of(s)[-1] for s in (c, a, b)]
        np.testing.assert_array_equal(result.logits, expected)


def test_outputs_are_views_that_the_next_forward_overwrites(model: Model) -> None:
    with Session(model, num_pages=4, threads=1) as session:
        first = session.forward(*one([1, 2]), TABLE, [0, 1])
        address = first.logits.__array_interface__["data"][0]
        second = session.forward(*one([3]), TABLE, [0])
        assert second.logits.__array_interface__["data"][0] == address
        np.testing.assert_array_equal(first.logits[0], second.logits[0])
        assert not first.logits.flags.writeable


def test_a_result_keeps_its_session_in_memory(model: Model) -> None:
    result = Session(model, num_pages=4, threads=2).forward(*one([1, 2]), TABLE, [1])
    np.testing.assert_array_equal(result.logits[0], tiny_model.logits_of([1, 2])[1])


def test_no_logit_rows_no_logits(model: Model) -> None:
    with Session(model, num_pages=4, threads=2) as session:
        result = session.forward(*one([1, 2, 3]), TABLE)
    assert result.logits.shape == (0, tiny_model.VOCAB)
    assert result.argmax.shape == (0,)
    assert result.hidden.shape == (3, tiny_model.HIDDEN)


def test_a_block_table_wider_than_the_longest_sequence_is_fine(model: Model) -> None:
    with Session(model, num_pages=4, threads=1) as session:
        session.forward(*one([1] * 8), [[2, 3] + [-1] * 50], [])
        result = session.forward(*one([1, 1], 8), [[2, 3] + [-1] * 50], [1])
    np.testing.assert_array_equal(result.logits[0], tiny_model.logits_of([1] * 10)[-1])


def test_sessions_of_one_model_do_not_see_each_other(model: Model) -> None:
    with Session(model, num_pages=4, threads=2) as left, Session(model, num_pages=4, threads=2) as right:
        left.forward(*one([1, 2, 3]), TABLE)
        right.forward(*one([9, 9, 9]), TABLE)
        a = left.forward(*one([4], 3), TABLE, [0]).logits.copy()
        b = right.forward(*one([4], 3), TABLE, [0]).logits.copy()
    np.testing.assert_array_equal(a[0], tiny_model.logits_of([1, 2, 3, 4])[-1])
    np.testing.assert_array_equal(b[0], tiny_model.logits_of([9, 9, 9, 4])[-1])


def test_two_bundles_in_one_process_keep_their_own_kernels(make_bundle: BundleMaker) -> None:
    """Both libraries define the same symbols."""
    left = Model(make_bundle(tiny_model.plan(), tiny_model.weights_bytes()))
    right = Model(make_bundle(tiny_model.plan(), bytes(len(tiny_model.weights_bytes()))))
    with Session(left, num_pages=4, threads=2) as a, Session(right, num_pages=4, threads=2) as b:
        np.testing.assert_array_equal(a.forward(*one([1, 2]), TABLE, [1]).logits[0], tiny_model.logits_of([1, 2])[-1])
        assert not b.forward(*one([1, 2]), TABLE, [1]).logits.any()
    left.close()
    right.close()


def counting_plan(units: int, grain: int) -> pw.PlanWriter:
    """Two steps that add 1 to each counter, and their total, in `hidden`'s place as int32 in f32's clothes."""
    p = pw.PlanWriter()
    counts, total = p.arena(units * 4), p.arena(64)
    count, sum_up = p.kernel("t_count", 1, 0), p.kernel("t_total", 2, 1)
    n, single = p.constant(units), p.constant(1)
    for _ in range(2):
        p.step(count, [counts], [], units=n, grain=grain)
        p.step(sum_up, [counts, total], [n], units=single)
    p.output("argmax", total, single, 1, 1, dtype=1)
    return p


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize(("units", "grain"), [(1, 1), (1, 64), (7, 2), (64, 64), (65, 64), (1000, 1), (100_003, 7)])
def test_each_unit_runs_exactly_once_and_before_the_next_step(
    make_bundle: BundleMaker, units: int, grain: int, threads: int
) -> None:
    model = Model(make_bundle(counting_plan(units, grain)))
    with Session(model, num_pages=1, threads=threads) as session:
        for forward in range(1, 30):
            result = session.forward([0], [0], [0], [[0]])
            assert result.argmax[0] == 2 * forward * units


def test_steps_without_units_are_skipped(make_bundle: BundleMaker) -> None:
    plan = counting_plan(8, 1)
    nothing = plan.kernel("t_fails", 0, 0)
    plan.step(nothing, [], [], units=plan.constant(0))
    with Session(Model(make_bundle(plan)), num_pages=1, threads=2) as session:
        assert session.forward([0], [0], [0], [[0]]).argmax[0] == 16


def test_symbols_and_their_arithmetic_reach_the_kernels(make_bundle: BundleMaker) -> None:
    p = pw.PlanWriter()
    values = p.arena(16)
    kernel, four = p.kernel("t_scalars", 1, 4), p.constant(4)
    symbols = [pw.NUM_TOKENS, pw.NUM_SEQS, pw.NUM_ITEMS, pw.BLOCK_TABLE_STRIDE]
    p.step(kernel, [values], [p.scalar(s) for s in symbols], units=four)
    p.output("argmax", values, four, 1, 1, dtype=1)
    q = pw.PlanWriter()
    values = q.arena(16)
    kernel, four = q.kernel("t_scalars", 1, 4), q.constant(4)
    # ceil(5 / 3), floor(-5 / 3), 5 * 7 + 2, pages
    scalars = [q.scalar(pw.NUM_TOKENS, 1, 2, 3), q.scalar(pw.NUM_TOKENS, -1, 0, 3), q.scalar(pw.NUM_TOKENS, 7, 2)]
    q.step(kernel, [values], [*scalars, q.scalar(pw.NUM_PAGES)], units=four)
    q.output("argmax", values, four, 1, 1, dtype=1)
    batch = ([1] * 5 + [2], [*range(5), 0], [0] * 5 + [1], [[0, -1, -1], [1, -1, -1]])
    with Session(Model(make_bundle(p)), num_pages=9, threads=2) as session:
        assert session.forward(*batch).argmax.tolist() == [6, 2, 3, 3]  # items of at most 4 tokens: 4, 1, 1
    with Session(Model(make_bundle(q)), num_pages=9, threads=2) as session:
        assert session.forward([1] * 5, range(5), [0] * 5, [[0]]).argmax.tolist() == [2, -2, 37, 9]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_attention_is_cut_into_items_that_cover_all_splits_once(make_bundle: BundleMaker, threads: int) -> None:
    """Long contexts of few tokens in several items, their partial results in places of their own and few enough."""
    p = pw.PlanWriter()
    p.limits |= {"split_tokens": 16, "max_partials": 8, "max_position": 128}
    words = 2 + 8 * (16 + 8) + 4 * 8
    out, one = p.arena(words * 4), p.constant(1)
    scalars = [p.scalar(pw.NUM_ITEMS), p.scalar(pw.NUM_MERGES)]
    p.step(p.kernel("t_work", 3, 2), [p.input(pw.ITEMS), p.input(pw.MERGES), out], scalars, units=one)
    p.output("argmax", out, one, words, words, dtype=1)
    rng = np.random.default_rng(threads)
    with Session(Model(make_bundle(p)), num_pages=16, threads=threads) as session:
        for case in range(300):
            runs = [(127, 1)] if case == 0 else []
            while case and len(runs) < 4 and sum(n for _, n in runs) < 12:
                n = int(rng.choice([1, 1, 1, 2, 5, 12 - sum(n for _, n in runs)]))
                runs.append((int(rng.integers(0, 129 - n)), n) if sum(n for _, n in runs) + n <= 16 else (0, 1))
            positions = [start + i for start, n in runs for i in range(n)]
            seqs = [seq for seq, (_, n) in enumerate(runs) for _ in range(n)]
            answer = session.forward([1] * len(seqs), positions, seqs, [range(16)] * len(runs)).argmax.ravel()
            num_items, num_merges = answer[:2]
            items = answer[2 : 2 + 8 * num_items].reshape(-1, 8)
            merges = answer[2 + 8 * num_items :][: 4 * num_merges].reshape(-1, 4)
            covered, slots = set(), set()
            starts = {int(first): (int(slot), int(splits)) for first, _, slot, splits in merges}
            for first, count, seq, begin, end, slot, *zero in items.tolist():
                assert zero == [0, 0]
                assert seqs[first : first + count] == [seq] * count
                assert 1 <= count <= 4
                here = {(first + i, split) for i in range(count) for split in range(begin, end)}
                assert not here & covered
                covered |= here
                if slot < 0:
                    assert begin == 0
                    assert first not in starts
                else:
                    assert slot == starts[first][0] + begin * count
                    slots |= set(range(slot, slot + (end - begin) * count))
            last = {token: max(split for t, split in covered if t == token) for token in range(len(seqs))}
            assert covered == {(t, split) for t in range(len(seqs)) for split in range(last[t] + 1)}
            assert all(positions[t] // 16 <= last[t] <= positions[t] // 16 + 1 for t in range(len(seqs)))
            assert slots == set(range(len(slots)))
            assert len(slots) <= 8
            if case == 0:  # one token, eight splits: every thread has something to do
                assert num_merges == 1
                assert num_items >= 2 * threads


def test_a_kernel_that_fails_is_reported_and_the_session_goes_on(make_bundle: BundleMaker) -> None:
    p = counting_plan(8, 1)
    p.step(p.kernel("t_fails", 0, 0), [], [], units=p.scalar(pw.NUM_TOKENS, 1, -1))
    with Session(Model(make_bundle(p)), num_pages=1, threads=2) as session:
        with pytest.raises(Exception, match="a kernel answered 7"):
            session.forward([0, 0], [0, 1], [0, 0], [[0]])
        assert session.forward([0], [0], [0], [[0]]).argmax[0] == 32


def test_profile_counts_steps_and_their_time(make_bundle: BundleMaker) -> None:
    p = pw.PlanWriter()
    p.step(p.kernel("t_busy", 0, 1), [], [p.constant(100)], units=p.constant(10), label="busy")
    p.step(p.kernel("t_nothing", 0, 0), [], [], units=p.constant(1), label="idle")
    with Session(Model(make_bundle(p)), num_pages=1, threads=2) as session:
        session.forward([0], [0], [0], [[0]])
        assert [s.calls for s in session.read_profile()] == [0, 0]
        session.profile(True)
        for _ in range(3):
            session.forward([0], [0], [0], [[0]])
        busy, idle = session.read_profile()
        assert (busy.label, busy.kernel, busy.calls) == ("busy", "t_busy", 3)
        assert (idle.label, idle.kernel, idle.calls) == ("idle", "t_nothing", 3)
        assert busy.time_ns >= 3 * 10 * 100_000 / 2
        assert idle.time_ns < busy.time_ns
