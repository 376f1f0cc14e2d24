"""A checkpoint of the reader to the file that is compiled into the binary: linear layers
as signed bytes with a scale for each output, everything else as floats, embeddings
left out (the re-ranker's are shared).

    python -m train.reading.export --model train/out/reader.pt --out builtin/reader-v3
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from . import model as readers


def tensors(reader):
    out = {}
    for name, value in reader.state_dict().items():
        if name.startswith(("embeddings.", "inside.")):
            continue
        value = value.float()
        if value.ndim == 2:
            scale = value.abs().amax(1).clamp(min=1e-12) / 127
            out[name] = (value / scale[:, None]).round().to(torch.int8)
            out[f"{name}_scale"] = scale
        else:
            out[name] = value.contiguous()
    return out


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--model", required=True)
    it.add_argument("--out", required=True, help="folder")
    args = it.parse_args()
    path = Path(args.out) / "model.int8.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors(readers.start(args.model)), str(path))
    print(f"{path} {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
