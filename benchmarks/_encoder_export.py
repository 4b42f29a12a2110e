"""Makes of an encoder what onnxruntime runs, in the peers' environment (torch, transformers, onnx, onnxruntime).

    python benchmarks/_encoder_export.py MODEL_FOLDER FOLDER

writes FOLDER/f32.onnx, with attention and norms fused by onnxruntime's own optimizer, FOLDER/int8.onnx (dynamic
quantisation, a scale for each row of weights), and last FOLDER/expected.npz: texts as token ids, of lengths as passages
have them, and torch's means over their hidden states, of length 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import transformers

TEXTS, MEDIAN_TOKENS, SPREAD = 256, 48, 0.7
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Hidden(torch.nn.Module):
    """Hidden states alone."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state


def export(source: str, folder: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer

    model = transformers.AutoModel.from_pretrained(source, attn_implementation="eager").eval().float()
    config = model.config
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.normal(np.log(MEDIAN_TOKENS), SPREAD, TEXTS)).astype(int).clip(3, 256)
    texts = [rng.integers(1000, config.vocab_size, length) for length in lengths]
    with torch.no_grad():
        means = [model(input_ids=torch.from_numpy(ids)[None]).last_hidden_state[0].mean(0) for ids in texts]
    example = torch.ones(2, 16, dtype=torch.long)
    torch.onnx.export(
        Hidden(model), (example, example, example * 0), folder / "plain.onnx", input_names=list(_INPUTS),
        output_names=["hidden"], dynamic_axes={name: {0: "batch", 1: "length"} for name in (*_INPUTS, "hidden")},
        opset_version=17, dynamo=False,
    )  # fmt: skip
    fused = optimizer.optimize_model(
        str(folder / "plain.onnx"), model_type="bert", num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size, opt_level=0,
    )  # fmt: skip
    fused.save_model_to_file(str(folder / "f32.onnx"))
    quantize_dynamic(
        folder / "f32.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8, per_channel=True,
        extra_options={"DefaultTensorType": 1},
    )  # fmt: skip
    (folder / "plain.onnx").unlink()
    vectors = torch.stack([mean / mean.norm() for mean in means]).numpy()
    np.savez(folder / "expected.npz", ids=np.concatenate(texts), lengths=lengths, vectors=vectors)


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    export(sys.argv[1], target)
