"""Trains a cross-encoder on mined lists: listwise cross-entropy, the positive
against the negatives of its query (Cao et al., ICML 2007, with one relevant)."""

import argparse

import torch
from torch.nn import functional as F

from . import loop


def listwise(logits, _taught=None):
    """-log softmax of the positive, which is the first of each row."""
    first = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    return F.cross_entropy(logits, first)


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    loop.arguments(it)
    loop.fit(it.parse_args(), listwise)


if __name__ == "__main__":
    main()
