"""What is drawn must follow the distribution that the settings describe, and its probabilities be told rightly."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.engine import SamplingParams
from hearth.engine.likeliest import Likeliest
from hearth.engine.sampling import Sampler, _pick, _TokenCounts
from hearth.errors import HearthError, UsageError

VOCAB = 50
PROMPT = [3, 3, 7, 11]


def logits_row(seed: int = 0, size: int = VOCAB) -> np.ndarray:
    row = np.random.default_rng(seed).normal(0, 2, size).astype(np.float32)
    row.flags.writeable = False
    return row


def unmasked(logits, mask, out):
    raise AssertionError("nothing is to be masked")


def draw(sampler: Sampler, row: np.ndarray) -> int:
    return sampler.sample(row, int(row.argmax()), np.empty_like(row), unmasked).token


def expected_distribution(row: np.ndarray, params: SamplingParams, prompt: list[int], output: list[int]) -> np.ndarray:
    """Straight from the definitions, in float64, by sorting everything."""
    x = row.astype(np.float64)
    for token in set(prompt) | set(output):
        x[token] = x[token] / params.repetition_penalty if x[token] > 0 else x[token] * params.repetition_penalty
    for token, count in Counter(output).items():
        x[token] -= params.frequency_penalty * count + params.presence_penalty
    for token, bias in params.logit_bias.items():
        x[token] += bias
    x /= params.temperature
    if params.top_k:
        x[x < np.sort(x)[-min(params.top_k, len(x))]] = -np.inf
    p = np.exp(x - x.max())
    p /= p.sum()
    order = np.argsort(-p, kind="stable")
    mass_before = np.cumsum(p[order]) - p[order]
    p[order[mass_before >= params.top_p]] = 0
    p[p < params.min_p * p.max()] = 0
    return p / p.sum()


@given(
    seed=st.integers(0, 2**32), top_k=st.integers(1, 11), top_p=st.sampled_from([0.3, 0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.2]), temperature=st.sampled_from([0.2, 1.0, 4.0]), levels=st.integers(1, 60),
)  # fmt: skip
def test_the_likeliest_alone_give_the_draws_of_the_row(
    seed: int, top_k: int, top_p: float, min_p: float, temperature: float, levels: int
) -> None:
    """With few levels many tokens are as likely as each other, also as the last one that is told."""
    row = np.random.default_rng(seed).integers(0, levels, VOCAB).astype(np.float32) / 4
    tokens = np.argsort(-row, kind="stable")[:12].astype(np.int32)
    likeliest = Likeliest(row[tokens], tokens)
    found = likeliest.among(top_k)
    expected = np.flatnonzero(row >= np.sort(row)[-top_k])
    if found is None:
        assert len(expected) >= 12
        return
    np.testing.assert_array_equal(found[0], expected)
    settings = {"top_k": top_k, "top_p": top_p, "min_p": min_p, "temperature": temperature, "seed": seed}
    of_row, of_few = (Sampler(SamplingParams(**settings), PROMPT) for _ in range(2))
    assert of_few.draws_among(12)
    nothing = row[:0]
    for _ in range(8):
        drawn = of_few.sample(nothing, int(row.argmax()), np.empty_like(row), unmasked, likeliest)
        assert drawn.token == draw(of_row, row)


SETTINGS = [
    {},
    {"temperature": 0.3},
    {"temperature": 3.0},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 1000},
    {"top_p": 0.5},
    {"top_p": 0.999},
    {"temperature": 100.0, "top_p": 0.9},
    {"min_p": 0.2},
    {"top_k": 12, "top_p": 0.8, "min_p": 0.1, "temperature": 1.5},
    {"repetition_penalty": 1.5},
    {"repetition_penalty": 0.7},
    {"presence_penalty": 1.5},
    {"frequency_penalty": -0.8},
    {"repetition_penalty": 1.2, "presence_penalty": 0.5, "frequency_penalty": 0.4, "logit_bias": {3: 2.0, 20: 4.0}},
    {"logit_bias": {8: 100.0}},
    {"logit_bias": {8: -100.0, 9: 3.0}, "top_k": 4},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_draws_follow_the_distribution(settings):
    params = SamplingParams(seed=1, **settings)
    row = logits_row()
    output = [5, 5, 9, 3]
    sampler = Sampler(params, PROMPT)
    expected = expected_distribution(row, params, PROMPT, output)
    draws = 5_000
    counts = np.zeros(VOCAB)
    for _ in range(draws):
        if params.penalises:  # every draw after the same output
            sampler._counts = _TokenCounts(PROMPT)
            for token in output:
                sampler._counts.add(token)
        counts[draw(sampler, row)] += 1
    assert not counts[expected == 0].any()
    # Chi-square over the tokens expected at least 5 times, the rest in one bin; 5 standard deviations of it.
    common = expected * draws >= 5
    observed = np.append(counts[common], counts[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum()) * draws
    terms = (observed - wanted)[wanted > 0] ** 2 / wanted[wanted > 0]
    freedom = max(1, len(terms) - 1)
    assert terms.sum() < freedom + 5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("spread", [0.0, 0.01, 1.0, 8.0])
@pytest.mark.parametrize("settings", [{"top_k": 40}, {"top_k": 7000}, {"top_p": 0.9}, {"top_p": 0.99}, {"min_p": 0.1}])
def test_a_large_vocabulary_has_the_same_candidates_as_a_full_sort(spread, settings):
    """The short cuts for large vocabularies (groups, halving, blocks) must neither lose nor add a candidate."""
    rng = np.random.default_rng(2)
    row = rng.normal(0, spread, 30_011).astype(np.float32).round(3)  # rounded: with ties
    params = SamplingParams(seed=3, **settings)
    expected = expected_distribution(row, params, [], [])
    sampler = Sampler(params, [])
    drawn = [draw(sampler, row) for _ in range(300)]
    # Ties and rounding at the border of the nucleus may let one more in.
    smallest = expected[expected > 0].min()
    assert all(expected[token] > 0 or row[token] >= row[expected == smallest].min() - 1e-3 for token in drawn)
    likely = np.argsort(-expected)[:10]
    hits = np.isin(drawn, likely).mean()
    assert abs(hits - expected[likely].sum()) < 5 * math.sqrt(0.25 / 300)


def test_what_has_no_probability_is_never_drawn_even_at_the_edges():
    """The last tokens of a vocabulary are often unused, with logits far below: rounding must not end up there."""
    weights = np.zeros(5000, np.float32)
    weights[[10, 700, 3000]] = [1.0, 1e-8, 0.1]
    for point in (0.0, 0.5, 0.90909, 1 - 2**-53, 1 - 2**-30):
        assert _pick(weights, point) in (10, 700, 3000)
    assert _pick(weights, 0.0) == 10
    assert _pick(weights, 1 - 2**-53) == 3000


def test_penalties_grow_with_the_output():
    row = np.zeros(10, np.float32)
    row[[1, 2, 3]] = [1.0, 0.9, 0.8]
    sampler = Sampler(SamplingParams(temperature=0, frequency_penalty=0.15), [])
    assert [draw(sampler, row) for _ in range(6)] == [1, 2, 1, 3, 2, 1]


def test_repetition_penalty_also_looks_at_the_prompt_but_presence_penalty_does_not():
    row = np.zeros(10, np.float32)
    row[[1, 2]] = [1.0, 0.9]
    assert draw(Sampler(SamplingParams(temperature=0, repetition_penalty=2.0), [1]), row) == 2
    assert draw(Sampler(SamplingParams(temperature=0, presence_penalty=2.0), [1]), row) == 1


def test_plain_greedy_touches_no_logits():
    sampler = Sampler(SamplingParams(temperature=0), PROMPT)
    assert not sampler.needs_logits
    nan = np.full(VOCAB, np.nan, np.float32)
    assert sampler.sample(nan, 17, np.empty_like(nan), unmasked).token == 17


def test_the_logits_of_the_session_are_left_as_they_are():
    row = logits_row().copy()
    before = row.copy()
    settings = {"repetition_penalty": 1.3, "logit_bias": {2: 5.0}, "top_p": 0.9, "min_p": 0.01, "logprobs": 3}
    sampler = Sampler(SamplingParams(seed=0, **settings), PROMPT)
    for _ in range(5):
        draw(sampler, row)
    np.testing.assert_array_equal(row, before)


def test_a_tiny_temperature_is_greedy_and_a_seedless_request_is_random():
    row = logits_row()
    assert {draw(Sampler(SamplingParams(temperature=1e-30), []), row) for _ in range(20)} == {int(row.argmax())}
    assert len({draw(Sampler(SamplingParams(temperature=50.0), []), row) for _ in range(50)}) > 5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("settings", [{}, {"temperature": 0, "logprobs": 1}, {"top_k": 3}])
def test_logits_that_are_not_finite_are_an_error_not_a_token(bad, settings):
    row = logits_row().copy()
    row[4] = bad
    with pytest.raises(HearthError, match="1 of 50 logits"):
        draw(Sampler(SamplingParams(**settings), []), row)


def test_huge_but_finite_logits_are_no_error():
    row = np.full(VOCAB, 3e38, np.float32)
    assert 0 <= draw(Sampler(SamplingParams(), []), row) < VOCAB


def test_an_argmax_outside_of_the_vocabulary_is_an_error():
    row = logits_row()
    with pytest.raises(HearthError, match="outside of its vocabulary"):
        Sampler(SamplingParams(temperature=0), []).sample(row, -1, np.empty_like(row), unmasked)


def test_logprobs_are_of_the_raw_distribution_whatever_was_drawn_from():
    row = logits_row()
    exact = row.astype(np.float64) - np.log(np.exp(row.astype(np.float64)).sum())
    settings = {"temperature": 0.2, "top_k": 2, "logit_bias": {30: 100.0}}
    choice = Sampler(SamplingParams(seed=0, logprobs=4, **settings), PROMPT).sample(
        row, int(row.argmax()), np.empty_like(row), unmasked
    )
    assert choice.token == 30
    assert choice.logprob == pytest.approx(exact[30], abs=1e-5)
    best = np.argsort(-exact)[:4]
    assert [token for token, _ in choice.top_logprobs] == best.tolist()
    assert [value for _, value in choice.top_logprobs] == pytest.approx(exact[best].tolist(), abs=1e-5)


def test_logprobs_without_alternatives_and_without_logprobs():
    row = logits_row()
    chosen_only = Sampler(SamplingParams(temperature=0, logprobs=0), []).sample(
        row, int(row.argmax()), row.copy(), unmasked
    )
    assert chosen_only.logprob is not None
    assert chosen_only.top_logprobs == ()
    none = Sampler(SamplingParams(), []).sample(row, int(row.argmax()), row.copy(), unmasked)
    assert none.logprob is None
    assert none.top_logprobs is None


@pytest.mark.parametrize(
    ("name", "value", "range_said"),
    [
        ("temperature", -0.1, "0 to 100"),
        ("temperature", math.nan, "0 to 100"),
        ("temperature", "hot", "0 to 100"),
        ("top_k", -1, "0 or more"),
        ("top_k", 2.5, "0 or more"),
        ("top_p", 0.0, "above 0 and at most 1"),
        ("top_p", 1.1, "above 0 and at most 1"),
        ("min_p", 1.5, "0 to 1"),
        ("repetition_penalty", 0.0, "above 0 and at most 10"),
        ("presence_penalty", 2.5, "-2 to 2"),
        ("frequency_penalty", -3, "-2 to 2"),
        ("logit_bias", {1: 101.0}, "-100 to 100"),
        ("logit_bias", {-1: 1.0}, "0 or more"),
        ("logit_bias", [1], "map token ids"),
        ("seed", -1, "0 to 18446744073709551615"),
        ("seed", True, "0 to 18446744073709551615"),
        ("max_tokens", 0, "1 or more"),
        ("stop_token_ids", 5, "list of token ids"),
        ("stop_token_ids", (-5,), "0 or more"),
        ("logprobs", 101, "0 to 100"),
        ("ignore_eos", 1, "true or false"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name_with_its_range(name, value, range_said):
    with pytest.raises(UsageError, match=name) as caught:
        SamplingParams(**{name: value})
    assert range_said in str(caught.value)


@pytest.mark.reference
@pytest.mark.parametrize("settings", SETTINGS[:15], ids=str)
def test_the_candidates_and_their_probabilities_are_those_of_transformers(settings):
    torch = pytest.importorskip("torch")
    processors = pytest.importorskip("transformers.generation.logits_process")
    if {"presence_penalty", "frequency_penalty"} & set(settings):
        pytest.skip("transformers has no such penalty")
    params = SamplingParams(**settings)
    for seed in range(5):
        row = logits_row(seed, 1000)
        chain = processors.LogitsProcessorList()
        if params.repetition_penalty != 1.0:
            chain.append(processors.RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
        chain.append(processors.TemperatureLogitsWarper(float(params.temperature)))
        if params.top_k:
            chain.append(processors.TopKLogitsWarper(params.top_k))
        if params.top_p < 1.0:
            chain.append(processors.TopPLogitsWarper(params.top_p))
        if params.min_p > 0.0:
            chain.append(processors.MinPLogitsWarper(params.min_p))
        theirs = torch.softmax(chain(torch.tensor([PROMPT]), torch.tensor(row.copy())[None]), -1)[0].numpy()
        ours = expected_distribution(row, params, PROMPT, [])
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
