"""A plan is executed as its tables say, whatever the number of threads and the mixture of sequences."""

from __future__ import annotations

import numpy as np
import pytest
from tests.runtime import plan_writer as pw
from tests.runtime import tiny_model
from tests.runtime.conftest import BundleMaker

from hearth.runtime import Model, TextSession

TABLE = [[0, 1, 2, -1]]


def one(tokens: list[int], start: int = 0) -> tuple[list[int], list[int], list[int]]:
    """Batch arrays for one sequence that goes on at `start`."""
    return tokens, list(range(start, start + len(tokens))), [0] * len(tokens)


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_a_prompt_at_once_and_token_by_token_give_the_same_numbers(model: Model, threads: int) -> None:
    tokens = [5, 17, 99, 0, 3, 42, 42, 8, 61, 7]
    hidden, logits = tiny_model.hidden_of(tokens), tiny_model.logits_of(tokens)
    with TextSession(model, num_pages=4, threads=threads) as session:
        result = session.forward(*one(tokens), TABLE, [9, 0, 4])
        np.testing.assert_array_equal(result.hidden, hidden)
        np.testing.assert_array_equal(result.logits, logits[[9, 0, 4]])
        np.testing.assert_array_equal(result.argmax, logits[[9, 0, 4]].argmax(axis=1))
    with TextSession(model, num_pages=4, threads=threads) as session:
        for i, token in enumerate(tokens):
            result = session.forward(*one([token], i), TABLE, [0])
            np.testing.assert_array_equal(result.logits[0], logits[i])


@pytest.mark.parametrize("threads", [1, 2])
def test_sequences_of_different_lengths_share_a_batch(model: Model, threads: int) -> None:
    """Chunks of prompts and single tokens together; pages in any order; a sequence without tokens in between."""
    a, b, c = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [50, 51, 52], [70] * 9
    table = [[7, 2], [-1, -1], [5, -1], [0, 1]]
    with TextSession(model, num_pages=8, threads=threads) as session:
        session.forward(a[:6] + c[:8], [*range(6), *range(8)], [0] * 6 + [3] * 8, table)
        result = session.forward(
            c[8:] + a[6:] + b, [8, *range(6, 10), *range(3)], [3] + [0] * 4 + [2] * 3, table, [0, 4, 7]
        )
        expected = [tiny_model.logits_of(s)[-1] for s in (c, a, b)]
        np.testing.assert_array_equal(result.logits, expected)


def test_outputs_are_views_that_the_next_forward_overwrites(model: Model) -> None:
    with TextSession(model, num_pages=4, threads=1) as session:
        first = session.forward(*one([1, 2]), TABLE, [0, 1])
        address = first.logits.__array_interface__["data"][0]
        second = session.forward(*one([3]), TABLE, [0])
        assert second.logits.__array_interface__["data"][0] == address
        np.testing.assert_array_equal(first.logits[0], second.logits[0])
        assert not first.logits.flags.writeable


def test_a_result_keeps_its_session_in_memory(model: Model) -> None:
    result = TextSession(model, num_pages=4, threads=2).forward(*one([1, 2]), TABLE, [1])
    np.testing.assert_array_equal(result.logits[0], tiny_model.logits_of([1, 2])[1])


def test_no_logit_rows_no_logits(model: Model) -> None:
    with TextSession(model, num_pages=4, threads=2) as session:
        result = session.forward(*one([1, 2, 3]), TABLE)
    assert result.logits.shape == (0, tiny_model.VOCAB)
    assert result.argmax.shape == (0,)
    assert result.hidden.shape == (3, tiny_model.HIDDEN)


def test_a_block_table_wider_than_the_longest_sequence_is_fine(model: Model) -> None:
    with TextSession(model, num_pages=4, threads=1) as session:
        session.forward(*one([1] * 8), [[2, 3] + [-1] * 50], [])
        result = session.forward(*one([1, 1], 8), [[2, 3] + [-1] * 50], [1])
    np.testing.assert_array_equal(result.logits[0], tiny_model.logits_of([1] * 10)[-1])


def test_sessions_of_one_model_do_not_see_each_other(model: Model) -> None:
    with TextSession(model, num_pages=4, threads=2) as left, TextSession(model, num_pages=4, threads=2) as right:
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
    with TextSession(left, num_pages=4, threads=2) as a, TextSession(right, num_pages=4, threads=2) as b:
        np.testing.assert_array_equal(a.forward(*one([1, 2]), TABLE, [1]).logits[0], tiny_model.logits_of([1, 2])[-1])
        assert not b.forward(*one([1, 2]), TABLE, [1]).logits.any()
    left.close()
    right.close()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_attention_is_cut_into_items_that_cover_all_splits_once(make_bundle: BundleMaker, threads: int) -> None:
    """Long contexts of few tokens in several items, their partial results in places of their own and few enough."""
    limits = pw.TextPlan().limits | {"split_tokens": 16, "merges": 8}
    p = pw.TextPlan(max_position=128, limits=limits)
    p.state("cache", "pages", 64)
    words = 2 + 8 * (16 + 8) + 4 * 8
    out, one, width = p.arena(16 * words * 4), p.constant(1), p.constant(words)
    scalars = [p.named["items"], p.named["merges"]]
    p.step(p.kernel("t_work", 3, 2), [p.buffer["items"], p.buffer["merges"], out], scalars, units=one)
    p.output("hidden", out, [p.named["tokens"], width], width)  # int32 in f32's clothes, in the first row
    rng = np.random.default_rng(threads)
    with TextSession(Model(make_bundle(p)), num_pages=16, threads=threads) as session:
        for case in range(300):
            runs = [(127, 1)] if case == 0 else []
            while case and len(runs) < 4 and sum(n for _, n in runs) < 12:
                n = int(rng.choice([1, 1, 1, 2, 5, 12 - sum(n for _, n in runs)]))
                runs.append((int(rng.integers(0, 129 - n)), n) if sum(n for _, n in runs) + n <= 16 else (0, 1))
            positions = [start + i for start, n in runs for i in range(n)]
            seqs = [seq for seq, (_, n) in enumerate(runs) for _ in range(n)]
            result = session.forward([1] * len(seqs), positions, seqs, [range(16)] * len(runs))
            answer = result.hidden[0].view(np.int32)
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
