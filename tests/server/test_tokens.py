"""`/tokenize` and `/detokenize`: a text is what the model makes of it."""

from __future__ import annotations

from hearth import LLM

from .running import Running


def test_a_text_and_back(served: Running, starter: LLM) -> None:
    text = "Paris, Łódź and 東京"
    ids = served.http.post("/tokenize", json={"content": text}).json()["tokens"]
    assert ids == starter.tokenize(text, add_special=False)
    assert served.http.post("/detokenize", json={"tokens": ids}).json()["content"] == text
    whole = served.http.post("/tokenize", json={"content": text, "add_special": True, "model": "starter"}).json()
    assert whole["tokens"] == starter.tokenize(text)


def test_pieces_are_the_text(served: Running) -> None:
    tokens = served.http.post("/tokenize", json={"content": "é 東", "add_special": False, "with_pieces": True}).json()
    data = b"".join(t["piece"].encode() if isinstance(t["piece"], str) else bytes(t["piece"]) for t in tokens["tokens"])
    assert data.decode().strip() == "é 東"


def test_messages_are_written_by_the_template(served: Running, starter: LLM) -> None:
    messages = [{"role": "user", "content": "Hello <|im_end|>"}]
    ids = served.http.post("/tokenize", json={"messages": messages}).json()["tokens"]
    assert tuple(ids) == starter.prepare_chat(messages).request.prompt_ids


def test_messages_longer_than_the_context_have_tokens_too(served: Running) -> None:
    messages = [{"role": "user", "content": "word " * 20_000}]
    assert len(served.http.post("/tokenize", json={"messages": messages}).json()["tokens"]) > 20_000


def test_what_makes_no_sense_is_refused(served: Running) -> None:
    for body in (
        {},
        {"content": "a", "messages": [{"role": "user", "content": "a"}]},
        {"content": 5},
        {"content": "a", "model": "nobody"},
        {"content": "a", "parse_special": True},
    ):
        answer = served.http.post("/tokenize", json=body)
        assert answer.status_code in (400, 404)
        assert answer.json()["error"]["message"]
    assert served.http.post("/detokenize", json={"tokens": [1, 10**9]}).status_code == 400
    assert served.http.post("/detokenize", json={"tokens": [-1]}).status_code == 400


def test_a_long_answer_is_whole(served: Running, starter: LLM) -> None:
    text = "word " * 5000
    plain = served.http.post("/tokenize", json={"content": text}).json()["tokens"]
    assert plain == starter.tokenize(text)
    pieces = served.http.post("/tokenize", json={"content": text, "with_pieces": True}).json()["tokens"]
    assert [piece["id"] for piece in pieces] == plain
    assert served.http.post("/tokenize", json={"content": "", "add_special": False}).json() == {"tokens": []}
