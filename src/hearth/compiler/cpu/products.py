"""The products that a model is made of: what `hearth tune` searches. Needs TVM."""

from __future__ import annotations

from pathlib import Path

from hearth.checkpoint import open_checkpoint
from hearth.compiler.cpu.lowering import lower
from hearth.compiler.cpu.selection import Product
from hearth.compiler.cpu.targets import Isa
from hearth.compiler.pipeline import logical
from hearth.compiler.text import model_formats
from hearth.model import load_family
from hearth.model.text.kv_cache import KV_DTYPES, KvFormat, kv_format
from hearth.model.text.network import text_network
from hearth.quant.policy import Precision


def model_products(
    source: Path, isa: Isa, *, quant: str | None, head: str | None, precision: Precision, kv: KvFormat | None,
    context: int | None,
) -> list[Product]:  # fmt: skip
    """The product of every step that is one, in the order of the plan, computed as by default.

    Args: as `compile_model`.
    """
    checkpoint = open_checkpoint(source)
    model = load_family(checkpoint, context=context)
    network = text_network(model, KV_DTYPES[kv_format(kv, precision)], coarse_prompts=precision == "fast")
    graphs = logical(network, model_formats(checkpoint, model, quant, head))
    return lower(graphs, [isa], high_precision=precision == "high").products
