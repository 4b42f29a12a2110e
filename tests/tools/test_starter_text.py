"""The starter model: what it is trained on, and the folder that ships. Needs no torch."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import jinja2
import pytest
from tokenizers import Tokenizer
from tools.starter import facts
from tools.starter.text import draw_fact, held_out_questions, tables, write_conversations
from tools.starter.topics import Topic

FOLDER = Path(__file__).resolve().parents[2] / "src" / "hearth" / "hub" / "starter"
KINDS = ("ask", "follow", "pronoun")


def plain(text: str) -> str:
    return re.sub(r"[^\w+*/{}-]+", " ", text.lower()).strip()


def answers(topic_name: str, **slots: str) -> set[str]:
    topic = next(topic for topic in tables().topics if topic.name == topic_name)
    return {topic.reply(fact) for fact in topic.facts if slots.items() <= fact.items()}


@pytest.mark.parametrize("topic", tables().topics, ids=lambda topic: topic.name)
def test_held_out_phrasings_are_never_trained_on(topic: Topic) -> None:
    """Otherwise the accuracy that the card states would be that of training questions."""
    train = {plain(phrasing) for kind in KINDS for phrasing in getattr(topic, kind).train}
    held_out = {plain(phrasing) for kind in KINDS for phrasing in getattr(topic, kind).held_out}
    assert held_out
    assert not train & held_out


def test_held_out_questions_do_not_turn_up_in_training_text() -> None:
    trained = {plain(turn.question) for talk in islice(write_conversations(7), 20_000) for turn in talk.turns}
    asked = {plain(talk.turns[-1].question) for talk in held_out_questions(99)}
    assert len(asked) > 1000
    assert not trained & asked


def test_every_phrasing_fits_every_fact_of_its_topic() -> None:
    """A slot that a fact lacks would stop the training after an hour."""
    for topic in tables().topics:
        fact = draw_fact(Random(0), topic)
        for kind in KINDS:
            for phrasing in (*getattr(topic, kind).train, *getattr(topic, kind).held_out):
                assert "{" not in phrasing.format(**fact)
        assert topic.reply(fact)


def test_a_seed_fixes_the_text() -> None:
    def text(seed: int) -> list[list[dict[str, str]]]:
        return [talk.messages() for talk in islice(write_conversations(seed), 200)]

    assert text(3) == text(3)
    assert text(3) != text(4)
    assert [talk.messages() for talk in held_out_questions(1)] == [talk.messages() for talk in held_out_questions(1)]


def test_answers_are_right() -> None:
    assert answers("capital", country="France") == {"The capital of France is Paris."}
    assert answers("country", capital="Amsterdam") == {"Amsterdam is the capital of the Netherlands."}
    assert answers("continent", country="the Gambia") == {"The Gambia is in Africa."}
    assert answers("symbol", element="gold") == {"The symbol of gold is Au."}
    assert answers("element by number", number="79") == {"The element with atomic number 79 is gold."}
    assert answers("addition", a="7", b="8") == {"7 + 8 = 15."}
    assert answers("division", a="56", b="8") == {"56 / 8 = 7."}
    assert answers("several units", unit="3 hours", small="minutes") == {"There are 180 minutes in 3 hours."}
    assert answers("day before", day="Monday") == {"The day before Monday is Sunday."}
    assert answers("month after", month="December") == {"The month after December is January."}
    assert answers("opposite", word="hot") == {"The opposite of hot is cold."}
    assert answers("command", command="hearth rm") == {"hearth rm removes a model from this device."}


def test_no_question_has_two_answers() -> None:
    assert len(facts.ELEMENTS) == 118
    for names in (
        [country for country, _ in facts.CAPITALS],
        [capital for _, capital in facts.CAPITALS],
        [name for name, _ in facts.ELEMENTS],
        [symbol for _, symbol in facts.ELEMENTS],
        [word for pair in facts.OPPOSITES for word in pair],
        [(unit, small) for unit, small, _ in facts.UNITS],
    ):
        assert [name for name, count in Counter(names).items() if count > 1] == []


def test_the_folder_is_small_and_complete() -> None:
    files = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert sum(files.values()) <= 8_000_000
    wanted = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"}
    assert wanted <= files.keys()


def test_the_config_says_what_the_weights_are() -> None:
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    with (FOLDER / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    assert header["model.embed_tokens.weight"]["shape"] == [config["vocab_size"], config["hidden_size"]]
    last = config["num_hidden_layers"] - 1
    assert header[f"model.layers.{last}.mlp.down_proj.weight"] == {
        **header[f"model.layers.{last}.mlp.down_proj.weight"],
        "dtype": "F16",
        "shape": [config["hidden_size"], config["intermediate_size"]],
    }


def test_the_chat_template_renders_and_the_tokenizer_keeps_any_text() -> None:
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    settings = json.loads((FOLDER / "tokenizer_config.json").read_text())
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Καλημέρα, 12 + 3? 🙂\n"}]
    prompt = jinja2.Template(settings["chat_template"]).render(messages=messages, add_generation_prompt=True)
    assert prompt == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nΚαλημέρα, 12 + 3? 🙂\n<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == prompt
    config = json.loads((FOLDER / "config.json").read_text())
    assert tokenizer.token_to_id("<|im_end|>") == config["eos_token_id"]
    assert tokenizer.get_vocab_size() == config["vocab_size"]


def test_the_card_states_what_was_measured() -> None:
    record = json.loads((FOLDER / "training.json").read_text())
    assert record["accuracy_f32"]["all"] >= 95
    assert record["accuracy_f32"]["all"] - record["accuracy_q4"]["all"] <= 2
    card = (FOLDER / "README.md").read_text()
    assert "not an assistant" in card
    assert f"{record['accuracy_f32']['all']:.1f}" in card
