"""Texts that a late interaction model has read, once and for all: the states of
their tokens and their means stay on the device of the model.

A passage is read whatever is asked, so one reading of a collection is enough both
to search it by vectors and to judge every list of candidates. A million tokens take
0.8 GB in half precision."""

import sys
import time

import numpy as np
import torch

from .pairs import batches

ENCODED = 8192  # texts that the tokenizer gets at once


class Progress:
    """A line on stderr every half minute, with the time that is left."""

    def __init__(self, what, total):
        self.what, self.total = what, total
        self.begun = self.said = time.monotonic()

    def __call__(self, done):
        now = time.monotonic()
        if now - self.said > 30:
            left = (now - self.begun) * (self.total - done) / done
            print(f"{self.what}: {done} of {self.total}, {left:.0f} s left", file=sys.stderr, flush=True)
            self.said = now


class Texts:
    def __init__(self, model, pairs, texts, window=256):
        self.model = model.eval()
        self.device = next(model.parameters()).device
        # A GPU wants much at once, a CPU what stays in its cache.
        per_batch, self.group = (131_072, 16) if self.device.type == "cuda" else (4096, 1)
        ids = []
        for begin in range(0, len(texts), ENCODED):
            told = pairs.tokenizer.encode_batch(texts[begin : begin + ENCODED], add_special_tokens=False)
            ids += [pairs.between(one.ids[: window - 2]) for one in told]
        lengths = np.array([len(one) for one in ids])
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        width = model.settings.hidden
        self.starts, self.lengths = (torch.from_numpy(it).to(self.device) for it in (starts, lengths))
        self.ids = torch.tensor([one for text in ids for one in text], device=self.device)
        self.states = torch.empty(len(self.ids), width, dtype=torch.bfloat16, device=self.device)
        self.means = torch.empty(len(ids), width, device=self.device)
        progress, read = Progress("tokens read", len(self.ids)), 0
        for some in batches(lengths, per_batch):
            batch = torch.from_numpy(some).to(self.device)
            places, mask = self.places(batch)
            with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16):
                states = model.alone(self.ids[places], mask)
                self.means[batch] = model.means(states, mask).float()
            self.states[places[mask > 0]] = states[mask > 0].bfloat16()
            read += int(lengths[some].sum())
            progress(read)

    def __len__(self):
        return len(self.means)

    def places(self, texts):
        """Where the tokens of some texts lie, and their mask: both [texts, longest]."""
        lengths = self.lengths[texts]
        at = torch.arange(int(lengths.max()), device=self.device)[None, :]
        mask = at < lengths[:, None]
        return torch.where(mask, self.starts[texts][:, None] + at, 0), mask.long()

    def read(self, texts):
        """(ids, mask, states), as the model compares them."""
        places, mask = self.places(torch.tensor(texts, device=self.device))
        return self.ids[places], mask, self.states[places]


@torch.no_grad()
def nearest(queries, passages, depth, block=1024):
    """[(positions, cosines)] of each query's nearest passages by their means."""
    out, depth = [], min(depth, len(passages))
    for begin in range(0, len(queries), block):
        values, places = (queries.means[begin : begin + block] @ passages.means.T).topk(depth)
        out += zip(places.cpu().numpy(), values.cpu().numpy())
    return out


@torch.no_grad()
def judged(queries, passages, lists):
    """The scores of [(query, [passages])], all of them positions."""
    out, group, progress = [], queries.group, Progress("lists judged", len(lists))
    for begin in range(0, len(lists), group):
        some = lists[begin : begin + group]
        every = [passage for _, own in some for passage in own]
        with torch.autocast(queries.device.type, torch.bfloat16):
            logits = queries.model.compare(queries.read([query for query, _ in some]), passages.read(every)).float()
        ends = np.cumsum([len(own) for _, own in some])
        found = logits.cpu().numpy()
        out += [found[at, end - len(own) : end] for at, (end, (_, own)) in enumerate(zip(ends, some))]
        progress(len(out))
    return out
