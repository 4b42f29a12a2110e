"""What a Python user meets beside the answers: short forms, words, copies."""

from __future__ import annotations

import io
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

import hearth
from hearth import LLM, Chunk, Completion
from hearth.chat.completion import Timings, Usage
from hearth.chat.tools.types import ToolCall
from hearth.errors import UsageError
from hearth.prepare import Progress
from hearth.progress import displayed

FRANCE = "What is the capital of France?"
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}


def test_a_text_alone_is_what_the_user_says(starter: LLM) -> None:
    whole = starter.chat([{"role": "user", "content": FRANCE}], temperature=0)
    assert starter.chat(FRANCE, temperature=0).text == whole.text
    assert starter.prompt_ids(FRANCE) == starter.prompt_ids([{"role": "user", "content": FRANCE}])


def test_a_role_that_is_none_is_refused_with_those_there_are(starter: LLM) -> None:
    with pytest.raises(UsageError, match=r"Message 2 has the role 'usr'.*user, assistant"):
        starter.chat([{"role": "system", "content": "Be brief."}, {"role": "usr", "content": FRANCE}])
    with pytest.raises(UsageError, match="list such as"):
        starter.chat({"role": "user", "content": FRANCE})  # type: ignore[arg-type]


def test_a_bare_schema_and_a_class_that_knows_its_schema_are_response_formats(starter: LLM) -> None:
    class City:  # as Pydantic's models do
        @classmethod
        def model_json_schema(cls) -> dict[str, Any]:
            return CITY

    form = {"type": "json_schema", "json_schema": {"schema": CITY}}
    expected = starter.chat(FRANCE, response_format=form, temperature=0, max_tokens=40).text
    assert set(json.loads(expected)) == {"city"}
    for given in (CITY, City):
        assert starter.chat(FRANCE, response_format=given, temperature=0, max_tokens=40).text == expected
    assert json.loads(starter.generate("One is", response_format={"enum": [1, 2]}).text) in (1, 2)
    with pytest.raises(UsageError, match="class int, which says no JSON schema"):
        starter.chat(FRANCE, response_format=int)
    with pytest.raises(UsageError, match=r"response_format\.type is 'json_shema'"):
        starter.chat(FRANCE, response_format={"type": "json_shema"})


def test_a_pydantic_model_comes_back_valid(starter: LLM) -> None:
    pydantic = pytest.importorskip("pydantic")
    name, number = pydantic.Field(max_length=20), pydantic.Field(ge=1, le=9)
    model = pydantic.create_model("City", city=(str, name), people=(int, number))
    done = starter.chat(FRANCE, response_format=model, temperature=0, max_tokens=60)
    assert isinstance(model.model_validate_json(done.text).people, int)


def test_what_is_printed_tells_what_it_is(starter: LLM) -> None:
    assert re.fullmatch(r"<LLM 'starter': \d+ MiB of \w+, context 512, 2 threads>", repr(starter))
    done = Completion("Paris.", "", (1, 2), "stop", Usage(9, 0, 3), Timings())
    assert repr(done) == "Completion('Paris.', finish_reason='stop', 3 tokens)"
    assert repr(Chunk("Par")) == "Chunk('Par')"
    assert repr(Chunk("Hm", "thinking")) == "Chunk('Hm', 'thinking')"
    assert hearth.__version__ == __import__("importlib.metadata").metadata.version("hearth-run")


def test_a_notebook_shows_an_answer_as_markdown() -> None:
    done = Completion("**Paris**", "", (1,), "stop", Usage(), Timings())
    assert done._repr_markdown_() == "**Paris**"
    call = Completion("", "", (1,), "tool_calls", Usage(), Timings(), tool_calls=(ToolCall("1", "now", "{}"),))
    assert call._repr_markdown_() == "```json\nnow({})\n```"


def test_a_pickled_model_is_opened_anew_where_it_is_unpickled(starter: LLM) -> None:
    with LLM("starter", threads=1, context=256, progress=lambda step: None) as llm:
        pickled = pickle.dumps(llm)
    with pickle.loads(pickled) as again:
        assert (again.info.name, again.info.context, again.info.threads) == ("starter", 256, 1)
        assert "Paris" in again.chat(FRANCE, temperature=0).text


class _Shown(io.StringIO):
    def isatty(self) -> bool:
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("hearth.progress.time.monotonic", lambda: now[0])
    return now


def test_in_a_notebook_a_line_grows_and_is_gone_at_the_end(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _Shown()
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setattr("hearth.progress._in_notebook", lambda: True)
    with displayed() as display:
        for done in (0, 50, 100):
            display(Progress("load", "starter", done, 100))
            clock[0] += 0.4
    first, second, blank, end = shown.getvalue().lstrip("\r").split("\r")
    assert (first[:15], first[-3:]) == ("Loading starter", "50%")
    assert first.count("█") == first.count("░") == 15
    assert second.endswith("100%")
    assert (blank.strip(), end) == ("", "")


def test_in_a_log_what_takes_long_is_told_in_lines(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _Shown()
    monkeypatch.setattr("sys.stderr", shown)
    with displayed() as display:
        for done in range(0, 100, 10):
            display(Progress("answer", f"{done} of 100", done, 100))
            clock[0] += 3
    assert shown.getvalue().splitlines()[0] == "Answering 10 of 100 (10%) ..."
    assert len(shown.getvalue().splitlines()) == 3


def test_opening_with_progress_prints_nothing_to_standard_output(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    LLM("starter", threads=1, progress=True).close()
    assert capsys.readouterr().out == ""


def test_an_answer_that_goes_round_in_a_circle_is_ended_unless_told_otherwise(starter: LLM) -> None:
    (letter,) = starter.tokenize("a", add_special=False)[-1:]
    loop: dict[str, Any] = {"logit_bias": {letter: 100}, "temperature": 0, "max_tokens": 480}
    done = starter.generate("A", **loop)
    assert done.finish_reason == "repetition"
    assert 400 <= len(done.token_ids) < 450
    assert "the same 1 tokens" in done.notices[0]
    assert starter.generate("A", repetition_stop=False, **loop).finish_reason == "length"
    assert starter.generate("A", ignore_eos=True, **loop).finish_reason == "length"
    assert starter.generate("A", response_format={"type": "regex", "regex": ".*"}, **loop).finish_reason == "length"
    with LLM("starter", threads=1, repetition_stop=False) as llm:
        assert llm.generate("A", **loop).finish_reason == "length"
        assert llm.generate("A", repetition_stop=True, **loop).finish_reason == "repetition"
    with pytest.raises(UsageError, match="repetition_stop is 'no'"):
        starter.generate("A", repetition_stop="no")  # type: ignore[arg-type]
