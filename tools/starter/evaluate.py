"""Accuracy on the held-out questions, in float32 and with 4-bit weights.

An answer counts when greedy decoding would write it exactly. That is so when, with the right answer given, each of
its tokens is the most likely one: so one forward pass measures a whole batch.
"""

from __future__ import annotations

import copy
from collections import defaultdict

import torch

from tools.starter.model import Llama, fake_quant
from tools.starter.text import Conversation
from tools.starter.tokenizer import ChatEncoder


@torch.no_grad()
def right_answers(model: Llama, encoder: ChatEncoder, questions: list[Conversation], batch: int = 64) -> list[bool]:
    """For each conversation: would the model write its last answer?"""
    prompts = [encoder.prompt(question) for question in questions]
    answers = [[*encoder.ids(question.turns[-1].answer), encoder.end] for question in questions]
    order = sorted(range(len(questions)), key=lambda i: len(prompts[i]) + len(answers[i]))
    right = [False] * len(questions)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        length = max(len(prompts[i]) + len(answers[i]) for i in chosen)
        ids = torch.full((len(chosen), length), encoder.pad)
        wanted = torch.zeros(len(chosen), length, dtype=torch.bool)
        for row, i in enumerate(chosen):
            end = len(prompts[i]) + len(answers[i])
            ids[row, :end] = torch.tensor(prompts[i] + answers[i])
            wanted[row, len(prompts[i]) - 1 : end - 1] = True
        best = model(ids, wanted).argmax(-1)
        at = 0
        for i in chosen:
            right[i] = best[at : at + len(answers[i])].tolist() == answers[i]
            at += len(answers[i])
    return right


def accuracy(model: Llama, encoder: ChatEncoder, questions: list[Conversation]) -> dict[str, float]:
    """Share of right answers in percent: per group of topics, and of all questions under "all"."""
    return grouped(questions, right_answers(model, encoder, questions))


def grouped(questions: list[Conversation], right: list[bool]) -> dict[str, float]:
    """Percent right per group of topics, and under "all"."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for question, mark in zip(questions, right, strict=True):
        marks[question.turns[-1].topic.group].append(mark)
        marks["all"].append(mark)
    return {group: round(100 * sum(row) / len(row), 2) for group, row in marks.items()}


@torch.no_grad()
def as_published(model: Llama) -> Llama:
    """A copy with the weights that the folder holds: float16, computed with in float32."""
    published = copy.deepcopy(model).eval()
    published.set_rounding(False)
    for parameter in published.parameters():
        parameter.copy_(parameter.half().float())
    return published


@torch.no_grad()
def as_q4(model: Llama) -> Llama:
    """A copy with linear layers in 4 bits and the embedding (which is the head) in 8, groups of 32."""
    rounded = as_published(model)
    for layer in rounded.body():
        layer.weight.copy_(fake_quant(layer.weight, 4))
    rounded.embed_tokens.weight.copy_(fake_quant(rounded.embed_tokens.weight, 8))
    return rounded
