"""The plan of each family: everything is in it, fused as it should be, in memory that is free."""

from __future__ import annotations

from functools import cache

import pytest
from tests.compiler.compiled import compile_here

from golden import CASES, Case
from hearth.checkpoint import open_checkpoint
from hearth.compiler.cpu.lowering import Lowered, lower
from hearth.compiler.cpu.targets import ISAS
from hearth.compiler.pipeline import logical
from hearth.compiler.plan import ARENA, WEIGHT, Plan
from hearth.compiler.plan_file import plan_bytes
from hearth.compiler.text import model_formats
from hearth.model import load_family
from hearth.model.text.network import text_network
from hearth.model.text.parameters import parameter_shapes
from hearth.quant import FORMATS
from hearth.runtime import Model, TextInfo

BY_NAME = {case.name: case for case in CASES}


@cache
def lowered(name: str, quant: str = "q4", v_format: str | None = None) -> Lowered:
    case = BY_NAME[name]
    checkpoint = open_checkpoint(case.path)
    model = load_family(checkpoint, context=case.context)
    formats = model_formats(checkpoint, model, quant, None)
    if v_format:
        formats |= {p: FORMATS[v_format] for p in formats if p.endswith(".v")}
    return lower(logical(text_network(model, "float16"), formats), [ISAS["generic"]], high_precision=quant == "f32")


def kinds(plan: Plan) -> list[str]:
    """Each step as what it does: `product add`, `prepare norm`, `attention`..."""
    found = []
    for step in plan.steps:
        words = step.kernel.split("_")
        if words[0] == "matmul":
            found.append("product " + next(w for w in words if w in ("store", "add", "gated", "logits")))
        elif words[0] == "prepare":
            found.append(" ".join(["prepare", *(w for w in words if w in ("norm", "gather"))]))
        elif words[0] == "rms":
            found.append("norm add" if "add" in words else "norm")
        else:
            found.append("_".join(words[:2]) if words[1:2] in (["append"], ["table"], ["merge"]) else words[0])
    return found


_START, _END = ["embed", "rope_table"], ["norm", "prepare gather", "product logits", "argmax"]
_ATTENTION = ["prepare norm", "product store", "rope_append", "attention", "attention_merge"]
LAYERS = {
    "llama1": [*_ATTENTION, "prepare", "product add", "prepare norm", "product gated", "prepare", "product add"],
    "granite": [*_ATTENTION, "prepare", "product add", "prepare norm", "product gated", "prepare", "product add"],
    "qwen3": [*_ATTENTION, "prepare", "product add", "prepare norm", "product gated", "prepare", "product add"],
    "gemma2": [*_ATTENTION, "prepare", "product store", "norm add", "prepare norm", "product gated", "prepare",
               "product store", "norm add"],
    "olmo2": ["prepare", *_ATTENTION[1:], "prepare", "product store", "norm add", "prepare", "product gated", "prepare",
              "product store", "norm add"],
}  # fmt: skip


@pytest.mark.parametrize("quant", ["q4", "f32"])
@pytest.mark.parametrize("name", LAYERS)
def test_nothing_is_left_unfused(name: str, quant: str) -> None:
    """A step too many is memory read and written for nothing, at every token."""
    low = lowered(name, quant)
    layers = load_family(open_checkpoint(BY_NAME[name].path)).config.num_layers
    assert kinds(low.plan) == [*_START, *LAYERS[name] * layers, *_END]


