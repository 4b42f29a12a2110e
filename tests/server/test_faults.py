"""What goes wrong while a real model answers: nothing hangs, no other stream is harmed, the log says what happened."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.waiting import slow_steps, wait_for

from hearth import LLM
from hearth.engine.batch import Batch
from hearth.hub import resolve
from hearth.server.models import Models, ModelSettings

from .running import Running, running

STORY = "Once upon a time"


def models(*names: str, **settings: Any) -> Models:
    return Models(names or ("starter",), ModelSettings(threads=1, offline=True, **settings))


@pytest.fixture
def server(starter: LLM) -> Iterator[Running]:
    with running(models(), load=["starter"]) as server:
        yield server


@pytest.fixture
def long(starter: LLM) -> dict[str, Any]:
    """A request whose answer fills the context: several hundred tokens."""
    bias = {str(token): -100 for token in starter.engine.eos_ids}
    return {"model": "starter", "prompt": STORY, "max_tokens": 450, "temperature": 0, "logit_bias": bias}


def ask(server: Running, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/completions", json=body, timeout=60, trust_env=False)


def text_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["text"]
    return text


def is_idle(server: Running) -> bool:
    (card,) = server.models.cards()
    return card.running == card.waiting == 0 and server.app.state.traffic.in_flight == 0


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_vanishes_ends_its_own_request_alone(
    server: Running, long: dict[str, Any], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = text_of(ask(server, long))
    drawn = server.metric("hearth_completion_tokens_total", model="starter")
    slow_steps(monkeypatch, lambda: 0.005)
    with ThreadPoolExecutor() as pool:
        # Different prompts: the one that vanishes has its own way to go.
        body = json.dumps({**long, "prompt": "The dog", "stream": stream}).encode()
        head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head + b"content-length: %d\r\n\r\n%s" % (len(body), body))
            other = pool.submit(ask, server, long)
            if stream:
                assert b"200 OK" in connection.recv(1000)
            else:
                wait_for(lambda: server.models.cards()[0].running > 0)
        assert text_of(other.result()) == expected
    wait_for(lambda: is_idle(server))
    assert server.metric("hearth_clients_gone_total", route="/v1/completions") == 1
    assert server.metric("hearth_answers_total", model="starter", finish_reason="cancelled") == 1
    drawn = server.metric("hearth_completion_tokens_total", model="starter") - drawn
    assert drawn < 2 * 450, "what nobody reads is not computed"


def test_a_step_that_fails_fails_its_requests_and_the_next_one_works(
    server: Running, long: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sound, failures = Batch.run, iter([RuntimeError("what a prompt said")])

    def run(batch: Batch, session: Any, *wanted: Any) -> Any:
        for failure in failures:
            raise failure
        return sound(batch, session, *wanted)

    monkeypatch.setattr(Batch, "run", run)
    failed = ask(server, long)
    assert failed.status_code == 500
    assert "what a prompt said" not in failed.text
    assert text_of(ask(server, long))
    assert "RuntimeError" in caplog.text
    wait_for(lambda: is_idle(server))


def test_a_model_that_cannot_go_on_is_opened_anew(
    server: Running, long: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = text_of(ask(server, long))

    sound = Batch.run
    broken: list[Batch] = []

    def run(batch: Batch, session: Any, *wanted: Any) -> Any:
        broken.append(batch)
        if batch is broken[0]:  # the one of the model that is open now
            raise RuntimeError("broken for good")
        return sound(batch, session, *wanted)

    monkeypatch.setattr(Batch, "run", run)
    with ThreadPoolExecutor(4) as pool:
        failed = [answer.status_code for answer in pool.map(lambda _: ask(server, long), range(6))]
    assert set(failed) <= {500, 503, 200}
    assert {500, 503} & set(failed)
    wait_for(lambda: ask(server, long).status_code == 200)
    assert text_of(ask(server, long)) == expected


def test_a_full_queue_answers_429_and_when_to_come_again(
    starter: LLM, long: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_steps(monkeypatch, lambda: 0.005)
    with running(models(max_seqs=1, max_waiting=1), load=["starter"]) as server:
        barrier = threading.Barrier(8)

        def one(_: int) -> httpx.Response:
            barrier.wait()
            return ask(server, long)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(one, range(8)))
        done = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(done) + len(refused) == 8
        assert done
        assert refused
        assert len({text_of(answer) for answer in done}) == 1
        for answer in refused:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["code"] == "queue_full"
        assert text_of(ask(server, long))


def test_a_model_file_that_is_replaced_while_it_is_loaded_changes_nothing_until_it_is_loaded_again(
    starter: LLM, tmp_path: Path, long: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(resolve("starter").path, folder)
    weights = folder / "model.safetensors"
    sound = weights.read_bytes()
    with running(models(str(folder)), load=[str(folder)]) as server:
        body = {**long, "model": "mine"}
        expected = text_of(ask(server, body))
        weights.write_bytes(b"no weights at all")
        assert text_of(ask(server, body)) == expected
        assert server.http.post("/v1/models/mine/unload").status_code == 200
        broken = ask(server, body)
        assert broken.status_code == 500
        assert broken.json()["error"]["message"].startswith("The model mine cannot be opened: its files are damaged.")
        assert "model.safetensors is no safetensors file" in caplog.text, "the owner is told more"
        assert server.http.get("/health").status_code == 200
        weights.write_bytes(sound)
        assert text_of(ask(server, body)) == expected


def test_nothing_that_is_asked_or_answered_is_logged_unless_wanted(
    starter: LLM, long: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    secret = {**long, "prompt": "My password is swordfish", "max_tokens": 8}
    for wanted in (False, True):
        caplog.clear()
        with running(models(), load=["starter"], log_requests=wanted) as server:
            answer = text_of(ask(server, secret))
            ask(server, {**secret, "unknown": "swordfish"})
            server.http.get("/v1/models?key=swordfish")
        ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith(("hearth", "uvicorn")))
        assert "POST /v1/completions 200" in ours
        assert ("swordfish" in ours) == wanted
        assert (json.dumps(answer)[1:-1] in ours.replace("\\\\", "\\")) == wanted
        assert "key=" not in ours
