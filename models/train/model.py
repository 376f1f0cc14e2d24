"""Late interaction (Khattab and Zaharia, SIGIR 2020): one BERT reads query and
passage apart, and their tokens' states are compared.

score = mix . (cosine of the means,
               sum over the query's tokens of weight x best cosine with a token of the passage,
               best cosine of the query's mean with the mean of SPAN tokens in a row)
        + bias

A query token's weight is a softmax of log idf, counted in the training corpus, and
of a linear term that starts at zero. So the model ranks well before it has learned
anything, and a passage's states do not depend on the question. Training needs no
bias; calibration sets it and scales the mix, so that the score is the log-odds of
relevance.
"""

import json
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional as F

from . import weights

SPAN = 32
MIX = (5.0, 10.0, 5.0)  # at the start
MASKED = -1e4  # finite also in half precision


@dataclass
class Settings:
    """Shape of a model; `layers` are those taken from the model it starts from."""

    layers: tuple = (0, 1, 2, 3, 4, 5)
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

    def forward(self, ids, at):
        # All tokens are of the first type, as in the embedder.
        told = self.word_embeddings(ids) + self.token_type_embeddings(torch.zeros_like(ids))
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
        if states.is_cuda:
            # One kernel, without the matrix of scores. Elsewhere what is exported.
            mixed = F.scaled_dot_product_attention(query, key, value, bias.to(query.dtype))
        else:
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


class LateInteraction(nn.Module):
    """Two ways to the same scores: `forward` over pairs, which is what is exported
    (int64 [batch, tokens] -> logits, f32 [batch]), and `compare` of every query
    with every passage of a training batch."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        self.embeddings = Embeddings(settings)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(settings) for _ in settings.layers)})
        self.mix = nn.Parameter(torch.tensor(MIX))
        self.weigh = nn.Parameter(torch.zeros(settings.hidden))
        self.register_buffer("log_idf", torch.zeros(settings.vocabulary))
        self.register_buffer("bias", torch.zeros(1))

    def count(self, token_lists):
        """Sets log idf, ln(ln(1 + n / (1 + df))), from a corpus' token ids."""
        frequency = torch.zeros_like(self.log_idf)
        for ids in token_lists:
            frequency[torch.tensor(sorted(set(ids)), dtype=torch.long)] += 1
        self.log_idf.copy_(torch.log1p(len(token_lists) / (1 + frequency)).log())

    def calibrate(self, scale, offset):
        """The score becomes scale x score + offset."""
        self.mix.data.mul_(scale)
        self.bias.mul_(scale).add_(offset)

    def states(self, ids, seen, at):
        """`seen`, [batch, 1, 1 or tokens, tokens]: 1 where a token is read."""
        states = self.embeddings(ids, at)
        bias = (1 - seen).to(states.dtype) * MASKED
        for layer in self.encoder["layer"]:
            states = layer(states, bias)
        return states

    def alone(self, ids, mask):
        """States of texts by themselves."""
        return self.states(ids, mask[:, None, None, :], torch.arange(ids.shape[1], device=ids.device))

    def forward(self, ids, mask, segments):
        """`[CLS] query [SEP] [CLS] passage [SEP]`: the two do not see each other,
        and each counts its positions from 0."""
        query, passage = (1 - segments) * mask, segments * mask
        asked = query.sum(1, keepdim=True)
        at = torch.arange(ids.shape[1], device=ids.device)[None, :] - passage * asked
        same = (segments[:, None, :, None] == segments[:, None, None, :]).long() * mask[:, None, None, :]
        states = self.states(ids, same, at)
        unit = F.normalize(states, dim=-1)
        means, spans, whole = self.means(states, query), *self.spans(states, passage)
        parts = torch.stack(
            [
                (means * self.means(states, passage)).sum(-1),
                self.maxsim(unit @ unit.transpose(1, 2), passage[:, None, :], self.token_weights(ids, states, query)),
                self.best_span((means[:, None, :] * spans).sum(-1), whole),
            ],
            dim=-1,
        )
        # Not a product of matrices, so that int8 leaves it alone.
        return (parts * self.mix).sum(-1).float() + self.bias

    def compare(self, query, passage):
        """Logits [queries, passages] of (ids, mask, states) of either."""
        (ids, asked, told), (_, mask, states) = query, passage
        likeness = torch.einsum("qih,pjh->qpij", F.normalize(told, dim=-1), F.normalize(states, dim=-1))
        weights = self.token_weights(ids, told, asked)[:, None, :]
        means, (spans, whole) = self.means(told, asked), self.spans(states, mask)
        parts = [
            means @ self.means(states, mask).T,
            self.maxsim(likeness, mask[None, :, None, :], weights),
            self.best_span(torch.einsum("qh,pwh->qpw", means, spans), whole[None]),
        ]
        return (torch.stack(parts, dim=-1) * self.mix).sum(-1).float() + self.bias

    def token_weights(self, ids, states, query):
        """[batch, tokens], summing to 1 over the query without [CLS] and [SEP]."""
        at = torch.arange(ids.shape[1], device=ids.device)[None, :]
        inside = query * (at > 0) * (at < query.sum(1, keepdim=True) - 1)
        logits = self.log_idf[ids] + (states * self.weigh).sum(-1)
        return F.softmax(logits + (1 - inside) * MASKED, dim=-1)

    @staticmethod
    def maxsim(likeness, passage, weights):
        best = (likeness + (1 - passage) * MASKED).max(-1).values
        return (best * weights).sum(-1)

    @staticmethod
    def means(states, mask):
        """Of unit length."""
        return F.normalize((states * mask[..., None]).sum(1), dim=-1)

    @staticmethod
    def spans(states, mask):
        """Means of SPAN tokens in a row, of unit length, and 1 where a span lies in
        the passage; of a shorter passage, which has none, all its tokens."""
        short = LateInteraction.means(states, mask)[:, None]
        sums = F.pad((states * mask[..., None]).cumsum(1), (0, 0, SPAN, SPAN))
        counts = F.pad(mask.cumsum(1), (SPAN, SPAN))
        rows, inside = sums[:, SPAN:] - sums[:, :-SPAN], counts[:, SPAN:] - counts[:, :-SPAN] == SPAN
        whole = (mask.sum(1, keepdim=True) < SPAN).long()
        return torch.cat([short, F.normalize(rows, dim=-1)], dim=1), torch.cat([whole, inside.long()], dim=1)

    @staticmethod
    def best_span(likeness, whole):
        return (likeness + (1 - whole) * MASKED).max(-1).values


