"""What clients are told when something is wrong: in the words they look for, at the place they know, and no more."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hearth import LLM
from hearth.errors import CorruptFile, TemplateError
from hearth.hub import resolve
from hearth.server.errors import as_api_error, error_body, without_paths
from hearth.server.models import Models, ModelSettings

from .running import Running, running

LONG = "word " * 2000
ASKED = [{"role": "user", "content": "Hello"}]
TOO_LONG: dict[str, tuple[str, Any]] = {
    "/v1/chat/completions": ("messages", [{"role": "user", "content": LONG}]),
    "/v1/completions": ("prompt", LONG),
    "/v1/responses": ("input", LONG),
    "/v1/embeddings": ("input", LONG),
}
# Strict, and more than a grammar can say.
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}},
    "required": ["a"],
    "additionalProperties": False,
}
RESPONSE_TOOL = {"type": "function", "name": "f", "parameters": SCHEMA, "strict": True}


def post(served: Running, path: str, **fields: Any) -> Any:
    return served.http.post(path, json={"model": "starter", **fields})


@pytest.mark.parametrize("path", TOO_LONG)
def test_agents_of_openais_protocol_read_that_a_prompt_is_too_long(served: Running, path: str) -> None:
    field, value = TOO_LONG[path]
    answer = post(served, path, **{field: value})
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["code"], error["param"]) == ("context_length_exceeded", field)
    said = re.fullmatch(
        rf"This model's maximum context length is 512 tokens\. However, your {field} resulted in (\d+) tokens\."
        rf" Please reduce the length of the {field}\.",
        error["message"],
    )
    assert said is not None
    assert int(said[1]) > 512


def test_agents_of_anthropics_protocol_read_that_a_prompt_is_too_long(served: Running) -> None:
    for stream in (False, True):
        answer = post(served, "/v1/messages", max_tokens=4, messages=[{"role": "user", "content": LONG}], stream=stream)
        assert answer.status_code == 400
        found = re.fullmatch(r"prompt is too long: (\d+) tokens > (\d+) maximum", answer.json()["error"]["message"])
        assert found is not None
        assert int(found[1]) > int(found[2]) == 512


def test_the_servers_own_limit_is_told_in_the_same_words(starter: LLM) -> None:
    models = Models(["starter"], ModelSettings(threads=2, offline=True))
    with running(models, max_prompt_tokens=8) as served:
        long = [{"role": "user", "content": "What is the capital of France?"}]
        told = post(served, "/v1/messages", max_tokens=4, messages=long).json()["error"]["message"]
        assert re.fullmatch(r"prompt is too long: \d+ tokens > 8 maximum", told)
        assert post(served, "/v1/chat/completions", messages=long).json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("path", "fields", "place"),
    [
        (
            "/v1/chat/completions",
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}]},
            "tools[0].function.parameters.properties.a",
        ),
        (
            "/v1/responses",
            {
                "tools": [
                    {"type": "web_search"},
                    {"type": "function", "name": "f", "parameters": SCHEMA, "strict": True},
                ]
            },
            "tools[1].parameters.properties.a",
        ),
        (
            "/v1/responses",
            {
                "tools": [
                    {"type": "namespace", "name": "n", "tools": [{"type": "web_search"}]},
                    {"type": "namespace", "name": "m", "tools": [RESPONSE_TOOL]},
                ]
            },
            "tools[1].tools[0].parameters.properties.a",
        ),
        (
            "/v1/responses",
            {"text": {"format": {"type": "json_schema", "name": "x", "strict": True, "schema": SCHEMA}}},
            "text.format.schema.properties.a",
        ),
        (
            "/v1/messages",
            {"tools": [{"name": "f", "input_schema": SCHEMA, "strict": True}]},
            "tools[0].input_schema.properties.a",
        ),
        (
            "/v1/messages",
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": 5}}}},
            "output_config.format.schema.properties",
        ),
        ("/v1/chat/completions", {"guided_json": {"type": "object", "properties": 5}}, "guided_json.properties"),
        ("/v1/chat/completions", {"guided_regex": "("}, "guided_regex"),
    ],
)
def test_a_fault_of_a_schema_is_told_at_the_place_that_the_client_knows(
    served: Running, path: str, fields: dict[str, Any], place: str
) -> None:
    asked = {"input": "Hello"} if path == "/v1/responses" else {"messages": ASKED}
    asked |= {"max_tokens": 4} if path == "/v1/messages" else {}
    answer = post(served, path, **asked, **fields)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["message"].startswith(place), error["message"]
    if path != "/v1/messages" and "." in place:
        assert error["param"].startswith(place.partition(".")[0])


def test_what_of_a_schema_is_not_enforced_is_told_at_its_place(served: Running) -> None:
    tool = {"name": "f", "input_schema": SCHEMA}
    answer = post(served, "/v1/messages", max_tokens=4, messages=ASKED, tools=[tool])
    assert answer.status_code == 200
    assert answer.headers["x-hearth-warning"].startswith("not enforced: tools[0].input_schema.properties.a")


def test_a_model_that_cannot_be_opened_is_told_by_its_name_and_the_rest_to_the_log(
    starter: LLM, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "secret place" / "mine"
    shutil.copytree(resolve("starter").path, folder)
    (tmp_path / "secret place" / "diary.txt").write_text("dear")
    with running(Models([str(folder)], ModelSettings(threads=1, offline=True))) as served:
        (folder / "config.json").write_text("{")
        damaged = post(served, "/v1/chat/completions", messages=ASKED, model="mine")
        shutil.rmtree(folder)
        gone = post(served, "/v1/messages", messages=ASKED, model="mine", max_tokens=4)
        loaded = served.http.post("/v1/models/mine/load")
    for answer in (damaged, gone, loaded):
        assert answer.status_code == 500
        assert "The model mine cannot be opened" in answer.text
        for told in ("secret", "diary", "config.json", "hearth ", "--"):
            assert told not in answer.text
    assert "config.json" in caplog.text


def test_advice_for_the_command_line_is_for_the_owner_alone() -> None:
    error = as_api_error(
        TemplateError("/home/me/m.gguf has no chat template:", why="None fits.", hint="Use `--template NAME`.")
    )
    told = error_body("/v1/chat/completions", error)["error"]["message"]
    assert told == "m.gguf has no chat template: None fits."
    owners = error_body("/api/models", error)["error"]
    assert owners == {
        "message": "/home/me/m.gguf has no chat template: None fits.",
        "hint": "Use `--template NAME`.",
        "kind": "TemplateError",
    }
    assert "/srv" not in error_body("/v1/messages", as_api_error(CorruptFile("/srv/a b is bad.")))["error"]["message"]


def test_paths_are_cut_to_their_last_name_and_nothing_else_is() -> None:
    assert without_paths("In '/home/me/models/x.gguf': bad") == "In 'x.gguf': bad"
    assert without_paths(r"C:\models\x.gguf is bad") == "x.gguf is bad"
    for text in ("q4/q8 or 1/2", "http://127.0.0.1:8000/v1", "owner/name is gone", "POST a/b", "and/or"):
        assert without_paths(text) == text
