"""Trains the reader for so many minutes.

    python -m train.reading.train --start builtin/late-interaction-v2/model.int8.onnx \
        --data train/out/reading.npz --out train/out/reader.pt --minutes 45

The rate rises, then falls to 0 when the minutes are over. Three losses are summed: a
softmax over the segments and "nothing"; the log-odds of each segment; and of each
token, whether it lies in the marked span.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from .. import model as models
from .. import pairs
from ..loop import clock_rate
from . import model as readers

SPAN_WEIGHT = 0.3
BLOCK = 2048  # examples whose lengths are sorted together

# How often rows of a source are read in one pass; 1 where nothing is said. A short run
# sees less than one pass, so what is easy or far from documentation gives way.
OFTEN = {"faq_docs": 2, "options_howto": 1.5, "tldr_howto": 0.5, "wikitablequestions": 0.5, "subjqa": 0.4, "covidqa": 0.6, "qamr_wiki": 0.5}


class Data:
    def __init__(self, path):
        held = np.load(path)
        self.ids, self.segment, self.span, self.labels = (held[k] for k in ("ids", "segment", "span", "labels"))
        self.lengths, self.counts = held["lengths"], held["counts"]
        self.token_at = np.concatenate([[0], np.cumsum(self.lengths)])
        self.label_at = np.concatenate([[0], np.cumsum(self.counts)])
        self.source, self.names = held["source"], list(held["names"])

    def batch(self, chosen):
        most = max(self.lengths[i] for i in chosen)
        ids = np.zeros((len(chosen), most), dtype=np.int64)
        mask = np.zeros_like(ids)
        segment = np.full_like(ids, -1)
        span = np.zeros(ids.shape, dtype=np.float32)
        labels, owner, first = [], [], 0
        for row, i in enumerate(chosen):
            tokens = slice(self.token_at[i], self.token_at[i + 1])
            length = self.lengths[i]
            ids[row, :length] = self.ids[tokens]
            mask[row, :length] = 1
            own = self.segment[tokens].astype(np.int64)
            segment[row, :length] = np.where(own >= 0, own + first, -1)
            span[row, :length] = self.span[tokens]
            labels.append(self.labels[self.label_at[i] : self.label_at[i + 1]])
            owner.append(np.full(self.counts[i], row))
            first += self.counts[i]
        return tuple(map(torch.from_numpy, (ids, mask, segment, span, np.concatenate(labels).astype(np.int64), np.concatenate(owner))))


def batches(data, order, budget, rng):
    """Batches of like lengths, of at most `budget` tokens, in random order."""
    for begin in range(0, len(order), BLOCK):
        block = np.asarray(order[begin : begin + BLOCK])
        groups = [block[group] for group in pairs.batches(data.lengths[block], budget)]
        rng.shuffle(groups)
        yield from groups


def losses(reader, batch):
    ids, mask, segment, span, labels, owner = batch
    score, nothing, inside, where = reader(ids, mask, segment, len(labels))
    rows = len(nothing)
    # Log-sum-exp over the segments of a row, and over those that answer.
    highest = torch.cat([score, nothing]).detach().max()
    power = (score - highest).exp()
    answers = labels > 0
    every = torch.zeros(rows).index_add(0, owner, power) + (nothing - highest).exp()
    right = torch.zeros(rows).index_add(0, owner, power * answers)
    answered = torch.zeros(rows).index_add(0, owner, (labels == 1).float()) > 0
    chosen = torch.where(answered, right, (nothing - highest).exp())
    choice = (every.clamp(min=1e-30).log() - chosen.clamp(min=1e-30).log()).mean()
    known = labels != 2
    each = F.binary_cross_entropy_with_logits(score - nothing[owner], (labels == 1).float(), reduction="none")
    counts = torch.zeros(rows).index_add(0, owner, known.float()).clamp(min=1)
    alone = (each * known / counts[owner]).sum() / rows
    told = span.reshape(-1)[where]
    words = F.binary_cross_entropy_with_logits(inside, told)
    return choice + alone + SPAN_WEIGHT * words, choice, (score, nothing, labels, owner, answered)


@torch.no_grad()
def measure(reader, data, held_out):
    """Share of answered rows whose best segment answers, and the area under the curve
    of answered against unanswered by the best score."""
    reader.eval()
    right = answered_rows = 0
    best, truth = [], []
    for group in batches(data, list(held_out), 8192, np.random.default_rng(0)):
        _, _, (score, nothing, labels, owner, answered) = losses(reader, data.batch(group))
        for row in range(len(group)):
            own = owner == row
            margin = score[own] - nothing[row]
            best.append(margin.max().item())
            truth.append(bool(answered[row]))
            if answered[row]:
                answered_rows += 1
                right += int(labels[own][margin.argmax()] > 0)
    reader.train()
    return right / answered_rows, area(best, truth)


def area(scores, truth):
    """Area under the curve of the true ones against the others."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores)] = np.arange(1, len(scores) + 1)
    truth = np.array(truth)
    positives, negatives = truth.sum(), (~truth).sum()
    return (ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives)


