"""Distils a small model from a base one: its states of every token (as in TinyBERT,
Jiao et al., 2020), its order of all passages of the batch (Hinton et al., 2015), and
the labels a little."""

import argparse

import torch
from torch.nn import functional as F

from . import loop
from . import model as models
from .train import listwise


def apart(read, taught):
    """1 - cosine of the two models' states, mean over all tokens."""
    gaps = []
    for (states, mask), (wanted, _) in zip(read.states, taught.states):
        gaps.append((1 - F.cosine_similarity(states, wanted, dim=-1))[mask > 0])
    return torch.cat(gaps).mean()


def kl(logits, taught, temperature):
    """KL(teacher || student) over the passages, times the temperature squared, so
    that gradients do not shrink with it."""
    want = F.softmax(taught / temperature, dim=-1)
    told = F.log_softmax(logits / temperature, dim=-1)
    return F.kl_div(told, want, reduction="batchmean") * temperature**2


def loss_of(states, temperature, labels):
    """The weighted sum of the three."""

    def loss(read, taught):
        found = states * apart(read, taught) + kl(read.logits, taught.logits, temperature)
        return found + labels * listwise(read.logits)

    return loss


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    loop.arguments(it)
    it.add_argument("--teacher", required=True, help="like --start; of the same width")
    it.add_argument("--states", type=float, default=20.0, help="weight of the states' distance")
    it.add_argument("--temperature", type=float, default=2.0)
    it.add_argument("--labels", type=float, default=0.2, help="weight of the labels")
    args = it.parse_args()
    loop.fit(args, loss_of(args.states, args.temperature, args.labels), models.start(args.teacher))


if __name__ == "__main__":
    main()
