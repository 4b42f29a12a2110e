"""`hearth bench --profile` on a GPU: the kernels that ran, what a call cost, and what cannot be profiled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.compiler.compiled import shared_cache

from golden import CASES
from hearth import LLM
from hearth.cli.bench import command
from hearth.cli.profile import print_gpu_profile
from hearth.errors import DeviceError, UsageError
from hearth.measure.gpu_profile import profile_gpu

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
    assert all(kernel.kernel in printed for kernel in decode.kernels)


def test_the_command_prints_it_as_json_and_refuses_what_it_cannot_tell(on_gpu: LLM) -> None:
    arguments = [str(MODEL), "--device", "gpu", "--profile", "--prompt", "20", "--gen", "2"]
    done = CliRunner().invoke(command, [*arguments, "--json"])
    assert [phase["name"] for phase in json.loads(done.stdout)["phases"]] == ["prefill", "decode"]
    done = CliRunner().invoke(command, [*arguments, "--batch", "2"])
    assert isinstance(done.exception, UsageError)
    with LLM(MODEL, device="cpu") as llm, pytest.raises(UsageError, match="of a model that is on it as a whole"):
        profile_gpu(llm, prompt=4, gen=1)
