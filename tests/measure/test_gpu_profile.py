"""`hearth bench --profile` on a GPU: the kernels that ran, what a call cost, and what cannot be profiled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tests.compiler.compiled import compile_here, shared_cache
from tests.gpu.software import software_gpu

from golden import CASES
from hearth import LLM
from hearth.bundle import GPU_COSTS, read_costs
from hearth.cli.bench import command
from hearth.cli.profile import print_gpu_profile
from hearth.errors import DeviceError, UsageError
from hearth.measure.gpu_profile import profile_gpu
from hearth.quant import FORMATS
from hearth.runtime import Model, TextSession

MODEL: Path = next(case for case in CASES if case.name == "qwen3").path


@pytest.fixture
def on_gpu() -> Iterator[LLM]:
    with shared_cache():
        try:
            opened = LLM(MODEL, device="gpu")
        except DeviceError as error:
            pytest.skip(f"{error.what} {error.hint}")
        with opened as llm:
            yield llm


def test_each_kernel_of_a_prompt_and_of_a_token_is_told(on_gpu: LLM, capsys: pytest.CaptureFixture[str]) -> None:
    result = profile_gpu(on_gpu, prompt=40, gen=3)
    prefill, decode = result.phases
    assert (prefill.tokens, decode.tokens, decode.context) == (40, 1, 40)
    for phase in result.phases:
        assert sum(kernel.dispatches for kernel in phase.kernels) == phase.dispatches
        assert phase.read_bytes == 4
        assert phase.time_us > 0
    assert not {k.kernel for k in prefill.kernels if "tile64" in k.kernel} & {k.kernel for k in decode.kernels}
    print_gpu_profile(result)
    printed = capsys.readouterr().out
    assert "prefill of 40 tokens" in printed
    assert f"weights: {decode.weight_bytes / 1e6:.1f} MB" in printed
    assert all(kernel.kernel in printed for kernel in decode.kernels)


@pytest.mark.parametrize("name", ["llama1", "qwen3", "gemma3", "olmo2"])
def test_a_token_reads_each_weight_that_it_needs_once(name: str, tmp_path: Path) -> None:
    """All of the file but a table that is only looked up in; and that no more than once where it is the head, too."""
    case = next(case for case in CASES if case.name == name)
    folder = compile_here(case.path, tmp_path / "bundle", quant="q4", head="q8")
    ids, table = np.zeros(1, np.int32), np.zeros((1, 1), np.int32)
    with Model(folder, device=software_gpu(folder)) as model, TextSession(model, num_pages=1) as session:
        session.profile(True)
        session.forward(ids, ids, ids, table, [0], wanted=("argmax",))
        steps = list(zip(session.read_profile(), read_costs(folder, GPU_COSTS), strict=True))
        file_bytes, vocabulary = model.info.weights_bytes, session.info.vocab_size
        hidden = session.info.hidden_size
    read = sum(step.calls * cost.weight_bytes for step, cost in steps)
    tied = json.loads((case.path / "config.json").read_text()).get("tie_word_embeddings", False)
    looked_up = 0 if tied else -(-vocabulary // 16) * FORMATS["q8"].row_block_bytes(hidden)
    assert 0.99 * (file_bytes - looked_up) <= read <= file_bytes - looked_up


def test_the_command_prints_it_as_json_and_refuses_what_it_cannot_tell(on_gpu: LLM) -> None:
    arguments = [str(MODEL), "--device", "gpu", "--profile", "--prompt", "20", "--gen", "2"]
    done = CliRunner().invoke(command, [*arguments, "--json"])
    assert [phase["name"] for phase in json.loads(done.stdout)["phases"]] == ["prefill", "decode"]
    done = CliRunner().invoke(command, [*arguments, "--batch", "2"])
    assert isinstance(done.exception, UsageError)
    for nothing in ("--prompt", "--gen"):
        done = CliRunner().invoke(command, [*arguments, nothing, "0"])
        assert isinstance(done.exception, UsageError)
        assert "at least 1" in str(done.exception)
    with LLM(MODEL, device="cpu") as llm, pytest.raises(UsageError, match="of a model that is on it as a whole"):
        profile_gpu(llm, prompt=4, gen=1)
