"""Mined lists to batches, and dev lists to figures."""

import numpy as np

from . import metrics, score
from .files import read_corpus, read_lines

# The last one leaves the score alone.
DEV_WEIGHTS = (0.06, 0.12, 100.0)

BLOCK = 12  # passages that are read at once on a CPU; a GPU wants hundreds


class Lists:
    """Training batches, each a function of (seed, step) alone: a run that was
    cut off goes on exactly where it was."""

    def __init__(self, data, path, pairs, size=8, lengths=(192,), temper=0.7, seed=0, block=BLOCK):
        self.corpus, self.pairs = read_corpus(data), pairs
        self.size, self.lengths, self.seed, self.block = size, lengths, seed, block
        sources = {}
        for one in read_lines(path):
            sources.setdefault((one["source"], one["kind"]), []).append(one)
        if not sources:
            raise SystemExit(f"{path} holds no list")
        # Between sources as they are (1) and all alike (0).
        self.sources = [sources[key] for key in sorted(sources)]
        share = np.array([len(one) for one in self.sources], dtype=np.float64) ** temper
        self.share = share / share.sum()

    def batch(self, step, queries):
        """(query, passages, blind): (ids, mask) of the queries; those of blocks of
        passages with their places, `size` of each query one after the other, the
        positive first; True where a passage is another positive of a query."""
        rng = np.random.default_rng([self.seed, step])
        window = int(rng.choice(self.lengths))
        asked, read, names, positives = [], [], [], []
        for _ in range(queries):
            source = self.sources[rng.choice(len(self.sources), p=self.share)]
            one = source[rng.integers(len(source))]
            ids = self.candidates(one, rng)
            query, passages = self.pairs.texts(one["query"], [self.corpus[p] for p in ids], window)
            asked.append(query)
            read += passages
            names += ids
            positives.append(set(one["pos"]))
        blind = np.array([[name in own for name in names] for own in positives])
        blind[np.arange(queries), np.arange(queries) * self.size] = False
        # Of like lengths, so that little is padding.
        order = sorted(range(len(read)), key=lambda at: len(read[at]))
        blocks = [order[at : at + self.block] for at in range(0, len(order), self.block)]
        passages = [(np.array(block), *self.pairs.padded([read[at] for at in block])) for block in blocks]
        return self.pairs.padded(asked), passages, blind

    def stream(self, first, last, queries, workers):
        """The batches of steps first..last, in order; `workers` processes make
        them ahead of time (a GPU waits for one process)."""
        from torch.utils.data import DataLoader

        lists = self

        class Steps:
            def __len__(self):
                return max(0, last - first)

            def __getitem__(self, at):
                return lists.batch(first + at, queries)

        return DataLoader(Steps(), batch_size=None, num_workers=workers, collate_fn=as_it_is)

    def candidates(self, one, rng):
        """A positive and size - 1 negatives: half from the hardest eight (by the
        judge, else as found), the rest from all."""
        best = rng.integers(len(one["pos"]))
        found = one["found"]
        hard = sorted(range(len(found)), key=lambda at: -found[at][-1 if len(found[at]) > 3 else 1])
        want = self.size - 1
        chosen = list(rng.permutation(hard[:8])[: (want + 1) // 2])
        rest = [at for at in rng.permutation(len(found)) if at not in chosen]
        chosen += rest[: want - len(chosen)]
        # Few were found: some twice, which weighs them more but changes no order.
        chosen += list(rng.choice(len(found), want - len(chosen))) if len(chosen) < want else []
        return [one["pos"][best]] + [found[at][0] for at in chosen]


def as_it_is(batch):
    return batch


class Dev:
    """Lists of held-out documents, in fused order, as retrieval gave them."""

    def __init__(self, data, path, limit=0):
        self.corpus = read_corpus(data)
        self.lists = list(read_lines(path))[: limit or None]
        if not self.lists:
            raise SystemExit(f"{path} holds no list to measure with")

    def scores(self, scorer):
        asked = [(one["query"], [self.corpus[c[0]] for c in one["found"]]) for one in self.lists]
        return list(score.score_lists(scorer, asked))

    def measure(self, scores):
        """nDCG@10 without re-ranking and at each weight of the blend."""
        out = {"off": []} | {weight: [] for weight in DEV_WEIGHTS}
        for one, heard in zip(self.lists, scores):
            ids, fused = [c[0] for c in one["found"]], [c[1] for c in one["found"]]
            grades = {p: 1 for p in one["pos"]}
            out["off"].append(metrics.ndcg(ids, grades))
            for weight in DEV_WEIGHTS:
                ranked = metrics.blend(ids, fused, heard, len(ids), weight)
                out[weight].append(metrics.ndcg(ranked, grades))
        return {key: float(np.mean(values)) for key, values in out.items()}


def tell(figures):
    return " ".join(f"{key}:{value:.4f}" for key, value in figures.items())
