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

from . import score
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


def judge_lists(lists, corpus, judge, dev, margin):
    """Adds the judge's scores and, in training lists, drops what it doubts."""
    asked = [(one["query"], [corpus[p] for p in one["pos"] + [c[0] for c in one["found"]]]) for one in lists]
    kept, doubted, dropped = [], 0, 0
    for one, scores in zip(lists, score.score_lists(judge, asked)):
        many = len(one["pos"])
        heard = scores[many:]
        for candidate, value in zip(one["found"], heard):
            candidate.append(round(float(value), 4))
        if not dev:
            best = int(np.argmax(scores[:many]))
            if scores[best] < np.median(heard):
                doubted += 1
                continue
            stays = consistent(scores[best], one["pos_fused"][best], heard, [c[1] for c in one["found"]], margin)
            dropped += int((~stays).sum())
            one["found"] = [c for c, stay in zip(one["found"], stays) if stay]
        if one["found"]:
            kept.append(one)
    print(f"judge: {dropped} candidates left out, {doubted} of {len(lists)} queries doubted")
    return kept


def mine(data, split, out, run=None, embedder=None, judge=None, limit=0, margin=0.0, seed=0):
    """Writes the lists of one split; gives how many there are and the share of
    queries with a positive among the candidates' first 20."""
    corpus, queries = read_corpus(data), read_queries(data)
    rows = read_lines(find(data, "corpus.jsonl"))
    documents = {row["_id"]: row.get("doc", row["_id"]) for row in rows}
    qrels = read_qrels(data, split)
    asked = sorted(q for q in qrels if q in queries)
    random.Random(f"{seed} {split}").shuffle(asked)
    asked = asked[: limit or None]
    if run:
        ranked = read_run(run)
        found = ((q, ranked.get(q, [])) for q in asked)
    else:
        from .retrieve import search

        found = search(corpus, [(q, queries[q]["text"]) for q in asked], embedder)
    dev, lists, hits = split == "dev", [], 0
    for q, best in found:
        hits += any(p in qrels[q] for p, _ in best[:DEV_DEPTH])
        # The engine names a document once; what it does not know is left out.
        best = [(p, s) for p, s in best if p in corpus]
        one = mine_query({**queries[q], "_id": q}, best, qrels[q], documents, dev)
        if one:
            lists.append(one)
    if judge:
        lists = judge_lists(lists, corpus, judge, dev, margin)
    write_lines(out, lists)
    print(f"{out}: {len(lists)} lists; a positive in the first {DEV_DEPTH} of {hits / max(len(asked), 1):.3f}")
    return len(lists), hits / max(len(asked), 1)


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--data", default="train/out/data")
    it.add_argument("--split", default="train", choices=("train", "dev"))
    it.add_argument("--out", required=True)
    it.add_argument("--run", help="TREC run of `cairn eval --run-out` over --data")
    it.add_argument("--embedder", help="weights of all-MiniLM-L6-v2, where no --run is given")
    it.add_argument("--judge", help="model whose scores filter the lists: .onnx or .pt")
    it.add_argument("--tokenizer", default="builtin/late-interaction-v1/tokenizer.json")
    it.add_argument("--limit", type=int, default=0, help="queries; 0 takes all")
    it.add_argument("--margin", type=float, default=0.0, help="of the judge, in logits")
    it.add_argument("--threads", type=int, default=2)
    it.add_argument("--seed", type=int, default=0)
    args = it.parse_args()
    embedder = None
    if not args.run and args.embedder:
        from .retrieve import Embedder

        embedder = Embedder(args.embedder, args.tokenizer)
    judge = score.load(args.judge, Pairs(args.tokenizer), args.threads, judge=True) if args.judge else None
    mine(args.data, args.split, args.out, args.run, embedder, judge, args.limit, args.margin, args.seed)


if __name__ == "__main__":
    main()
