"""Trains the reader on groups: all parts that were found for a question, in one softmax
with "nothing".

    python -m train.reading.tune --start train/out/reader1.pt \
        --groups train/out/groups.npz --data train/out/reading.npz --out train/out/reader.pt --minutes 40

Examples of single passages come between, so that what was learned from them stays. The
rate rises, then falls to 0 when the minutes are over.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from .. import model as models
from ..loop import clock_rate
from . import model as readers
from .train import Data, area, batches, losses, measure, optimiser_of

REMOVED = 0.2  # of the answered groups lose the parts that answer
ALONE = 0.5  # what the log-odds of each segment count beside the choice


class Groups:
    def __init__(self, path):
        held = np.load(path)
        self.ids, self.segment, self.labels = (held[k] for k in ("ids", "segment", "labels"))
        self.lengths, self.counts, self.ranks = held["lengths"], held["counts"], held["ranks"]
        self.token_at = np.concatenate([[0], np.cumsum(self.lengths)])
        self.label_at = np.concatenate([[0], np.cumsum(self.counts)])
        self.part_at = np.concatenate([[0], np.cumsum(held["parts"])])
        self.manual = held["manual"]

    def parts(self, group):
        return np.arange(self.part_at[group], self.part_at[group + 1])

    def labels_of(self, part):
        return self.labels[self.label_at[part] : self.label_at[part + 1]]

    def sample(self, group, most, rng):
        """Parts of a group: those that answer and some others; or only others."""
        parts = self.parts(group)
        answers = np.array([(self.labels_of(part) == 1).any() for part in parts])
        right, wrong = parts[answers], parts[~answers]
        if len(right) and len(wrong) and rng.random() < REMOVED:
            right = right[:0]
            # What nearly answers is not wrong.
            wrong = np.array([part for part in wrong if not (self.labels_of(part) == 2).any()], dtype=int)
            wrong = wrong if len(wrong) else parts[~answers]
        if len(right) > 2:
            right = rng.choice(right, 2, replace=False)
        count = min(len(wrong), max(most - len(right), 1))
        return np.concatenate([right, rng.choice(wrong, count, replace=False)]).astype(int) if count else right

    def batch(self, groups):
        """`groups`: parts of each. The tensors of the reader, the group of each part."""
        parts = [part for group in groups for part in group]
        owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        most = max(self.lengths[part] for part in parts)
        ids = np.zeros((len(parts), most), dtype=np.int64)
        mask, segment = np.zeros_like(ids), np.full_like(ids, -1)
        labels, of, first = [], [], 0
        for row, part in enumerate(parts):
            tokens = slice(self.token_at[part], self.token_at[part + 1])
            ids[row, : self.lengths[part]] = self.ids[tokens]
            mask[row, : self.lengths[part]] = 1
            own = self.segment[tokens].astype(np.int64)
            segment[row, : self.lengths[part]] = np.where(own >= 0, own + first, -1)
            labels.append(self.labels_of(part))
            of.append(np.full(self.counts[part], row))
            first += self.counts[part]
        return tuple(map(torch.from_numpy, (ids, mask, segment, np.concatenate(labels).astype(np.int64), np.concatenate(of), owner)))


def group_losses(reader, batch, count):
    ids, mask, segment, labels, of, owner = batch
    score, nothing, _, _ = reader(ids, mask, segment, len(labels))
    odds = score - nothing[of]
    group = owner[of]
    known = labels != 2
    highest = odds.detach().max().clamp(min=0)
    power = (odds - highest).exp() * known
    none = (-highest).exp()
    every = torch.zeros(count).index_add(0, group, power) + none
    right = torch.zeros(count).index_add(0, group, power * (labels == 1))
    answered = torch.zeros(count).index_add(0, group, (labels == 1).float()) > 0
    chosen = torch.where(answered, right, none)
    choice = (every.clamp(min=1e-30).log() - chosen.clamp(min=1e-30).log()).mean()
    each = F.binary_cross_entropy_with_logits(odds, (labels == 1).float(), reduction="none")
    # Those that answer and those that do not weigh the same in sum.
    weight = torch.where(labels == 1, 1.0, 0.15) * known
    alone = (each * weight).sum() / count
    return choice + ALONE * alone, choice, odds, answered


@torch.no_grad()
def judge(reader, data, groups):
    """Best segment right, one of the best three, area of answered against not."""
    # Without dropout, training differs in its half precision alone, which is faster.
    reader.train()
    first = three = answered = 0
    best, truth = [], []
    for one in groups:
        batch = data.batch([data.parts(one)])
        _, _, odds, has = group_losses(reader, batch, 1)
        ranks = torch.from_numpy(np.log1p(np.concatenate([np.full(data.counts[p], data.ranks[p]) for p in data.parts(one)])).astype(np.float32))
        ordered = (odds - 0.35 * ranks).argsort(descending=True)
        labels = batch[3]
        best.append(odds.max().item())
        truth.append(bool(has[0]))
        if has[0]:
            answered += 1
            first += int(labels[ordered[0]] == 1)
            three += int((labels[ordered[:3]] == 1).any())
    shares = f"first {first / answered:.3f}, of three {three / answered:.3f}, area {area(best, truth):.3f}"
    return f"{shares} ({answered} answered, {len(truth) - answered} not)"


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--start", default="train/out/reader1.pt")
    it.add_argument("--groups", required=True)
    it.add_argument("--data", help="examples of train.reading.data")
    it.add_argument("--out", required=True)
    it.add_argument("--minutes", type=float, default=40)
    it.add_argument("--lr", type=float, default=6e-5)
    it.add_argument("--lr-head", type=float, default=5, help="times the rate")
    it.add_argument("--warmup", type=float, default=0.05)
    it.add_argument("--tokens", type=int, default=5000, help="of a step")
    it.add_argument("--most", type=int, default=4, help="parts of a group in a step")
    it.add_argument("--mix", type=float, default=0.35, help="share of steps on single passages")
    it.add_argument("--held-out", default="", help="manuals, by commas")
    it.add_argument("--dev", type=int, default=200, help="groups that are judged at most")
    it.add_argument("--seed", type=int, default=1)
    args = it.parse_args()
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    groups = Groups(args.groups)
    held = np.isin(groups.manual, args.held_out.split(","))
    dev, train = rng.permutation(np.flatnonzero(held))[: args.dev], np.flatnonzero(~held)
    singles = Data(args.data) if args.data else None
    reader = readers.start(args.start)
    print("start:", judge(reader, groups, dev), flush=True)
    optimiser = optimiser_of(reader, args.lr, args.lr_head)

    def single_batches():
        while True:
            order = rng.permutation(np.arange(1500, len(singles.lengths)))
            yield from batches(singles, list(order), args.tokens, rng)

    def group_batches():
        while True:
            chosen, tokens = [], 0
            for one in rng.permutation(train):
                parts = groups.sample(one, args.most, rng)
                chosen.append(parts)
                tokens += int(groups.lengths[parts].sum())
                if tokens >= args.tokens:
                    yield chosen
                    chosen, tokens = [], 0

    own, other = group_batches(), single_batches() if singles else None
    began, told, told_dev, steps, tokens, seen = time.time(), time.time(), time.time(), 0, 0, []
    while (share := (time.time() - began) / (args.minutes * 60)) < 1:
        rate = args.lr * clock_rate(share, args.warmup)
        for one in optimiser.param_groups:
            one["lr"] = max(rate, 1e-8) * one["times"]
        if other and rng.random() < args.mix:
            batch = singles.batch(next(other))
            loss, _, _ = losses(reader, batch)
        else:
            chosen = next(own)
            batch = groups.batch(chosen)
            loss, choice, *_ = group_losses(reader, batch, len(chosen))
            seen.append(choice.item())
        tokens += batch[1].sum().item()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimiser.step()
        steps += 1
        if time.time() - told > 60:
            told = time.time()
            print(f"step {steps} {share:.0%} choice {np.mean(seen):.3f} {tokens / (time.time() - began):.0f} tokens/s", flush=True)
            seen = []
        if time.time() - told_dev > 480:
            told_dev = time.time()
            models.save(reader, args.out)
            print("dev:", judge(reader, groups, dev), flush=True)
    models.save(reader, args.out)
    print("end:", judge(reader, groups, dev), f"{steps} steps, {tokens / 1e6:.1f} M tokens")
    if singles:
        print("single passages: right %.3f, answerable %.3f" % measure(reader, singles, np.arange(600)))


if __name__ == "__main__":
    Path("train/out").mkdir(parents=True, exist_ok=True)
    main()
