"""Scores of pairs by an ONNX file (ONNX Runtime, as when serving) or by a model
of ours (torch, on the GPU where there is one)."""

import numpy as np

from .pairs import batches


class OnnxScorer:
    """An int8 or f32 graph on the CPU, with the engine's session settings."""

    def __init__(self, path, pairs, threads=2):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.pairs, self.per_batch = pairs, 768

    def __call__(self, rows):
        ids, mask, segments = self.pairs.batch(rows)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}
        return self.session.run(None, given)[0].reshape(-1)


class TorchScorer:
    """`half`: bf16 products also on a CPU."""

    def __init__(self, model, pairs, half=False):
        import torch

        self.torch, self.model, self.pairs = torch, model.eval(), pairs
        self.device = next(model.parameters()).device
        self.per_batch = 65_536 if self.device.type == "cuda" else 4096
        self.half = half or self.device.type == "cuda"

    def __call__(self, rows):
        torch = self.torch
        given = [torch.from_numpy(it).to(self.device) for it in self.pairs.batch(rows)]
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            return self.model(*given).float().cpu().numpy()


def load(path, pairs, threads=2, judge=False, half=False):
    """The scorer of an .onnx file or of a checkpoint. A judge of many lists need
    not be what is served: beside a GPU, an int8 graph of ours is read back into
    torch, its weights as floats."""
    served = str(path).endswith(".onnx")
    if served and not judge:
        return OnnxScorer(path, pairs, threads)
    import torch

    if served and not torch.cuda.is_available():
        return OnnxScorer(path, pairs, threads)
    from .model import on_device

    torch.set_num_threads(threads)
    return TorchScorer(on_device(path), pairs, half)


def score(scorer, rows):
    """Scores in the order of `rows`, in batches of rows of like lengths."""
    out = np.zeros(len(rows), dtype=np.float32)
    for batch in batches([len(ids) for ids, _ in rows], scorer.per_batch):
        out[batch] = scorer([rows[at] for at in batch])
    return out


def score_lists(scorer, lists, block=256):
    """Scores of many (query, [(title, text)]), a block of lists at a time so
    that a GPU has full batches."""
    for begin in range(0, len(lists), block):
        rows, sizes = [], []
        for query, passages in lists[begin : begin + block]:
            made = scorer.pairs.rows(query, passages)
            rows += made
            sizes.append(len(made))
        found = score(scorer, rows)
        yield from np.split(found, np.cumsum(sizes)[:-1])