def test_a_mixture_of_formats_keeps_what_can_be_shared() -> None:
    """As in Q4_K_M files: v in another format than q and k. The activation is still prepared once for all three."""
    layer = kinds(lowered("llama1", v_format="q8").plan)[2:]
    assert layer[:7] == ["prepare norm", *["product store"] * 3, "rope_append", "attention", "attention_merge"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("quant", ["q4", "f32"])
def test_every_weight_is_in_the_plan_once(case: Case, quant: str) -> None:
    low = lowered(case.name, quant)
    config = load_family(open_checkpoint(case.path), context=case.context).config
    parts = [part for name, _, _ in low.plan.weights for part in low.parameters.packed[name].parts]
    rotations = {layer.rope for layer in config.layers} - {None}  # a small model may have no layer of some kind
    made = {f"ropes.{i}.inv_freq" for i in rotations} | ({"alibi"} if config.alibi else set())
    parts = [part for part in parts if not part.startswith("constants.")]  # ones, of norms without weights
    assert sorted(parts) == sorted({*parameter_shapes(config), *made})
    ends = 0
    for name, offset, size in low.plan.weights:
        assert offset % 64 == 0, name
        assert offset >= ends, name
        ends = offset + size
    assert low.plan.weights_bytes == ends


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_step_writes_over_what_a_later_one_reads(case: Case) -> None:
    plan = lowered(case.name).plan
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for index, step in enumerate(plan.steps):
        for buffer in step.buffers:
            first.setdefault(buffer, index)
            last[buffer] = index
    for output in plan.outputs:
        last[output.buffer] = len(plan.steps)
    arena = [b for b in first if plan.buffers[b].kind == 0]
    assert arena
    for a in arena:
        x = plan.buffers[a]
        assert x.offset % 64 == 0
        assert x.offset + x.size <= plan.arena_bytes
        for b in arena:
            y = plan.buffers[b]
            if a < b and first[a] <= last[b] and first[b] <= last[a]:
                assert x.offset + x.size <= y.offset or y.offset + y.size <= x.offset, (x, y)


def test_the_runtime_reads_the_plan_as_it_was_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    case = BY_NAME["llama3"]
    folder = compile_here(case.path, tmp_path_factory.mktemp("plan") / "bundle", quant="q4", isa="generic")
    plan = lowered("llama3").plan
    with Model(folder) as model:
        info = model.info
    assert (info.num_steps, info.num_weights, len(info.states)) == (
        len(plan.steps),
        len(plan.weights),
        len(plan.states),
    )
    assert (info.weights_bytes, info.arena_bytes) == (plan.weights_bytes, plan.arena_bytes)
    text = TextInfo.of(info)
    assert text.outputs == ("logits", "argmax", "hidden")
    assert text.max_position == 128
    assert (folder / "plan.bin").read_bytes() == plan_bytes(plan)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_costs_add_up_to_the_model(name: str) -> None:
    """The profile of a bundle counts every weight once, every multiply and add of a product, all keys and values."""
    low = lowered(name)
    plan, packed = low.plan, low.parameters.packed
    costs = [step.cost for step in plan.steps]
    used = {name for name, _, _ in plan.weights}
    # Tables of which rows are looked up alone.
    embedded = {"layer_embed"} & used | ({"embed"} if packed.get("head") else set())
    once = {n: packed[n].size_bytes for n in used}
    shared = sum(c.weight_bytes for c in costs) - sum(size for n, size in once.items() if n not in embedded)
    assert 0 <= shared <= sum(size for n, size in once.items() if packed[n].k is None) * len(plan.steps)
    config = load_family(open_checkpoint(BY_NAME[name].path)).config
    experts = config.experts
    multiplied = {n for n in used - embedded if packed[n].k and not packed[n].fmt.is_float}
    # Of a stack, those experts that a token meets, or all heads.
    meets = {n: experts.used if experts and n.endswith("_exps") else packed[n].stack for n in multiplied}
    products = {n: 2 * packed[n].n * packed[n].k * meets[n] for n in multiplied}
    assert sum(sum(c.row_operations.values()) for c in costs if c.arithmetic == "int8") == sum(products.values())
    pages = {state: size for state, counted_by, size in plan.states if counted_by == "pages"}
    # Layers that read what another has kept read it once more.
    read = [f"layers.{layer.reads}.{kind}_pages" for layer in config.layers if layer.reads is not None for kind in "kv"]
    assert sum(c.kv_bytes for c in costs) == (sum(pages.values()) + sum(pages[state] for state in read)) // 16


def assert_cut_at_layers(plan: Plan, layers: int, hidden_size: int) -> None:
    """What steps behind a cut read was computed behind it or before the first layer, or is what the layers computed."""
    assert len(plan.cuts) == layers + 1
    (function,) = plan.functions
    begin = plan.cuts[0].step
    arena = {number for number, buffer in enumerate(plan.buffers) if buffer.kind == ARENA}
    first_seen = {b: i for i, step in reversed(list(enumerate(plan.steps))) for b in step.buffers}
    for number, cut in enumerate(plan.cuts):
        assert (cut.function, cut.columns) == (0, -(-hidden_size // 16) * 16)
        assert plan.scalars[cut.rows] == plan.scalars[plan.symbol("tokens")]
        assert first_seen[cut.buffer] < cut.step < function.steps
        used = {b for step in plan.steps[cut.step :] for b in step.buffers} & arena
        assert {b for b in used if begin <= first_seen[b] < cut.step} <= {cut.buffer}
        weights = {plan.weights[plan.buffers[b].index][0] for step in plan.steps[: cut.step] for b in step.buffers
                   if plan.buffers[b].kind == WEIGHT}  # fmt: skip
        assert {name.split(".")[1] for name in weights if name.startswith("layers.")} == set(map(str, range(number)))


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_a_plan_is_cut_at_every_layer_where_only_the_hidden_states_go_on(name: str) -> None:
    case = BY_NAME[name]
    checkpoint = open_checkpoint(case.path)
    config = load_family(checkpoint, context=case.context).config
    if not config.divides:  # what else goes on: such a plan is one piece
        assert lowered(name).plan.cuts == []
    else:
        assert_cut_at_layers(lowered(name).plan, config.num_layers, config.hidden_size)
