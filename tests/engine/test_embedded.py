"""Tokens that stand for pictures: what a sequence says of its picture depends on nothing but the sequence.

A failure says that an answer is about another request's picture, or about none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from drafters import Eager, Guesses
from toy_session import ToySession, greedy_reference, picture_rows

from hearth.engine import Engine, Request, SamplingParams
from hearth.engine.embedded import Embedded
from hearth.errors import UsageError

pytestmark = pytest.mark.usefixtures("kind")

PLACEHOLDER = 60
GREEDY = SamplingParams(temperature=0.0, max_tokens=6)


def picture(seed: int, start: int, rows: int = 9) -> Embedded:
    return Embedded(start, rows, lambda: {"seed": np.array(seed), "rows": np.array(rows)}, seed.to_bytes(16, "little"))


def request(before: Sequence[int], seeds: Sequence[int], after: Sequence[int], **more: object) -> Request:
    """Text, pictures with a token between them, text."""
    ids, embedded = list(before), []
    for seed in seeds:
        embedded.append(picture(seed, len(ids)))
        ids += [PLACEHOLDER] * 9 + [1]
    return Request(prompt_ids=(*ids, *after), params=GREEDY, embedded=tuple(embedded), **more)  # type: ignore[arg-type]


def expected(session: ToySession, asked: Request) -> list[int]:
    given = {}
    for run in asked.embedded:
        inputs = run.inputs()
        rows = picture_rows(int(inputs["seed"]), run.count, session.info.hidden_size)
        given |= {run.start + i: row for i, row in enumerate(rows)}
    return greedy_reference(session, list(asked.prompt_ids), 6, given)


def answers(engine: Engine, *asked: Request) -> list[list[int]]:
    ids = [engine.add(each) for each in asked]
    tokens: dict[int, list[int]] = {i: [] for i in ids}
    while engine.num_waiting or engine.num_running:
        for event in engine.step():
            assert event.error is None
            if event.token is not None:
                tokens[event.id].append(event.token)
    return [tokens[i] for i in ids]


@pytest.mark.parametrize("chunk", [1, 3, 4, 7, 32])
def test_chunks_that_cut_a_picture_change_nothing(chunk: int) -> None:
    session = ToySession()
    asked = request([5, 6, 7], [1, 2], [8, 9])
    engine = Engine(session, context=64, chunk_tokens=chunk)
    assert answers(engine, asked) == [expected(session, asked)]
    assert session.embedded == [1, 2]  # each is looked at once


def test_sequences_with_and_without_pictures_in_one_batch() -> None:
    session = ToySession()
    asked = [
        request([5, 6], [1], [8]),
        Request(prompt_ids=(5, 6, *[PLACEHOLDER] * 9, 1, 8), params=GREEDY),
        request([5, 6], [2], [8]),
        request([3], [], [4]),
    ]
    assert answers(Engine(session, context=64), *asked) == [expected(session, each) for each in asked]


def test_other_pictures_share_no_pages_and_the_same_one_shares_all() -> None:
    session = ToySession()
    engine = Engine(session, context=64)
    first, other = request([5, 6, 7], [1], [8, 9]), request([5, 6, 7], [2], [8, 9])
    plain = Request(prompt_ids=first.prompt_ids, params=GREEDY)
    for asked in (first, other, plain, first, other, plain):
        assert answers(engine, asked) == [expected(session, asked)]
    # Looked at again only where its last page was written over by another.
    assert session.embedded.count(1) == session.embedded.count(2) == 1


def test_text_before_a_picture_is_shared_with_requests_without_one() -> None:
    session = ToySession()
    engine = Engine(session, context=64)
    begin = list(range(1, 17))
    answers(engine, Request(prompt_ids=(*begin, 30), params=GREEDY))
    ids = engine.add(request(begin, [1], [8]))
    usage = None
    while engine.num_waiting or engine.num_running:
        usage = next((event.usage for event in engine.step() if event.usage and event.id == ids), usage)
    assert usage is not None
    assert usage.cached_tokens == 16


def test_a_picture_in_the_unfinished_page_of_an_ended_request_is_not_taken_for_another() -> None:
    session = ToySession(page_tokens=16)
    engine = Engine(session, context=64)
    for seed in (1, 2, 1, 3):
        asked = request([5], [seed], [8])
        assert answers(engine, asked) == [expected(session, asked)]


def test_preempted_sequences_look_at_no_picture_twice() -> None:
    session = ToySession(num_pages=12, max_seqs=3)
    engine = Engine(session, context=48, prefix_cache=False)
    asked = [request([5, i], [10 + i], [8] * 4) for i in range(3)]
    assert answers(engine, *asked) == [expected(session, each) for each in asked]
    assert sorted(session.embedded) == [10, 11, 12]


@pytest.mark.parametrize("chunk", [1, 3, 10, 32])
def test_a_picture_that_is_seen_as_a_whole_is_not_cut(chunk: int) -> None:
    session = ToySession(looks_ahead=True)
    engine = Engine(session, context=64, chunk_tokens=chunk)
    asked = [request([5, i], [10 + i, 20 + i], [8] * 4) for i in range(3)]
    assert answers(engine, *asked) == [expected(session, each) for each in asked]
    countdown = list(range(8, -1, -1))
    assert sorted(ahead for seen in session.looked_ahead for ahead in seen) == sorted(6 * countdown)
    assert all(seen == countdown * (len(seen) // 9) for seen in session.looked_ahead)
    # Found again in the middle of its pages, the rest of it is read at once.
    again = request([5, 0], [10, 21], [8] * 4)
    assert answers(engine, again) == [expected(session, again)]


def test_a_window_that_slides_keeps_pictures_whole_or_drops_them() -> None:
    session = ToySession()
    engine = Engine(session, context=40)
    asked = request([5, 6], [1, 2], [8, 9, 10], overflow="slide", keep_tokens=2)
    params = SamplingParams(temperature=0.0, max_tokens=60)
    (tokens,) = answers(engine, Request(**{**vars(asked), "params": params}))
    assert len(tokens) == 60


GRID = np.array([(0, row, column) for row in range(2) for column in range(4)], np.int32)
"""Of a picture of 2 x 4 tokens, as Qwen2-VL counts."""


def turning_request(*seeds: int) -> tuple[Request, list[tuple[int, ...]]]:
    """Text, pictures with two tokens between them; and by what each token turns, those of an answer too."""
    ids, embedded, turned_by, at = [5, 6, 7], [], [(0,) * 3, (1,) * 3, (2,) * 3], 3
    for seed in seeds:
        inputs = {"seed": np.array(seed), "rows": np.array(8)}
        embedded.append(Embedded(len(ids), 8, lambda inputs=inputs: inputs, seed.to_bytes(16, "little"), GRID))
        turned_by += [(at, at + row, at + column) for _, row, column in GRID.tolist()]
        at += 4  # as many as it has columns, which are more than its rows
        ids += [PLACEHOLDER] * 8 + [1, 2]
        turned_by += [(at,) * 3, (at + 1,) * 3]
        at += 2
    turned_by += [(at + i,) * 3 for i in range(8)]
    return Request(prompt_ids=tuple(ids), params=GREEDY, embedded=tuple(embedded)), turned_by


def turning_answer(session: ToySession, asked: Request, turned_by: list[tuple[int, ...]]) -> list[int]:
    given = {}
    for run in asked.embedded:
        rows = picture_rows(int(run.inputs()["seed"]), run.count, session.info.hidden_size)
        given |= {run.start + i: row for i, row in enumerate(rows)}
    return greedy_reference(session, list(asked.prompt_ids), 6, given, turned_by)


@pytest.mark.parametrize("chunk", [1, 3, 5, 32])
def test_tokens_of_pictures_turn_by_their_rows_and_columns(chunk: int) -> None:
    """However prompts are cut, found in the cache or computed with others: a token turns by the same positions."""
    session = ToySession(rope_streams=3)
    engine = Engine(session, context=64, chunk_tokens=chunk)
    asked = [turning_request(1, 2), turning_request(), turning_request(3)]
    wanted = [turning_answer(session, *each) for each in asked]
    assert answers(engine, *(request for request, _ in asked)) == wanted
    longer = turning_request(1, 4)  # of which a part is in the cache
    assert answers(engine, longer[0], asked[2][0]) == [turning_answer(session, *longer), wanted[2]]


def test_guesses_turn_by_the_positions_that_they_have_as_tokens() -> None:
    session = ToySession(rope_streams=3, max_logit_rows=16)
    asked, turned_by = turning_request(1)
    wanted = turning_answer(session, asked, turned_by)
    guesses = Guesses(lambda ask: wanted[len(ask.tokens) - len(asked.prompt_ids) :])
    engine = Engine(session, context=64, speculation=Eager(guesses))
    assert answers(engine, asked) == [wanted]
    assert len(guesses.asked) < len(wanted) - 1  # some came true


def test_offsets_for_another_number_of_tokens_are_refused() -> None:
    with pytest.raises(UsageError, match="8 offsets"):
        Embedded(0, 9, dict, bytes(16), GRID)


def test_a_model_of_tokens_only_refuses_pictures() -> None:
    engine = Engine(ToySession(max_embeddings=0), context=64)
    with pytest.raises(UsageError, match="no pictures"):
        engine.add(request([5], [1], [8]))


@pytest.mark.parametrize(("start", "rows"), [(0, 4), (2, 1)])
def test_runs_that_overlap_or_leave_the_prompt_are_refused(start: int, rows: int) -> None:
    make = partial(Request, prompt_ids=(1, 2, 3))
    with pytest.raises(UsageError):
        make(embedded=(picture(1, 0, 2), picture(2, start, rows), picture(3, 2, 1)))
