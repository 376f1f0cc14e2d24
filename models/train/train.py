"""Trains on mined lists: listwise cross-entropy (Cao et al., ICML 2007, with one
relevant) of the positive against its query's negatives and all passages of the
other queries of the batch, which late interaction compares for nothing."""

import argparse

import torch
from torch.nn import functional as F

from . import loop


def listwise(logits):
    """-log softmax of the positive, which is the first of each query's own."""
    queries, passages = logits.shape
    first = torch.arange(queries, device=logits.device) * (passages // queries)
    return F.cross_entropy(logits, first)


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    loop.arguments(it)
    loop.fit(it.parse_args(), lambda read, _: listwise(read.logits))


if __name__ == "__main__":
    main()
