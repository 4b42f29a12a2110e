"""Which template and which sampling settings a model gets, and that the user can see and change both."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hearth.chat.choose import choose_template
from hearth.chat.sampling import sampling_params
from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint import Checkpoint
from hearth.checkpoint.generation import load_sampling, published_sampling, save_sampling
from hearth.errors import StorageError, TemplateError, UsageError

from .samples import byte_level, make_spec

MESSAGES = [{"role": "user", "content": "Hi"}]


def tokenizer(template: str | None = None, **changes: Any) -> Tokenizer:
    return Tokenizer(make_spec(byte_level(), chat_template=template, **changes))


def test_the_models_own_template_is_used_silently() -> None:
    chosen = choose_template(tokenizer("own {{ messages[0].content }}"), "any")
    assert chosen.notice == ""
    assert chosen.template.render(MESSAGES).text == "own Hi"


def test_a_guess_is_said_aloud() -> None:
    chosen = choose_template(tokenizer(), "any")
    assert chosen.template.name == "chatml"
    assert "chatml" in chosen.notice
    assert "--template" in chosen.notice


def test_the_user_decides(tmp_path: Path) -> None:
    own = tokenizer("own")
    assert "### Response:" in choose_template(own, "any", "alpaca").template.render(MESSAGES).text
    (tmp_path / "mine.jinja").write_text("mine {{ messages[0].content }}")
    assert choose_template(own, "any", str(tmp_path / "mine.jinja")).template.render(MESSAGES).text == "mine Hi"
    with pytest.raises(UsageError, match="chatml"):
        choose_template(own, "any", "chatlm")
    with pytest.raises(StorageError, match=r"none\.jinja"):
        choose_template(own, "any", str(tmp_path / "none.jinja"))


def test_a_model_with_a_template_for_tools_uses_it_where_there_are_tools() -> None:
    named = tokenizer("own", named_templates={"tool_use": "for tools", "rag": "for documents"})
    assert choose_template(named, "any").template.source == "own"
    assert choose_template(named, "any", tools=True).template.source == "for tools"
    assert choose_template(named, "any", "rag", tools=True).template.source == "for documents"
    assert choose_template(named, "any", "default", tools=True).template.source == "own"
    assert choose_template(named, "any", "chatml").template.name == "chatml"
    with pytest.raises(UsageError, match=r"default, rag, tool_use, alpaca"):
        choose_template(named, "any", "ragg")


def test_several_templates_and_no_default_is_an_error_that_names_them() -> None:
    named = tokenizer(named_templates={"tool_use": "for tools", "rag": "for documents"})
    with pytest.raises(TemplateError, match=r"rag, tool_use.*--template NAME"):
        choose_template(named, "any")
    assert choose_template(named, "any", tools=True).template.source == "for tools"


def test_special_tokens_are_what_the_authors_name() -> None:
    """Qwen 2 names no BOS, though its configuration has an id for one: its template must not write it."""
    source = "[{{ bos_token }}{{ image_token }}{{ additional_special_tokens | join(',') }}{{ sep_token }}]"
    names = {"eos_token": "</s>", "image_token": "<image>"}
    unnamed = tokenizer(source, special=names, additional_special=("<a>", "<b>"))
    assert unnamed.bos_id is not None
    assert choose_template(unnamed, "any").template.render(MESSAGES).text == "[<image><a>,<b>]"


def test_the_end_of_a_turn_ends_an_answer_even_where_the_file_forgot_it() -> None:
    """Many GGUF files name only the end of a text."""
    forgetful = tokenizer("{{ '<|im_start|>' }}{{ '<|im_end|>' }}", eos_ids=())
    assert forgetful.control["<|im_end|>"] in choose_template(forgetful, "any").end_ids


def test_an_answer_with_calls_ends_where_the_result_follows() -> None:
    """FunctionGemma ends its calls with the token that opens the result, not with the end of a turn."""
    token = "<start_function_response>"
    raw = byte_level()
    raw.add_special_tokens([token])
    made = Tokenizer(make_spec(raw, chat_template="{{ '" + token + "' }}"))
    assert choose_template(made, "x").end_ids == made.ids_of([token]) != frozenset()


def test_formats_without_a_token_for_it_end_at_a_text() -> None:
    chosen = choose_template(tokenizer(), "any", "vicuna")
    assert chosen.stops == ("USER:",)


def test_a_model_may_name_a_format_in_place_of_a_template() -> None:
    chosen = choose_template(tokenizer("rwkv-world"), "any")
    assert chosen.template.render(MESSAGES).text == "User: Hi\n\nAssistant:"
    assert chosen.stops == ("\n\nUser:", "\n\nSystem:")
    assert not chosen.notice


def test_bos_comes_first_where_the_model_expects_it_and_only_once() -> None:
    wants = tokenizer(add_bos=True)
    for name in ("vicuna", "llama2"):
        chosen = choose_template(wants, "any", name)
        ids = wants.encode_prompt(chosen.template.render(MESSAGES), ensure_bos=chosen.ensure_bos)
        assert ids[0] == wants.bos_id
        assert ids.count(ids[0]) == 1
    own = choose_template(tokenizer("{{ messages[0].content }}", add_bos=True), "any")
    assert not own.ensure_bos, "a model's own template says itself where BOS stands"


def test_special_tokens_without_a_name_are_found_by_id() -> None:
    unnamed = tokenizer(special={}, eos_ids=(2,))
    assert choose_template(unnamed, "any", "llama2").template.render(MESSAGES).text == "<s>[INST] Hi [/INST]"


def folder(path: Path, config: Any) -> Checkpoint:
    (path / "generation_config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return cast(Checkpoint, SimpleNamespace(kind="safetensors", path=path, config={}))


def gguf(config: dict[str, Any]) -> Checkpoint:
    return cast(Checkpoint, SimpleNamespace(kind="gguf", path=Path("x.gguf"), config=config))


def test_defaults_are_the_authors_then_ours(tmp_path: Path) -> None:
    published = published_sampling(folder(tmp_path, {"temperature": 0.6, "top_k": 20, "eos_token_id": 5}))
    assert published == {"temperature": 0.6, "top_k": 20}
    params = sampling_params(published, {"top_k": 3, "temperature": None})
    assert (params.temperature, params.top_k, params.top_p) == (0.6, 3, 1.0)
    assumed = sampling_params({}, {})
    assert (assumed.temperature, assumed.top_p, assumed.seed) == (0.7, 0.95, None)


def test_authors_who_say_greedy_are_heard(tmp_path: Path) -> None:
    assert published_sampling(folder(tmp_path, {"do_sample": False, "temperature": 1.0})) == {"temperature": 0.0}


def test_gguf_files_say_it_too() -> None:
    assert published_sampling(gguf({"general.sampling.temp": 0.5, "general.name": "x"})) == {"temperature": 0.5}


@pytest.mark.parametrize("config", ["", "[]", "{", {"temperature": "hot"}, {"temperature": None, "top_p": True}, "NaN"])
def test_a_strange_recommendation_is_none(tmp_path: Path, config: Any) -> None:
    assert published_sampling(folder(tmp_path, config)) == {}


def test_a_recommendation_out_of_range_does_not_make_requests_fail() -> None:
    assert sampling_params({"temperature": -1.0, "top_k": 4}, {}).top_k == 4
    assert sampling_params({"top_k": 2.5}, {}).temperature == 0.7


def test_it_travels_with_the_bundle(tmp_path: Path) -> None:
    save_sampling({"temperature": 0.6}, tmp_path)
    assert load_sampling(tmp_path) == {"temperature": 0.6}
    assert load_sampling(tmp_path / "none") == {}
