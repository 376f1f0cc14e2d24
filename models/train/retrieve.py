"""The engine's hybrid retrieval again, for machines without its binary: BM25
and means of states, fused as the weighted sum of min-max normalised scores
(engine/src/retrieve/fusion.rs)."""

import functools
import multiprocessing

import numpy as np

from .metrics import min_max
from .windows import words

K1, B, DEPTH = 1.5, 0.75, 100


class Bm25:
    """Robertson and Zaragoza's formula over an inverted index in arrays."""

    def __init__(self, texts):
        vocabulary, rows, columns, counts = {}, [], [], []
        lengths = np.zeros(len(texts), dtype=np.float32)
        for at, text in enumerate(texts):
            found = {}
            for _, word in words(text):
                number = vocabulary.setdefault(word, len(vocabulary))
                found[number] = found.get(number, 0) + 1
            lengths[at] = sum(found.values())
            rows += [at] * len(found)
            columns += found.keys()
            counts += found.values()
        self.vocabulary = vocabulary
        columns = np.array(columns, dtype=np.int64)
        order = np.argsort(columns, kind="stable")
        self.documents = np.array(rows, dtype=np.int64)[order]
        self.ends = np.cumsum(np.bincount(columns, minlength=len(vocabulary)))
        tf = np.array(counts, dtype=np.float32)[order]
        norm = K1 * (1 - B + B * lengths / max(float(lengths.mean()), 1.0))
        df = np.diff(np.concatenate([[0], self.ends]))
        idf = np.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
        self.impacts = np.repeat(idf, df).astype(np.float32) * tf * (K1 + 1) / (tf + norm[self.documents])
        self.size = len(texts)

    def scores(self, query):
        out = np.zeros(self.size, dtype=np.float32)
        for word in {word for _, word in words(query)}:
            number = self.vocabulary.get(word)
            if number is not None:
                span = slice(self.ends[number - 1] if number else 0, self.ends[number])
                out[self.documents[span]] += self.impacts[span]
        return out


def top(scores, depth):
    """(positions, scores) of the best, best first; ties by position."""
    depth = min(depth, len(scores))
    best = np.argpartition(-scores, depth - 1)[:depth]
    best = best[np.lexsort((best, -scores[best]))]
    return best, scores[best]


class Lexical:
    """The best passages of each query by BM25. With `workers`, found by as many
    processes beside what the caller does; they are forked, so start it before
    anything is put on a GPU."""

    def __init__(self, texts, queries, depth=DEPTH, workers=0):
        self.given = (texts, queries, depth, workers)
        self.pipe = None
        if workers:
            fork = multiprocessing.get_context("fork")
            self.pipe, end = fork.Pipe(duplex=False)
            self.process = fork.Process(target=lambda: end.send(self.found()))
            self.process.start()
            end.close()

    def found(self):
        global index
        texts, queries, depth, workers = self.given
        index, best_of = Bm25(texts), functools.partial(_best, depth)
        if not workers:
            return [best_of(query) for query in queries]
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            return pool.map(best_of, queries, chunksize=128)

    def wait(self):
        """[(positions, scores)] of the queries."""
        return self.pipe.recv() if self.pipe else self.found()


def _best(depth, query):
    return top(index.scores(query), depth)


def fuse(lexical, dense):
    """[(position, score)], best first: half of each list's normalised score."""
    sums = {}
    for one in (lexical, dense):
        if one is not None:
            for at, value in zip(one[0].tolist(), min_max(one[1])):
                sums[at] = sums.get(at, 0.0) + 0.5 * float(value)
    return sorted(sums.items(), key=lambda one: (-one[1], one[0]))