def start(path, layers=None, make=None, head=weights.HEAD, **shape):
    """A model with the weights of `path`; what is not given is as saved there. `make`
    is its class, and the start may lack the weights of its `head`: late interaction,
    whose log idf is 0 then, where nothing is said."""
    state, saved = weights.load(path)
    settings = Settings(**saved) if saved else Settings(**shape)
    have = sorted({int(m[1]) for m in map(weights.LAYER.match, state) if m})
    chosen = tuple(have if layers is None else layers)
    if not set(chosen) <= set(have):
        raise SystemExit(f"{path} has the layers {have}; {chosen} were asked for")
    settings.layers = chosen
    model = (make or LateInteraction)(settings)
    missing, _ = model.load_state_dict(weights.choose_layers(state, chosen), strict=False)
    missing = [name for name in missing if name not in head]
    if missing:
        raise SystemExit(f"{path} lacks {len(missing)} weights, such as {missing[0]}")
    return model


def device():
    """Where a model computes: on the GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def on_device(path):
    """The model of `start`, where it computes."""
    return start(path).to(device())


def save(model, path, half=False):
    """A model alone, to score with or to start from; `half` for transport."""
    state = {k: (v.half() if half else v).cpu() for k, v in model.state_dict().items()}
    torch.save({"model": state, "settings": asdict(model.settings)}, path)


def describe(model):
    count = sum(value.numel() for value in model.parameters())
    return f"{json.dumps(asdict(model.settings))}, {count / 1e6:.1f} M parameters"
