"""The engine's hybrid retrieval again, for machines without its binary: BM25
and all-MiniLM-L6-v2, fused as the weighted sum of min-max normalised scores
(src/retrieve/fusion.rs)."""

import numpy as np

from .metrics import min_max
from .pairs import Pairs
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


class Embedder:
    """Mean of the last states, unit length, like the engine's."""

    def __init__(self, weights, tokenizer, window=512):
        import torch

        from .model import start

        self.torch, self.window = torch, window
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = start(weights).to(self.device).eval()
        self.pairs = Pairs(tokenizer, window)
        self.per_batch = 131_072 if self.device == "cuda" else 4096

    def __call__(self, texts):
        torch, pairs = self.torch, self.pairs
        rows = []
        for encoding in pairs.tokenizer.encode_batch(texts, add_special_tokens=False):
            ids = [pairs.cls, *encoding.ids[: self.window - 2], pairs.sep]
            rows.append((ids, [0] * len(ids)))
        out = np.zeros((len(rows), self.model.settings.hidden), dtype=np.float32)
        order = np.argsort([len(ids) for ids, _ in rows], kind="stable")
        begin = 0
        while begin < len(order):
            end = begin + 1
            while end < len(order) and (end + 1 - begin) * len(rows[order[end]][0]) <= self.per_batch:
                end += 1
            batch = order[begin:end]
            ids, mask, parts = (torch.from_numpy(it).to(self.device) for it in pairs.batch([rows[at] for at in batch]))
            half = self.device == "cuda"
            with torch.no_grad(), torch.autocast(self.device, torch.bfloat16, enabled=half):
                states = self.model.states(ids, mask, parts).float()
            mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            out[batch] = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
            begin = end
        return out


def top(scores, depth):
    """Positions of the best scores, best first; ties by position."""
    depth = min(depth, len(scores))
    best = np.argpartition(-scores, depth - 1)[:depth]
    return best[np.lexsort((best, -scores[best]))]


def fuse(lexical, dense, depth=DEPTH):
    """[(position, score)], best first: half of each list's normalised score."""
    sums = {}
    for scores in (lexical, dense):
        if scores is None:
            continue
        best = top(scores, depth)
        for at, value in zip(best.tolist(), min_max(scores[best])):
            sums[at] = sums.get(at, 0.0) + 0.5 * float(value)
    return sorted(sums.items(), key=lambda one: (-one[1], one[0]))


def search(corpus, queries, embedder=None, depth=DEPTH):
    """Yields (query id, [(passage id, fused score)]). Without an embedder only
    words are searched."""
    ids = list(corpus)
    texts = [f"{title}\n{text}".strip() for title, text in corpus.values()]
    bm25 = Bm25(texts)
    vectors = embedder(texts) if embedder else None
    asked = embedder([text for _, text in queries]) if embedder else None
    for at, (query, text) in enumerate(queries):
        dense = vectors @ asked[at] if embedder else None
        yield query, [(ids[one], value) for one, value in fuse(bm25.scores(text), dense, depth)]
