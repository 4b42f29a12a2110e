"""`tune`: search, proof, record. The one entry point of this room."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hearth.bundle import bundles_dir, cache_dir, cpu, remove_bundle
from hearth.compiler import compile_model
from hearth.compiler.cpu.link import host_target
from hearth.compiler.cpu.targets import choose_isas
from hearth.compiler.cpu.tuning import DEFAULT_TUNING, Tunings
from hearth.compiler.cpu.tuning_record import Entry, TuningRecord, read_record, write_record
from hearth.errors import CompileError, UsageError
from hearth.model.text.kv_cache import KvFormat
from hearth.prepare import COMPILE_HINT, Progress, ProgressCallback, compile_progress
from hearth.quant.policy import Precision
from hearth.runtime import default_threads
from hearth.tuner.decide import Gain
from hearth.tuner.proof import Proof, prove
from hearth.tuner.search import Found, Search

DEFAULT_BUDGET_S = 120.0


@dataclass(frozen=True)
class TuneResult:
    """What `tune` found.

    Attributes:
        kernels: every product of the model, those that read most first.
        complete: False where the budget ended the search.
        proof: None where nothing better was found, or nothing was to be kept.
        record: the file in which the result is kept; None where it is not.
        search_s: seconds that the search took.
    """

    processor: str
    isa: str
    threads: int
    kernels: tuple[Found, ...]
    complete: bool
    proof: Proof | None
    record: Path | None
    search_s: float

    def to_json(self) -> dict[str, Any]:
        """Plain data; speeds as ratios, 1.02 being 2 % faster than by default."""

        def speedup(gain: Gain) -> dict[str, float]:
            return {"speedup": round(gain.ratio, 4), "error": round(gain.error, 4)}

        return {
            "processor": self.processor,
            "isa": self.isa,
            "threads": self.threads,
            "complete": self.complete,
            "search_s": round(self.search_s, 1),
            "kernels": [
                {
                    "kernel": found.kernel,
                    "weights_mb": round(found.weights_bytes / 1e6, 1),
                    "tuning": asdict(found.tuning),
                    **speedup(found.gain),
                    "rows": {str(rows): speedup(gain) for rows, gain in found.by_rows.items()},
                }
                for found in self.kernels
            ],
            "proof": None
            if self.proof is None
            else {
                "equal_tokens": self.proof.tokens,
                "prefill": speedup(self.proof.prefill),
                "decode": speedup(self.proof.decode),
            },
            "record": str(self.record) if self.record else None,
        }


def tune(
    source: Path,
    *,
    name: str,
    quant: str | None = None,
    head: str | None = None,
    precision: Precision = "default",
    kv: KvFormat | None = None,
    context: int | None = None,
    isa: str | None = None,
    threads: int | None = None,
    budget_s: float = DEFAULT_BUDGET_S,
    keep: bool = True,
    progress: ProgressCallback | None = None,
) -> TuneResult:
    """Searches how the products of a model are computed fastest on this machine, and keeps the result for all later
    compiles on processors of this model.

    What is found is kept only after the model compiled with it has given the same logits, bit for bit, as without.

    Args:
        source: a Hugging Face folder or a GGUF file; name, quant, head, precision, kv, context: as
            `compile_model`.
        isa: one instruction set of this processor; None: the best.
        threads: as many as the model will be run with; None: the physical cores this process may use.
        budget_s: seconds for the search; the proof after it takes as long as compiling the model and a minute.
        keep: False: only search.

    Raises:
        UsageError: an argument is out of range.
        CompileError: the compiler is not installed or fails.
        CorruptFile: the record of earlier results is damaged.
        NotEnoughMemory: the model does not fit twice.
        HearthError: a tuned kernel computes something else: a mistake in Hearth, nothing is kept.
    """
    if not 0 < budget_s <= 24 * 3600:
        raise UsageError(f"A budget of {budget_s:g} seconds is not possible.", hint="Choose 1 to 86400.")
    if threads is not None and not 1 <= threads <= 1024:
        raise UsageError(f"threads is {threads}, but must be 1 to 1024.")
    if importlib.util.find_spec("tvm") is None:
        raise CompileError("The compiler is not installed.", hint=COMPILE_HINT)
    from hearth.compiler.cpu.products import model_products

    chosen = choose_isas(host_target(), host_target(), isa)
    have = cpu.features()
    if len(chosen) != 1 or (have is not None and not have.issuperset(chosen[0].features)):
        raise UsageError(f"'{isa}' cannot be tuned here.", hint="Name one instruction set that this processor has.")
    workers = default_threads() if threads is None else threads
    record = read_record()
    settings: dict[str, Any] = {"quant": quant, "head": head, "precision": precision, "kv": kv, "context": context}

    begin = time.monotonic()
    told = _search_progress(progress, budget_s)
    told("reading the model", 0.0)
    products = model_products(source, chosen[0], **settings)
    search = Search(
        products, dict(record.tunings), threads=workers, budget_s=budget_s, cache=cache_dir(), told=told
    )  # fmt: skip
    found = search.run()
    seconds = time.monotonic() - begin

    kept, proof = None, None
    tunings = {each.kernel: each.tuning for each in found if each.tuning != DEFAULT_TUNING}
    if keep:
        if tunings:
            proof = _proof(source, name, chosen[0].name, settings, tunings, workers, progress)
        if proof is None or proof.worthwhile:
            kept = _keep(record, found, search.complete)
    return TuneResult(
        cpu.processor(), chosen[0].name, workers, tuple(found), search.complete, proof, kept, seconds
    )  # fmt: skip


def _proof(
    source: Path, name: str, isa: str, settings: dict[str, Any], tunings: Tunings, threads: int,
    progress: ProgressCallback | None,
) -> Proof:  # fmt: skip
    """Compiles the model both ways, compares the two, and leaves the better one in the cache."""
    before = {path.name for path in bundles_dir().iterdir()} if bundles_dir().is_dir() else set()
    told = compile_progress(progress)
    untuned, tuned = (
        compile_model(source, name=name, isa=isa, tunings=each, progress=told, **settings) for each in ({}, tunings)
    )

    def measuring(label: str) -> None:
        if progress is not None:
            progress(Progress("tune", label, 0, 0))

    try:
        proof = prove(untuned, tuned, threads=threads, told=measuring)
    except BaseException:
        _discard(tuned, before)
        raise
    # An untuned bundle that was there before is never opened again once the record is kept.
    remove_bundle(untuned.name) if proof.worthwhile else _discard(tuned, before)
    return proof


def _discard(bundle: Path, before: set[str]) -> None:
    if bundle.name not in before:
        remove_bundle(bundle.name)


def _keep(record: TuningRecord, found: list[Found], complete: bool) -> Path | None:
    """Kernels that were fully searched and found best by default take the place of an older result too."""
    entries = {
        each.kernel: Entry(each.tuning, round(each.gain.ratio, 4))
        for each in found
        if complete or each.tuning != DEFAULT_TUNING
    }
    return write_record(record.with_entries(entries)) if entries else None


def _search_progress(progress: ProgressCallback | None, budget_s: float) -> Callable[[str, float], None]:
    def told(label: str, seconds: float) -> None:
        if progress is not None:
            progress(Progress("tune", label, min(int(seconds), int(budget_s)), max(1, int(budget_s))))

    return told
