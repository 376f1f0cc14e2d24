"""Hard negatives: what our own hybrid retrieval finds and nobody judged.

One round writes a file of lists: a query, its positives, and candidates in fused
order with the fused score and, where a judge is given, its score. A later round
takes the best model so far as the judge. What is probably a positive that nobody
marked is left out of training: two witnesses, the judge and the retrieval, both
put it above the marked positive. A query whose positive the judge puts below the
median of its candidates is left out too: its pair is probably wrong.
"""

import argparse
import random

import numpy as np

from . import retrieve, score
from .files import read_corpus, read_lines, read_qrels, read_queries, read_run, find, write_lines
from .pairs import Pairs

CANDIDATES = 32  # of a query, for training
DEV_DEPTH = 20  # of a query, to measure


def consistent(positive, fused_positive, scores, fused, margin=0.0):
    """Which candidates stay as negatives (see the head of the file)."""
    above = (np.asarray(scores) >= positive - margin) & (np.asarray(fused) >= fused_positive)
    return ~above


def mine_query(row, ranked, grades, documents, dev):
    """One list before judging; none where retrieval found nothing else."""
    positives = sorted(grades)
    fused = dict(ranked)
    if dev:
        found = [(p, s, int(p in grades)) for p, s in ranked[:DEV_DEPTH]]
    else:
        own = {documents[p] for p in positives}
        others = [(p, s, 0) for p, s in ranked if documents[p] not in own][:CANDIDATES]
        told = [p for p in row["metadata"]["neg"] if p not in fused and documents[p] not in own]
        # Unretrieved negatives of the source itself count as the last found.
        last = min((s for _, s, _ in others), default=0.0)
        found = others + [(p, last, 0) for p in told[: CANDIDATES // 4]]
    if not found:
        return None
    return {
        "id": row["_id"],
        "query": row["text"],
        "kind": row["metadata"]["kind"],
        "source": row["metadata"]["source"],
        "pos": positives,
        "pos_fused": [round(fused.get(p, 0.0), 5) for p in positives],
        "found": [[p, round(s, 5), label] for p, s, label in found],
    }


def drop_doubted(lists, scores, margin):
    """The lists without what a judge doubts, by its scores of each, those of the
    positives first."""
    kept, doubted, dropped = [], 0, 0
    for one, heard in zip(lists, scores):
        many = len(one["pos"])
        best, others = int(np.argmax(heard[:many])), heard[many:]
        if heard[best] < np.median(others):
            doubted += 1
            continue
        stays = consistent(heard[best], one["pos_fused"][best], others, [c[1] for c in one["found"]], margin)
        dropped += int((~stays).sum())
        one["found"] = [c for c, stay in zip(one["found"], stays) if stay]
        if one["found"]:
            kept.append(one)
    print(f"judge: {dropped} candidates left out, {doubted} of {len(lists)} queries doubted")
    return kept


def add_scores(lists, scores):
    """Puts a judge's scores at the ends of the candidates."""
    for one, heard in zip(lists, scores):
        for candidate, value in zip(one["found"], heard[len(one["pos"]) :]):
            candidate.append(round(float(value), 4))


class Source:
    """What is mined: a collection, its splits, and how its queries are searched and
    judged. One that reads with a model reads once for all splits."""

    def __init__(self, data, limit=0, seed=0):
        self.data, self.limit, self.seed = data, limit, seed
        self.corpus, self.queries = read_corpus(data), read_queries(data)
        rows = read_lines(find(data, "corpus.jsonl"))
        self.documents = {row["_id"]: row.get("doc", row["_id"]) for row in rows}
        self.qrels = {}

    def asked(self, split):
        """Ids of the queries of a split, in random order."""
        if split not in self.qrels:
            self.qrels[split] = read_qrels(self.data, split)
        asked = sorted(q for q in self.qrels[split] if q in self.queries)
        random.Random(f"{self.seed} {split}").shuffle(asked)
        return asked[: self.limit or None]

    def texts(self):
        """(ids, texts) of all passages."""
        return list(self.corpus), [f"{title}\n{text}".strip() for title, text in self.corpus.values()]

    def passages(self, one):
        """Those of a list, its positives first."""
        return one["pos"] + [candidate[0] for candidate in one["found"]]


class ByRun(Source):
    """Searched by the engine, or by words alone; judged pair by pair."""

    def __init__(self, data, run=None, judge=None, **more):
        super().__init__(data, **more)
        self.run, self.judge, self.judges = run and read_run(run), judge, judge is not None

    def found(self, split):
        asked = self.asked(split)
        if self.run is not None:
            return {q: self.run.get(q, []) for q in asked}
        ids, texts = self.texts()
        best = retrieve.Lexical(texts, [self.queries[q]["text"] for q in asked]).wait()
        return {q: [(ids[at], s) for at, s in retrieve.fuse(one, None)] for q, one in zip(asked, best)}

    def scores(self, lists):
        asked = [(one["query"], [self.corpus[p] for p in self.passages(one)]) for one in lists]
        return list(score.score_lists(self.judge, asked))


class ByModel(Source):
    """Searched by words and by a model's means, and judged by the same model, with
    the states of one reading."""

    def __init__(self, data, model, pairs, splits, workers=0, judges=True, **more):
        from . import apart

        super().__init__(data, **more)
        ids, texts = self.texts()
        asked = [q for split in splits for q in self.asked(split)]
        told = [self.queries[q]["text"] for q in asked]
        by_words = retrieve.Lexical(texts, told, workers=workers)
        self.read = [apart.Texts(model(), pairs, some) for some in (told, texts)]
        dense = apart.nearest(*self.read, retrieve.DEPTH)
        self.at = {"query": {q: at for at, q in enumerate(asked)}, "passage": {p: at for at, p in enumerate(ids)}}
        self.ranked = {
            q: [(ids[at], s) for at, s in retrieve.fuse(*both)]
            for q, both in zip(asked, zip(by_words.wait(), dense))
        }
        self.judges = judges

    def found(self, split):
        return {q: self.ranked[q] for q in self.asked(split)}

    def scores(self, lists):
        from . import apart

        at = self.at
        places = [(at["query"][one["id"]], [at["passage"][p] for p in self.passages(one)]) for one in lists]
        return apart.judged(*self.read, places)


def mine(source, split, out, margin=0.0):
    """Writes the lists of one split; gives how many there are and the share of
    queries with a positive among the candidates' first 20."""
    dev, lists, hits = split == "dev", [], 0
    ranked = source.found(split)
    for q, best in ranked.items():
        grades = source.qrels[split][q]
        hits += any(p in grades for p, _ in best[:DEV_DEPTH])
        # The engine names a document once; what it does not know is left out.
        best = [(p, s) for p, s in best if p in source.corpus]
        one = mine_query({**source.queries[q], "_id": q}, best, grades, source.documents, dev)
        if one:
            lists.append(one)
    if source.judges:
        scores = source.scores(lists)
        add_scores(lists, scores)
        lists = lists if dev else drop_doubted(lists, scores, margin)
    write_lines(out, lists)
    share = hits / max(len(ranked), 1)
    print(f"{out}: {len(lists)} lists; a positive in the first {DEV_DEPTH} of {share:.3f}", flush=True)
    return len(lists), share


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--data", default="train/out/data")
    it.add_argument("--split", default="train", choices=("train", "dev"))
    it.add_argument("--out", required=True)
    it.add_argument("--dev-out", help="with --embedder: the dev split's lists too, from the same reading")
    it.add_argument("--run", help="TREC run of `cairn eval --run-out` over --data")
    it.add_argument("--embedder", help="model that searches, where no --run is given: one of ours, or all-MiniLM-L6-v2")
    it.add_argument("--judge", help="model whose scores filter the lists: .onnx or .pt; with --embedder: itself")
    it.add_argument("--tokenizer", default="builtin/late-interaction-v2/tokenizer.json")
    it.add_argument("--limit", type=int, default=0, help="queries of a split; 0 takes all")
    it.add_argument("--margin", type=float, default=0.0, help="of the judge, in logits")
    it.add_argument("--threads", type=int, default=2, help="of the judge; with --embedder, processes that search words")
    it.add_argument("--seed", type=int, default=0)
    args = it.parse_args()
    pairs, more = Pairs(args.tokenizer), {"limit": args.limit, "seed": args.seed}
    if args.embedder:
        from .model import on_device

        if args.run or args.judge not in (None, "itself"):
            raise SystemExit("--embedder goes without --run, and with no judge but `itself`")
        splits = [args.split, "dev"] if args.dev_out else [args.split]
        source = ByModel(args.data, lambda: on_device(args.embedder), pairs, splits, args.threads,
                         judges=bool(args.judge), **more)
    else:
        if args.dev_out:
            raise SystemExit("--dev-out goes with --embedder")
        judge = score.load(args.judge, pairs, args.threads, judge=True) if args.judge else None
        source = ByRun(args.data, args.run, judge, **more)
    mine(source, args.split, args.out, args.margin)
    if args.dev_out:
        mine(source, "dev", args.dev_out)


if __name__ == "__main__":
    main()
