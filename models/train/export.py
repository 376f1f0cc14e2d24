"""A checkpoint to ONNX, f32 and int8, with the loss of each step in figures."""

import argparse
import inspect
import warnings
from pathlib import Path

import numpy as np
import torch

from . import model as models
from . import score
from .lists import Dev, tell
from .pairs import Pairs

OPSET = 17  # the first with LayerNormalization as one operator


def to_onnx(model, path):
    """The graph that the engine reads: inputs of any batch and length."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    length = 2 * models.SPAN
    segments = torch.tensor([[0] * 5 + [1] * (length - 5)] * 2)
    example = (torch.full((2, length), 7), torch.ones(2, length, dtype=torch.long), segments)
    options = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.cpu().eval(), example, str(path), opset_version=OPSET, do_constant_folding=True,
            input_names=list(names), output_names=["logits"],
            dynamic_axes={**{name: {0: "b", 1: "s"} for name in names}, "logits": {0: "b"}}, **options,
        )
    name_products(path)


def name_products(path):
    """Gives weights the names that the engine reads them by. Every product by a
    matrix is named after its module, `/encoder/layer.0/output/dense/MatMul`:
    versions of torch name them in different ways, but all keep the name of the
    bias that is added."""
    import onnx

    graph = onnx.load(str(path))
    biases = {one.name for one in graph.graph.initializer if one.name.endswith(".bias")}
    added = {name: node for node in graph.graph.node if node.op_type == "Add" for name in node.input}
    for node in graph.graph.node:
        if node.op_type == "MatMul" and node.output[0] in added:
            bias = [name for name in added[node.output[0]].input if name in biases]
            if bias:
                module = bias[0].removesuffix(".bias").replace(".", "/").replace("layer/", "layer.")
                node.name = f"/{module}/MatMul"
    onnx.save(graph, str(path))


def to_int8(path, out, reduce_range=False):
    """Dynamic int8: weights per output channel, activations per batch. The head
    stays in f32. `reduce_range` uses 7 bits, for AVX2 without VNNI."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    head = [node.name for node in onnx.load(str(path)).graph.node if "log_idf" in node.input]
    quantize_dynamic(
        str(path), str(out), per_channel=True, reduce_range=reduce_range, weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gather"], nodes_to_exclude=head,
    )


SAMPLE = [
    ("how do I rotate an API key?", ["Open Settings, choose Keys and press Rotate.", "The office is closed."]),
    ("capital of France", ["Paris is the capital. " * 60, "", "Lyon lies on the Rhône."]),
]


def compare(one, other, lists):
    """Largest and mean difference of the scores of two scorers."""
    gaps = [
        np.abs(a - b)
        for a, b in zip(score.score_lists(one, lists), score.score_lists(other, lists))
    ]
    gaps = np.concatenate(gaps)
    return float(gaps.max()), float(gaps.mean())


def export(model, pairs, out, reduce_range=False):
    """Writes model.onnx and model.int8.onnx and returns both scorers. Stops when
    the f32 graph does not say what torch says."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    plain, small = out / "model.onnx", out / "model.int8.onnx"
    to_onnx(model, plain)
    to_int8(plain, small, reduce_range)
    lists = [(query, [("", text) for text in texts]) for query, texts in SAMPLE]
    scorers = [score.OnnxScorer(path, pairs) for path in (plain, small)]
    most, mean = compare(score.TorchScorer(model, pairs), scorers[0], lists)
    print(f"torch against ONNX f32: largest difference {most:.2e}, mean {mean:.2e}")
    if most > 1e-3:
        raise SystemExit(f"{plain} differs from torch by {most}: the export is wrong")
    most, mean = compare(scorers[0], scorers[1], lists)
    print(f"f32 against int8: largest difference {most:.3f}, mean {mean:.3f}")
    for path in (plain, small):
        print(f"{path} {path.stat().st_size / 1e6:.1f} MB")
    return scorers


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--model", required=True, help="checkpoint (.pt)")
    it.add_argument("--out", required=True, help="folder")
    it.add_argument("--tokenizer", default="builtin/late-interaction-v2/tokenizer.json")
    it.add_argument("--data", default="train/out/data")
    it.add_argument("--dev", help="mined lists: tells nDCG@10 of f32 and int8")
    it.add_argument("--dev-limit", type=int, default=200)
    it.add_argument("--reduce-range", action="store_true", help="7-bit weights, for AVX2 without VNNI")
    args = it.parse_args()
    scorers = export(models.start(args.model), Pairs(args.tokenizer), args.out, args.reduce_range)
    if args.dev:
        dev = Dev(args.data, args.dev, args.dev_limit)
        for name, scorer in zip(("f32", "int8"), scorers):
            print(f"{name:5}dev nDCG@10 {tell(dev.measure(dev.scores(scorer)))}")


if __name__ == "__main__":
    main()
