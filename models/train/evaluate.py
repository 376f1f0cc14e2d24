"""Re-ranks TREC runs of the evaluation sets: nDCG@10 and precision@5 of every
set and their mean, at each depth and weight, with milliseconds a query.

The runs are `cairn eval --modes hybrid --run-out`. They rank documents, and the
best window of the whole document is read here, where the engine reads that of
the chunk it found; so figures are near the engine's and not the same.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from . import metrics, score
from .files import find, read_corpus, read_lines, read_qrels, read_queries, read_run, write_lines
from .pairs import Pairs


def heard(scorer, run, queries, corpus, depth, cache):
    """({query: scores of its first `depth`}, seconds of each that was scored
    now). Scores of the same documents in the cache are not computed again."""
    known = {}
    if cache and Path(cache).exists():
        known = {row["q"]: row for row in read_lines(cache)}
    out, took = {}, []
    for query, ranked in run.items():
        ids = [one for one, _ in ranked[:depth]]
        row = known.get(query)
        if row and row["ids"] == ids:
            out[query] = row["scores"]
            continue
        start = time.perf_counter()
        rows = scorer.pairs.rows(queries[query]["text"], [corpus[one] for one in ids])
        out[query] = [float(value) for value in score.score(scorer, rows)]
        took.append(time.perf_counter() - start)
    if cache and took:
        write_lines(cache, ({"q": q, "ids": [d for d, _ in run[q][:depth]], "scores": s} for q, s in out.items()))
    return out, took


def measure(run, scores, qrels, depth, weight):
    """(nDCG@10, precision@5) over the queries of a run; weight 0 leaves it."""
    found = []
    for query, ranked in run.items():
        ids, fused = [one for one, _ in ranked], [value for _, value in ranked]
        if weight:
            ids = metrics.blend(ids, fused, scores[query], depth, weight)
        found.append((metrics.ndcg(ids, qrels[query]), metrics.precision(ids, qrels[query])))
    return np.mean(found, axis=0)


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--eval", required=True, help="folder of the evaluation sets")
    it.add_argument("--sets", required=True, help="names, comma-separated")
    it.add_argument("--split", default="test", help="qrels/SPLIT.tsv")
    it.add_argument("--runs", required=True, help="folder of SET.trec (or .trec.gz)")
    it.add_argument("--model", required=True, help=".onnx or .pt")
    it.add_argument("--tokenizer", default="builtin/late-interaction-v2/tokenizer.json")
    it.add_argument("--depths", default="10,20,50")
    it.add_argument("--weights", default="0.06,0.12,0.18,0.24,0.36")
    it.add_argument("--window", type=int, default=192)
    it.add_argument("--limit", type=int, default=0, help="queries of a set; 0 takes all")
    it.add_argument("--cache", help="folder that keeps scores between calls")
    it.add_argument("--threads", type=int, default=2)
    args = it.parse_args()
    depths = [int(one) for one in args.depths.split(",")]
    weights = [float(one) for one in args.weights.split(",")]
    scorer = score.load(args.model, Pairs(args.tokenizer, args.window), args.threads)
    ways = [(0, 0.0)] + [(depth, weight) for depth in depths for weight in weights]
    sets, table = args.sets.split(","), {way: [] for way in ways}
    for name in sets:
        folder = Path(args.eval) / name
        qrels, corpus, queries = read_qrels(folder, args.split), read_corpus(folder), read_queries(folder)
        run = read_run(find(args.runs, f"{name}.trec"))
        run = {q: ranked for q, ranked in sorted(run.items()) if q in qrels}
        run = dict(list(run.items())[: args.limit or None])
        cache = Path(args.cache) / f"{Path(args.model).stem}-{name}.jsonl" if args.cache else None
        scores, took = heard(scorer, run, queries, corpus, max(depths), cache)
        for way in ways:
            table[way].append(measure(run, scores, qrels, *way))
        if took:
            p50, p95 = np.percentile(np.array(took) * 1000, (50, 95))
            print(f"{name}: {len(run)} queries, {max(depths)} candidates in {p50:.0f} ms, p95 {p95:.0f} ms")
    print("nDCG@10/P@5".ljust(20) + "".join(name[:14].rjust(15) for name in sets + ["mean"]))
    for (depth, weight), figures in table.items():
        label = f"depth {depth} a={weight:g}" if weight else "off"
        cells = [*figures, np.mean(figures, axis=0)]
        print(label.ljust(20) + "".join(f"{n:.4f}/{p:.3f}".rjust(15) for n, p in cells))


if __name__ == "__main__":
    main()
