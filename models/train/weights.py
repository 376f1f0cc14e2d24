"""Where a model starts: an embedder's safetensors, a checkpoint of ours, or an
int8 ONNX file of ours whose weights are turned back into floats."""

import re
from pathlib import Path

import numpy as np
import torch

LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)")
HEAD = ("mix", "weigh", "log_idf", "bias")


def load(path):
    """(state, settings): tensors under the names of BERT, those of the head, and
    the settings of a checkpoint (else none)."""
    path = Path(path)
    if path.suffix == ".onnx":
        return from_onnx(path), None
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = {key: value.float() for key, value in load_file(str(path)).items()}
        return {key.removeprefix("bert."): value for key, value in state.items()}, None
    saved = torch.load(path, map_location="cpu")
    return {key: value.float() for key, value in saved["model"].items()}, saved["settings"]


def choose_layers(state, layers):
    """The state with `layers` of it only, numbered from 0."""
    chosen = {layer: at for at, layer in enumerate(layers)}
    out = {}
    for name, value in state.items():
        match = LAYER.match(name)
        if not match:
            out[name] = value
        elif int(match[1]) in chosen:
            out[f"encoder.layer.{chosen[int(match[1])]}.{match[2]}"] = value
    return out


def from_onnx(path):
    """The weights of a graph that `train.export` wrote.

    Matrices lose their names in the export; the node that multiplies by one is
    named after its module. Dynamic int8 keeps `x`, `x_scale` and `x_zero_point`
    for a matrix x, one scale for each column."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    held = {one.name: numpy_helper.to_array(one) for one in graph.initializer}

    def floats(name):
        if name in held and held[name].dtype == np.float32:
            return held[name]
        base = name.removesuffix("_quantized")
        values = held[f"{base}_quantized"].astype(np.float32)
        zero = held[f"{base}_zero_point"].astype(np.float32)
        return (values - zero) * held[f"{base}_scale"]

    state = {}
    for name in held:
        base = name.removesuffix("_quantized")
        named = base.split(".")[-1] in ("weight", *HEAD) and "::" not in base
        if named and (name == base or name.endswith("_quantized")):
            state[base] = floats(name)
    for node in graph.node:
        matrix = node.input[1] if len(node.input) > 1 else ""
        module = re.search(r"(encoder/layer\.\d+/.+?)/MatMul", node.name)
        if node.op_type in ("MatMul", "MatMulInteger") and module and matrix in held:
            state[module[1].replace("/", ".") + ".weight"] = floats(matrix).T
    return {name: torch.from_numpy(np.array(value, order="C")) for name, value in state.items()}
