"""Distils a small model from a base one, whose scores the lists carry (mine with
`--judge BASE`): KL of the softmax over the query's own candidates, squared
differences of the margins to the positive (Hofstaetter et al., 2020), and the
labels a little, against all passages of the batch."""

import argparse

import torch
from torch.nn import functional as F

from . import loop
from .train import listwise


def kl(logits, taught, temperature):
    """KL(teacher || student) over the candidates, times the temperature squared
    so that gradients do not shrink with it (Hinton et al., 2015)."""
    want = F.softmax(taught / temperature, dim=-1)
    told = F.log_softmax(logits / temperature, dim=-1)
    return F.kl_div(told, want, reduction="batchmean") * temperature**2


def own_of(logits):
    """[queries, candidates] of [queries, queries x candidates]."""
    queries = len(logits)
    at = torch.arange(queries, device=logits.device)
    return logits.view(queries, queries, -1)[at, at]


def margin_mse(logits, taught):
    def margins(scores):
        return scores[:, :1] - scores[:, 1:]

    return F.mse_loss(margins(logits), margins(taught))


def loss_of(temperature, margin, labels):
    """The weighted sum; lists without a teacher's scores are refused."""

    def loss(logits, taught):
        if taught.isnan().any():
            raise SystemExit("the lists carry no teacher's scores: mine them with --judge")
        own = own_of(logits)
        found = kl(own, taught, temperature) + labels * listwise(logits)
        return found + margin * margin_mse(own, taught) if margin else found

    return loss


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    loop.arguments(it)
    it.add_argument("--temperature", type=float, default=2.0)
    it.add_argument("--margin", type=float, default=0.05, help="weight of the margins")
    it.add_argument("--labels", type=float, default=0.2, help="weight of the labels")
    args = it.parse_args()
    loop.fit(args, loss_of(args.temperature, args.margin, args.labels))


if __name__ == "__main__":
    main()
