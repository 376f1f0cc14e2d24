"""One BERT reads question and passage together and scores each segment of the passage.

    [CLS] question [SEP] place passage [SEP]

A segment's score is the log-odds that it answers: its tokens' values, weighed by a
softmax over the segment, less the value of [CLS], which speaks for "nothing here
answers". The table of words is the re-ranker's and is not trained, so that both
models share it.
"""

import torch
from torch import nn

from .. import model as models
from ..model import MASKED, Embeddings, Layer

HEAD = ("attend", "value", "nothing", "bias", "inside.weight", "inside.bias")


class Reader(nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        self.embeddings = Embeddings(settings)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(settings) for _ in settings.layers)})
        self.attend = nn.Parameter(torch.zeros(settings.hidden))
        self.value = nn.Parameter(torch.randn(settings.hidden) * 0.02)
        self.nothing = nn.Parameter(torch.randn(settings.hidden) * 0.02)
        self.bias = nn.Parameter(torch.zeros(1))
        # Only training asks for the words themselves; this is not exported.
        self.inside = nn.Linear(settings.hidden, 1)
        self.embeddings.requires_grad_(False)

    def states(self, ids, mask):
        states = self.embeddings(ids, torch.arange(ids.shape[1]))
        bias = (1 - mask[:, None, None, :]).to(states.dtype) * MASKED
        for layer in self.encoder["layer"]:
            states = layer(states, bias)
        return states

    def forward(self, ids, mask, segment, count):
        """`segment` [batch, tokens]: number of a token's segment within the batch, -1
        for none; returns scores of `count` segments, and of each token."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            states = self.states(ids, mask).float()
        tokens = states.reshape(-1, states.shape[-1])
        of = segment.reshape(-1)
        inside = (of >= 0).nonzero().squeeze(1)
        held, at = tokens[inside], of[inside]
        attend = held @ self.attend
        weight = (attend - attend.detach().max()).clamp(min=-40).exp()
        whole = torch.zeros(count).index_add(0, at, weight)
        score = torch.zeros(count).index_add(0, at, weight * (held @ self.value)) / whole.clamp(min=1e-20)
        nothing = states[:, 0] @ self.nothing
        return score + self.bias, nothing, self.inside(held).squeeze(-1), inside


WORDS = "builtin/late-interaction-v2/model.int8.onnx"


def start(path, layers=None):
    """A reader with the weights of `path`: one of ours, or any BERT to begin from."""
    if str(path).endswith(".int8.safetensors"):
        return from_shipped(path)
    return models.start(path, layers, make=Reader, head=HEAD)


def from_shipped(path):
    """What train.reading.export wrote, as floats again, with the re-ranker's table of words."""
    from safetensors.torch import load_file

    state = load_file(str(path))
    reader = models.start(WORDS, make=Reader, head=HEAD)
    floats = {
        name: value.float() * state[f"{name}_scale"][:, None] if f"{name}_scale" in state else value
        for name, value in state.items() if not name.endswith("_scale")
    }
    missing, unexpected = reader.load_state_dict(floats, strict=False)
    missing = [name for name in missing if not name.startswith(("embeddings.", "inside."))]
    if missing or unexpected:
        raise SystemExit(f"{path} lacks {missing[:3]} and has {unexpected[:3]}")
    return reader