def optimiser_of(reader, lr, lr_head):
    """AdamW; what is not of the encoder is trained at `lr_head` times the rate."""
    head = [p for name, p in reader.named_parameters() if p.requires_grad and not name.startswith("encoder")]
    body = [p for name, p in reader.named_parameters() if p.requires_grad and name.startswith("encoder")]
    return torch.optim.AdamW([{"params": body, "times": 1.0}, {"params": head, "times": lr_head}], lr=lr, weight_decay=0.01)


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--start", default="builtin/late-interaction-v2/model.int8.onnx")
    it.add_argument("--layers", help="of the start, such as 0,1,2,3")
    it.add_argument("--data", required=True)
    it.add_argument("--out", required=True)
    it.add_argument("--minutes", type=float, default=45)
    it.add_argument("--lr", type=float, default=1.2e-4)
    it.add_argument("--lr-head", type=float, default=10, help="times the rate")
    it.add_argument("--warmup", type=float, default=0.05)
    it.add_argument("--tokens", type=int, default=5000, help="of a step")
    it.add_argument("--dev", type=int, default=1500)
    it.add_argument("--seed", type=int, default=1)
    args = it.parse_args()
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    data = Data(args.data)
    held_out, order = np.arange(args.dev), np.arange(args.dev, len(data.lengths))
    layers = tuple(map(int, args.layers.split(","))) if args.layers else None
    reader = readers.start(args.start, layers)
    optimiser = optimiser_of(reader, args.lr, args.lr_head)
    began, steps, tokens, told, seen = time.time(), 0, 0, time.time(), []
    end = args.minutes * 60

    often = np.array([OFTEN.get(str(name), 1) for name in data.names])[data.source[order]]
    done = False
    while not done:
        times = np.floor(often + rng.random(len(order))).astype(int)
        once = rng.permutation(np.repeat(order, times))
        for group in batches(data, list(once), args.tokens, rng):
            share = (time.time() - began) / end
            if share >= 1:
                done = True
                break
            rate = args.lr * clock_rate(share, args.warmup)
            for one in optimiser.param_groups:
                one["lr"] = max(rate, 1e-8) * one["times"]
            loss, choice, _ = losses(reader, data.batch(group))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            optimiser.step()
            steps += 1
            tokens += int(sum(data.lengths[i] for i in group))
            seen.append(choice.item())
            if time.time() - told > 60:
                told = time.time()
                print(f"step {steps} {share:.0%} loss {np.mean(seen):.3f} {tokens / (time.time() - began):.0f} tokens/s", flush=True)
                seen = []
            if steps % 500 == 0:
                models.save(reader, args.out)
                print("step %d dev: right %.3f, answerable %.3f" % (steps, *measure(reader, data, held_out[:600])), flush=True)
    models.save(reader, args.out)
    print("end dev: right %.3f, answerable %.3f" % measure(reader, data, held_out), f"{steps} steps, {tokens / 1e6:.1f} M tokens")


if __name__ == "__main__":
    Path("train/out").mkdir(parents=True, exist_ok=True)
    main()
