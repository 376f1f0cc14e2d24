"""The cross-encoder: BERT over query and passage together, with a head that
ranks like the bi-encoder it started from before it has learned anything.

score = 20 x similarity of the two segments' states + linear([CLS]); the linear
term starts at zero. Similarity is the cosine of the segments' means ("mean"), or
the mean over the query's tokens of the best cosine with a token of the passage
("maxsim"; Khattab and Zaharia, SIGIR 2020, here over jointly encoded tokens).
"""

import json
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional as F

from . import weights

SCALE = 20.0
MASKED = -1e4  # finite also in half precision


@dataclass
class Settings:
    """Shape of a model; `layers` are those taken from the model it starts from."""

    layers: tuple = (0, 1, 2, 3, 4, 5)
    head: str = "mean"
    # Layers before this one do not let query and passage see each other.
    cross_from: int = 0
    hidden: int = 384
    inner: int = 1536
    heads: int = 12
    vocabulary: int = 30522
    positions: int = 512
    epsilon: float = 1e-12


class Embeddings(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.word_embeddings = nn.Embedding(s.vocabulary, s.hidden)
        self.position_embeddings = nn.Embedding(s.positions, s.hidden)
        self.token_type_embeddings = nn.Embedding(2, s.hidden)
        self.LayerNorm = nn.LayerNorm(s.hidden, eps=s.epsilon)

    def forward(self, ids, segments):
        at = torch.arange(ids.shape[1], device=ids.device)
        told = self.word_embeddings(ids) + self.token_type_embeddings(segments)
        return self.LayerNorm(told + self.position_embeddings(at))


class Attention(nn.Module):
    """Named like BERT's, so that its weights load by name."""

    def __init__(self, s):
        super().__init__()
        self.heads, self.width = s.heads, s.hidden // s.heads
        self.self = nn.ModuleDict({n: nn.Linear(s.hidden, s.hidden) for n in ("query", "key", "value")})
        self.output = Residual(s.hidden, s)

    def forward(self, states, bias):
        rows, length, hidden = states.shape

        def split(name):
            return self.self[name](states).view(rows, length, self.heads, self.width).transpose(1, 2)

        query, key, value = split("query"), split("key"), split("value")
        likeness = query @ key.transpose(-1, -2) / self.width**0.5
        mixed = F.softmax(likeness + bias, dim=-1) @ value
        return self.output(mixed.transpose(1, 2).reshape(rows, length, hidden), states)


class Residual(nn.Module):
    def __init__(self, inner, s):
        super().__init__()
        self.dense = nn.Linear(inner, s.hidden)
        self.LayerNorm = nn.LayerNorm(s.hidden, eps=s.epsilon)

    def forward(self, states, before):
        return self.LayerNorm(self.dense(states) + before)


class Layer(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.attention = Attention(s)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(s.hidden, s.inner)})
        self.output = Residual(s.inner, s)

    def forward(self, states, bias):
        states = self.attention(states, bias)
        return self.output(F.gelu(self.intermediate["dense"](states)), states)


class CrossEncoder(nn.Module):
    """ids, mask, segments: int64 [batch, tokens] -> logits, f32 [batch]."""

    def __init__(self, settings):
        super().__init__()
        if settings.head not in ("mean", "maxsim"):
            raise SystemExit(f"a head is mean or maxsim, not {settings.head}")
        self.settings = settings
        self.embeddings = Embeddings(settings)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(settings) for _ in settings.layers)})
        self.head = nn.Linear(settings.hidden, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids, mask, segments):
        states = self.states(ids, mask, segments)
        passage = (segments * mask).to(states.dtype)
        query = ((1 - segments) * mask).to(states.dtype)
        pool = self.maxsim if self.settings.head == "maxsim" else self.means
        # Not a product of matrices, so that int8 leaves it alone.
        first = (states[:, 0] * self.head.weight[0]).sum(-1) + self.head.bias
        return SCALE * pool(states, query, passage).float() + first.float()

    def states(self, ids, mask, segments):
        open_to = mask[:, None, None, :]
        same = (segments[:, None, :, None] == segments[:, None, None, :]).long() * open_to
        states = self.embeddings(ids, segments)
        for at, layer in enumerate(self.encoder["layer"]):
            seen = open_to if at >= self.settings.cross_from else same
            states = layer(states, (1 - seen).to(states.dtype) * MASKED)
        return states

    @staticmethod
    def means(states, query, passage):
        def mean(mask):
            return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)

        return F.cosine_similarity(mean(query), mean(passage), dim=-1, eps=1e-6)

    @staticmethod
    def maxsim(states, query, passage):
        unit = states / states.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        likeness = unit @ unit.transpose(1, 2)
        best = (likeness + (1 - passage)[:, None, :] * MASKED).max(-1).values
        query = torch.cat([torch.zeros_like(query[:, :1]), query[:, 1:]], dim=1)  # not [CLS]
        return (best * query).sum(1) / query.sum(1).clamp(min=1)


def start(path, layers=None, head=None, cross_from=None, **shape):
    """A model with the weights of `path`; what is not given is as saved there."""
    state, saved = weights.load(path)
    settings = Settings(**saved) if saved else Settings(**shape)
    have = sorted({int(m[1]) for m in map(weights.LAYER.match, state) if m})
    chosen = tuple(have if layers is None else layers)
    if not set(chosen) <= set(have):
        raise SystemExit(f"{path} has the layers {have}; {chosen} were asked for")
    settings.layers = chosen
    settings.head = head or settings.head
    settings.cross_from = settings.cross_from if cross_from is None else cross_from
    model = CrossEncoder(settings)
    missing, _ = model.load_state_dict(weights.choose_layers(state, chosen), strict=False)
    missing = [name for name in missing if not name.startswith("head.")]
    if missing:
        raise SystemExit(f"{path} lacks {len(missing)} weights, such as {missing[0]}")
    return model


def save(model, path, half=False):
    """A model alone, to score with or to start from; `half` for transport."""
    state = {k: (v.half() if half else v).cpu() for k, v in model.state_dict().items()}
    torch.save({"model": state, "settings": asdict(model.settings)}, path)


def describe(model):
    count = sum(value.numel() for value in model.parameters())
    return f"{json.dumps(asdict(model.settings))}, {count / 1e6:.1f} M parameters"
