"""Looking into a model on the hub before its weights come: what is refused costs no download, and leaves nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checkpoint.builders import gguf_bytes
from checkpoint.splitting import split
from hearth import sizes
from hearth.checkpoint import open_checkpoint
from hearth.engine import slots_for
from hearth.errors import HearthError, NotEnoughMemory, Unsupported
from hearth.hub import preview, pull, resolve
from hearth.model import load_family
from hearth.prepare import fetch, inspector, prepare
from hearth.preview import look_into
from hearth.sizes import size_of
from hub.conftest import hub, use_hub  # noqa: F401  (fixtures)
from hub.samples import REPO, noise
from hub.server import FakeHub, Fault

GOLDEN = Path(__file__).parent / "golden"
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
}
Cache = Callable[[str], Path]


@pytest.fixture
def place(hub: FakeHub, use_hub: Cache) -> Path:  # noqa: F811
    """The cache folder of a process that talks to `hub`."""
    return use_hub(hub.url)


def publish(hub: FakeHub, config: dict[str, Any], **more: bytes) -> None:  # noqa: F811
    hub.publish(REPO, {"config.json": json.dumps(config).encode(), "model.safetensors": noise(200_000), **more})


def kept(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "deepseek_v32"},
        {"model_type": "qwen2_vl"},
        {"quantization_config": {"quant_method": "exl3", "bits": 4}},
        {"num_local_experts": 8},
        {"rope_scaling": {"rope_type": "spiral", "factor": 2.0}},
        {"hidden_act": "relu6"},
        {"num_attention_heads": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_hearth_does_not_run_is_refused_before_its_weights(
    hub: FakeHub,  # noqa: F811
    place: Path,
    change: dict[str, Any],
) -> None:
    publish(hub, LLAMA | change)
    with pytest.raises(HearthError) as caught:
        prepare(REPO)
    assert caught.value.exit_code in (4, 5)
    assert not hub.gets("model.safetensors")
    assert kept(place) == []


def safetensors_of(*names: str) -> bytes:
    """A file of tensors, with so much after its header that a whole download would show."""
    entries = {name: {"dtype": "I32", "shape": [1], "data_offsets": [4 * n, 4 * n + 4]} for n, name in enumerate(names)}
    header = json.dumps(entries).encode()
    return len(header).to_bytes(8, "little") + header + bytes(300_000)


@pytest.mark.parametrize("sharded", [False, True])
def test_what_only_the_tensors_tell_is_refused_before_them(
    hub: FakeHub,  # noqa: F811
    place: Path,
    sharded: bool,
) -> None:
    """Nothing beside these tensors says how they were quantised."""
    names = ("model.layers.0.self_attn.q_proj.qweight", "model.layers.0.self_attn.q_proj.qzeros")
    content = safetensors_of(*names)
    if sharded:
        shard = "model-00001-of-00001.safetensors"
        index = json.dumps({"weight_map": dict.fromkeys(names, shard)}).encode()
        files = {"model.safetensors.index.json": index, shard: content}
    else:
        files = {"model.safetensors": content}
    hub.publish(REPO, {"config.json": json.dumps(LLAMA).encode(), **files})
    with pytest.raises(Unsupported, match="GPTQ") as caught:
        fetch(REPO)
    assert f"Nothing of {REPO} was downloaded" in caught.value.why
    assert all(r.range is not None for r in hub.log if r.method == "GET" and "/storage/" in r.path)
    assert kept(place) == []


@pytest.mark.parametrize("beside", [False, True])
def test_a_quantised_model_is_sized_as_it_will_be_kept(
    hub: FakeHub,  # noqa: F811
    place: Path,
    beside: bool,
) -> None:
    """Early GPTQ models say how they were quantised in a file of its own, which comes along."""
    settings = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": False}
    said = json.dumps({key: value for key, value in settings.items() if key != "quant_method"}).encode()
    publish(hub, LLAMA | ({} if beside else {"quantization_config": settings}), **{"quantize_config.json": said})
    inside = look_into(preview(REPO))
    assert inside is not None
    size = inside.size()
    assert size.formats == "q5_0; embedding and head q8"
    plain = inside.parameters * 4.5 / 8
    assert plain * 1.1 < size.weights_bytes < plain * 1.4
    assert (pull(REPO).path / "quantize_config.json").is_file()


def test_an_update_that_hearth_does_not_run_leaves_the_old_model(hub: FakeHub, place: Path) -> None:  # noqa: F811
    publish(hub, LLAMA)
    old = pull(REPO)
    hub.publish(REPO, {"config.json": b'{"model_type": "deepseek_v32"}', "model.safetensors": noise(300_000, 1)})
    inspect = inspector()
    with pytest.raises(Unsupported, match="deepseek_v32"):
        pull(REPO, inspect=inspect)
    assert fetch(REPO, offline=True) == old


@pytest.mark.parametrize("name", ["llama3", "llama-yarn", "phi3-long", "gemma3", "qwen2", "granite"])
def test_a_gguf_on_the_hub_is_read_by_its_beginning(hub: FakeHub, place: Path, name: str) -> None:  # noqa: F811
    """Tables of rope factors are tensors there, and part of what the model is."""
    file = GOLDEN / name / "twin.gguf"
    content = file.read_bytes() + bytes(3 << 20)  # a tail that nobody needs
    hub.publish(REPO, {"twin.gguf": content})
    seen = look_into(preview(REPO))
    checkpoint = open_checkpoint(file)
    model = load_family(checkpoint)
    assert seen is not None
    assert seen.config == model.config
    real = size_of(model.config, lambda p: checkpoint.tensors[model.sources[p].tensor].dtype, "gguf")
    assert seen.size() == real
    assert all(r.range is not None for r in hub.gets("twin.gguf") if "/storage/" in r.path)
    assert kept(place) == []


@pytest.mark.parametrize("name", ["llama3", "phi3-long"])
def test_a_split_gguf_on_the_hub_is_read_by_the_beginnings_of_its_parts(
    hub: FakeHub,  # noqa: F811
    place: Path,
    tmp_path: Path,
    name: str,
) -> None:
    file = GOLDEN / name / "twin.gguf"
    parts = split(file, tmp_path, "tiny-Q8_0", 3)
    hub.publish(REPO, {part.name: part.read_bytes() + bytes(1 << 20) for part in parts})
    seen = look_into(preview(REPO))
    checkpoint = open_checkpoint(file)
    model = load_family(checkpoint)
    assert seen is not None
    assert seen.config == model.config
    assert seen.size() == size_of(model.config, lambda p: checkpoint.tensors[model.sources[p].tensor].dtype, "gguf")
    assert all(r.range is not None for part in parts for r in hub.gets(part.name) if "/storage/" in r.path)
    assert kept(place) == []


def big_gguf(vocabulary: int) -> bytes:
    """A GGUF of an architecture that Hearth does not run, with a header of several MB."""
    tokens = [f"a token that is somewhat long {number}" for number in range(vocabulary)]
    return gguf_bytes({"general.architecture": "plamo2", "tokenizer.ggml.tokens": tokens})


def test_a_gguf_that_hearth_does_not_run_is_refused_by_its_header(hub: FakeHub, place: Path) -> None:  # noqa: F811
    header = big_gguf(60_000)
    assert len(header) > 2 << 20
    hub.publish(REPO, {"tiny-Q4_0.gguf": header + bytes(20 << 20)})
    with pytest.raises(Unsupported, match="plamo2"):
        prepare(f"{REPO}:Q4_0")
    assert kept(place) == []
    # No byte was asked for twice, and none of the tail.
    ranges = [r.range or "" for r in hub.log if r.method == "GET" and "/storage/" in r.path]
    asked = [tuple(map(int, r.removeprefix("bytes=").split("-"))) for r in ranges]
    assert all(first[1] + 1 == second[0] for first, second in itertools.pairwise(asked))
    assert asked[-1][1] < 8 << 20


def test_a_server_without_ranges_sends_the_whole_file_first(hub: FakeHub, place: Path) -> None:  # noqa: F811
    hub.publish(REPO, {"tiny-Q4_0.gguf": big_gguf(10)})
    hub.faults.append(Fault("tiny-Q4_0.gguf", ignore_range=True))
    assert look_into(preview(REPO)) is None
    with pytest.raises(Unsupported, match="plamo2"):
        prepare(REPO)


def test_a_busy_server_is_asked_again_for_the_beginning(hub: FakeHub, place: Path) -> None:  # noqa: F811
    publish(hub, LLAMA)
    hub.faults.append(Fault("config.json", status=503, times=1))
    assert look_into(preview(REPO)) is not None


def test_a_changed_configuration_is_not_believed(hub: FakeHub, place: Path) -> None:  # noqa: F811
    publish(hub, LLAMA)
    hub.faults.append(Fault("config.json", flip=True))
    with pytest.raises(HearthError, match="checksum"):
        look_into(preview(REPO))


# --- memory


def test_a_model_larger_than_memory_is_refused_before_its_weights(hub: FakeHub, place: Path) -> None:  # noqa: F811
    publish(hub, LLAMA)
    with pytest.raises(NotEnoughMemory) as caught:
        prepare(REPO, quant="f16", memory_bytes=4 << 30)
    assert not hub.gets("model.safetensors")
    assert kept(place) == []
    assert "--quant q4, which takes 3." in caught.value.hint
    assert "hearth models" in caught.value.hint
    with pytest.raises(NotEnoughMemory) as caught:
        prepare(REPO, memory_bytes=2 << 30)
    assert "hearth pull ibm-granite/granite-3.3-2b-instruct, which takes 1.7 GiB" in caught.value.hint


def test_of_a_repository_of_ggufs_the_file_that_fits_is_named(hub: FakeHub, place: Path) -> None:  # noqa: F811
    content = (GOLDEN / "llama3" / "twin.gguf").read_bytes()
    hub.publish(REPO, {"tiny-F16.gguf": content, "tiny-Q4_0.gguf": content[:60_000]})
    with pytest.raises(NotEnoughMemory, match=f"{REPO}:F16 takes") as caught:
        fetch(f"{REPO}:F16", memory_bytes=70_000)
    assert f"hearth pull {REPO}:Q4_0" in caught.value.hint
    assert kept(place) == []


def test_without_a_look_the_size_of_a_gguf_decides(hub: FakeHub, place: Path) -> None:  # noqa: F811
    hub.publish(REPO, {"tiny-Q4_0.gguf": big_gguf(10) + bytes(200_000)})
    hub.faults.append(Fault("tiny-Q4_0.gguf", ignore_range=True))
    with pytest.raises(NotEnoughMemory, match=f"{REPO}:Q4_0 takes"):
        fetch(REPO, memory_bytes=100_000)
    assert kept(place) == []


def test_a_model_on_this_disk_is_refused_before_it_is_compiled(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTH_CACHE", str(tmp_path / "bundles"))
    monkeypatch.setattr("hearth.prepare.bundles.available_bytes", lambda: 1 << 20)
    with pytest.raises(NotEnoughMemory, match="starter takes"):
        prepare("starter")
    assert not (tmp_path / "bundles").exists()


def test_the_size_that_is_foretold_is_that_of_the_bundle(starter: Any, cache: Path) -> None:
    made = starter.info.manifest
    checkpoint = open_checkpoint(resolve("starter").path)
    model = load_family(checkpoint)
    size = size_of(model.config, lambda p: checkpoint.tensors[model.sources[p].tensor].dtype, "safetensors")
    assert size.kv_bytes_per_token == made.language.kv_bytes_per_token
    assert size.weights_bytes == pytest.approx(made.facts.weights_bytes, rel=0.02)


def test_the_memory_of_recurrent_state_is_what_an_engine_keeps_at_least():
    assert slots_for(1) == sizes.KEPT_STATES
    model = load_family(open_checkpoint(GOLDEN / "qwen3_5"))
    size = size_of(model.config, lambda p: "f16", "safetensors")
    # Of two layers three taps of queries, keys and values, and a matrix for each of four heads; one layer attends.
    assert size.state_bytes == slots_for(1) * 2 * 4 * (3 * 128 + 4 * 16 * 16)
    assert size.kv_bytes_per_token == 2 * 2 * 16
