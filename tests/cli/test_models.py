"""Finding, looking at, getting and removing models, as a user types it, with a small hub on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.checkpoint.quantised.making import write_model

import hearth.hub
from hub.samples import noise
from hub.server import FakeHub

from .conftest import Run

STARTER = Path(hearth.hub.__file__).parent / "starter"
GOLDEN = Path(__file__).parents[1] / "golden"
Typed = Callable[..., Any]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as server:
        yield server


@pytest.fixture
def online(hearth: Run, hub: FakeHub, tmp_path: Path) -> Run:
    """`hearth` with a network that has nothing but the small hub, and a cache of models of its own."""
    environment = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }

    def run(*arguments: str, **more: Any) -> Any:
        return hearth(*arguments, env=environment | more.pop("env", {}), **more)

    return run


def publish_starter(hub: FakeHub, repo_id: str = "acme/tiny") -> None:
    hub.publish(repo_id, {path.name: path.read_bytes() for path in STARTER.iterdir()})


def test_pull_ends_with_what_to_type_next(online: Run, hub: FakeHub) -> None:
    publish_starter(hub)
    done = online("pull", f"{hub.url}/acme/tiny/tree/main")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-2:] == ["acme/tiny is here: 6 MiB.", "Next: hearth chat acme/tiny"]
    assert done.stdout == ""
    told = json.loads(online("pull", "acme/tiny", "--json").stdout)
    assert (told["name"], told["kind"]) == ("acme/tiny", "folder")
    assert Path(told["path"]).is_dir()
    assert "Paris" in online("ask", "acme/tiny", "What is the capital of France?").stdout


def test_pull_of_ggufs_takes_the_best_and_says_so(online: Run, hub: FakeHub) -> None:
    twin = (GOLDEN / "llama3" / "twin.gguf").read_bytes()
    hub.publish(
        "acme/tiny-GGUF", {"tiny-F16.gguf": twin, "tiny-Q4_K_M.gguf": twin + b"\0", "tiny-Q2_K.gguf": twin[:99]}
    )
    done = online("pull", "acme/tiny-GGUF")
    assert done.returncode == 0, done.stderr
    assert "Note: acme/tiny-GGUF has 3 GGUF files; acme/tiny-GGUF:Q4_K_M" in done.stderr
    assert "Next: hearth chat acme/tiny-GGUF:Q4_K_M" in done.stderr
    assert "acme/tiny-GGUF:Q4_K_M" in online("list").stdout
    assert online("pull", "acme/tiny-GGUF:f16").returncode == 0


@pytest.mark.parametrize("verb", [("pull", "acme/moe"), ("ask", "acme/moe", "hi"), ("compile", "acme/moe")])
def test_what_is_not_supported_is_said_before_the_download(online: Run, hub: FakeHub, verb: tuple[str, ...]) -> None:
    hub.publish("acme/moe", {"config.json": b'{"model_type": "deepseek_v32"}', "model.safetensors": noise(100_000)})
    done = online(*verb)
    assert done.returncode == 5
    assert "'deepseek_v32'" in done.stderr
    assert "Nothing of acme/moe was downloaded." in done.stderr
    assert not hub.gets("model.safetensors")
    assert "acme/moe" not in online("list").stdout


def test_pull_refuses_what_no_memory_holds_and_can_be_overruled(online: Run, hub: FakeHub) -> None:
    config = json.loads((STARTER / "config.json").read_text())
    huge = config | {"hidden_size": 1 << 16, "num_hidden_layers": 900, "head_dim": 64, "intermediate_size": 1 << 18}
    hub.publish("acme/huge", {"config.json": json.dumps(huge).encode(), "model.safetensors": noise(1000)})
    done = online("pull", "acme/huge")
    assert done.returncode == 8
    assert "acme/huge takes" in done.stderr
    assert "hearth models" in done.stderr
    assert not hub.gets("model.safetensors")
    assert online("pull", "acme/huge", "--any-size").returncode == 0


def test_show_tells_of_a_model_that_is_not_here(online: Run, hub: FakeHub) -> None:
    publish_starter(hub)
    hub.about["acme/tiny"] = {"tags": ["license:apache-2.0"], "gated": "auto"}
    shown = online("show", "acme/tiny").stdout
    for said in ("6 MiB to download", "apache-2.0", "accept", "llama", "3.02 million", "512 tokens", "fits"):
        assert said in shown
    assert "hearth pull acme/tiny" in shown
    about = json.loads(online("show", "acme/tiny", "--json", "--context", "256").stdout)
    assert about["context"] == 256
    assert all(r.range for r in hub.log if r.method == "GET" and "/storage/" in r.path), "only the beginning comes"
    assert online("show", "acme/tiny", "--context", "9999").returncode == 2


@pytest.mark.parametrize(
    ("method", "published", "what"),
    [
        ("gptq-zeros", "gptq 4 bits 91%", "gptq 4 bits: the same integers and scales, as q5_0, unless --quant"),
        ("fp8", "fp8 91%", "fp8: no format here holds these numbers, so they are widened to f32 and rounded anew"),
    ],
)
def test_show_says_what_becomes_of_quantised_weights(
    hearth: Run, tmp_path: Path, method: str, published: str, what: str
) -> None:
    done = hearth("show", str(write_model(tmp_path / "tiny", method)))
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert published in told
    assert what in told


def test_show_lists_the_files_of_a_repository_of_ggufs(online: Run, hub: FakeHub) -> None:
    twin = (GOLDEN / "qwen3" / "twin.gguf").read_bytes()
    hub.publish(
        "acme/q-GGUF",
        {"q-Q4_K_M.gguf": twin, "q-Q2_K.gguf": twin, "q-IQ4_KS.gguf": twin, "q-F16-00001-of-00002.gguf": b"x"},
    )
    done = online("show", "acme/q-GGUF")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("acme/q-GGUF:")}
    assert lines["acme/q-GGUF:Q4_K_M"].endswith("fits")
    assert lines["acme/q-GGUF:Q2_K"].endswith("fits")
    assert lines["acme/q-GGUF:IQ4_KS"].endswith("does not read")
    assert lines["acme/q-GGUF:F16"].endswith("not all parts of it are there")
    assert "hearth pull acme/q-GGUF:Q4_K_M" in done.stdout


def test_only_who_set_offline_mode_is_told_of_it(online: Run, hub: FakeHub) -> None:
    done = online("show", "acme/none")
    assert done.returncode == 3
    assert "offline" not in done.stderr.lower()
    done = online("show", "acme/none", env={"HF_HUB_OFFLINE": "1"})
    assert (done.returncode, "HF_HUB_OFFLINE" in done.stderr) == (3, True)
    done = online("ask", "acme/none", "hi", "--offline")
    assert (done.returncode, "--offline" in done.stderr) == (3, True)
    assert "HF_HUB_OFFLINE" not in done.stderr


def test_rm_without_a_terminal_wants_to_be_told_twice(online: Run, hub: FakeHub) -> None:
    publish_starter(hub, "acme/doomed")
    online("pull", "acme/doomed")
    done = online("rm", "acme/doomed")
    assert done.returncode == 2
    assert "6 MiB" in done.stderr
    assert "other programs" in done.stderr
    assert "--yes" in done.stderr
    assert "acme/doomed" in online("list").stdout
    assert "6 MiB freed" in online("rm", "hf:acme/doomed", "--yes").stderr
    assert "acme/doomed" not in online("list").stdout


def test_models_shows_what_fits_best_first(online: Run) -> None:
    done = online("models")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split()[:3] == ["MODEL", "SIZE", "MEMORY"]
    assert "A good start: hearth chat " in done.stderr
    fits = json.loads(online("models", "--json").stdout)
    everything = json.loads(online("models", "--json", "--all", "--context", "4097").stdout)
    assert {m["fit"] for m in fits} <= {"fits", None}
    assert len(everything) >= 20
    before = {m["name"]: m["memory_bytes"] for m in fits}
    assert all(m["memory_bytes"] > before.get(m["name"], 0) for m in everything), "a longer context takes more"


def test_models_made_for_a_shorter_context_are_not_offered_for_a_longer_one(online: Run) -> None:
    names = [m["name"] for m in json.loads(online("models", "--json", "--all", "--context", "131072").stdout)]
    assert "meta-llama/Llama-3.2-1B-Instruct" in names
    assert "HuggingFaceTB/SmolLM2-360M-Instruct" not in names, "it is made for 8192"
    done = online("models", "--context", "99999999")
    assert done.returncode == 2
    assert "the most is 262144" in done.stderr


def test_a_short_name_is_a_question_with_its_answers(online: Run, hub: FakeHub) -> None:
    done = online("ask", "qwen3:0.6b", "hi")
    assert done.returncode == 3
    assert "hearth pull Qwen/Qwen3-0.6B" in done.stderr
    assert hub.log == [], "a short name is never taken for something on the hub"
