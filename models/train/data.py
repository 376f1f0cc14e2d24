"""Builds the training collection out of question -> passage pairs.

The result is a folder in BEIR's layout (corpus, queries, qrels/train.tsv and
qrels/dev.tsv), so that `cairn eval` and `train.mine` can search it. Documents,
not queries, are split between train and dev: no passage of a dev document is a
positive in training. It stops when a query equals one of an evaluation set.
"""

import argparse
import hashlib
import random
import re
from pathlib import Path

from . import derive
from .files import read_lines, write_lines
from .pairs import Pairs
from .windows import words, STOP

LENGTHS = (64, 128, 192, 256, 384)
DEV_PERCENT = 4
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])|\n+")

# The most queries of a source. SQuAD alone would be 61 % of them, with
# questions that were written while looking at the passage.
CAPS = {"squad11_train": 12_000, "policyqa_devtest": 3_000}
CLAIM_SOURCES = {"climate_fever"}
HEADING_SOURCES = {"docs_headings"}


def normal(text):
    """What two equal queries have in common."""
    return " ".join(re.findall(r"\w+", text.lower()))


def evaluation_queries(folder):
    """Queries of every evaluation set below a folder, normalised."""
    names = ("queries.jsonl", "queries.jsonl.gz", "questions.jsonl")
    paths = [path for name in names for path in sorted(Path(folder).rglob(name))]
    if not paths:
        raise SystemExit(f"{folder} holds no queries.jsonl: give the evaluation sets")
    rows = (row for path in paths for row in read_lines(path))
    return {normal(row.get("text") or row.get("question") or "") for row in rows}


def number(text, salt=""):
    """A number that depends on the text alone."""
    return int.from_bytes(hashlib.sha1((salt + text).encode()).digest()[:4], "big")


def pieces(text, pairs, most):
    """A document in pieces of whole sentences, each of at most `most` tokens
    (a longer sentence is a piece of its own and is cut when it is read)."""
    sentences = [one.strip() for one in SENTENCE.split(text) if one.strip()]
    counts = [len(e.ids) for e in pairs.tokenizer.encode_batch(sentences, add_special_tokens=False)]
    out, held, used = [], [], 0
    for sentence, count in zip(sentences, counts):
        if held and used + count > most:
            out.append(" ".join(held))
            held, used = [], 0
        held.append(sentence)
        used += count
    return out + [" ".join(held)] if held else out


def overlap(query, piece):
    asked = {word for _, word in words(query)} - STOP
    return len(asked & {word for _, word in words(piece)})


class Collection:
    """Passages and queries, each text once."""

    def __init__(self, pairs):
        self.pairs = pairs
        self.passages, self.ids, self.cut = [], {}, {}
        self.queries, self.asked, self.qrels = [], set(), {"train": [], "dev": []}

    def passage(self, text, document):
        if text not in self.ids:
            self.ids[text] = f"p{len(self.passages)}"
            self.passages.append({"_id": self.ids[text], "text": text, "doc": document})
        return self.ids[text]

    def document(self, text):
        """(document, pieces): long ones are cut, to lengths of 64 to 384 tokens."""
        document = f"{number(text):08x}"
        if document not in self.cut:
            most = LENGTHS[number(text, "length") % len(LENGTHS)]
            self.cut[document] = pieces(text, self.pairs, most) or [text]
        return document, self.cut[document]

    def positive(self, query, text):
        """The piece of a document that shares most with the query."""
        document, parts = self.document(text)
        for part in parts:
            self.passage(part, document)
        best = max(parts, key=lambda part: overlap(query, part))
        return document, self.passage(best, document), best

    def ask(self, split, text, kind, source, positives, negatives=()):
        key = normal(text)
        if not key or key in self.asked:
            return
        self.asked.add(key)
        name = f"q{len(self.queries)}"
        about = {"kind": kind, "source": source, "neg": sorted(negatives)}
        self.queries.append({"_id": name, "text": text, "metadata": about})
        self.qrels[split] += [(name, passage) for passage in positives]


def split_of(documents):
    """dev where the first document says so; none where later ones disagree."""
    dev = [int(document, 16) % 100 < DEV_PERCENT for document in documents]
    if dev[0]:
        return "dev"
    return None if any(dev) else "train"


def kind_of(source):
    if source in CLAIM_SOURCES:
        return "claim"
    return "heading" if source in HEADING_SOURCES else "question"


def add_source(collection, source, rows, forbidden):
    for row in rows:
        query, texts = row["query"].strip(), [text for text in row["pos"] if text.strip()]
        if normal(query) in forbidden:
            raise SystemExit(f"{source}: {query!r} is a query of an evaluation set")
        if not query or not texts:
            continue
        found = [collection.positive(query, text) for text in texts]
        split = split_of([document for document, _, _ in found])
        if split is None:
            continue
        negatives = []
        for text in row.get("neg", []):
            document, parts = collection.document(text)
            negatives.append(collection.passage(parts[0], document))
        positives = {passage for _, passage, _ in found}
        kind = kind_of(source)
        collection.ask(split, query, kind, source, sorted(positives), set(negatives) - positives)
        for more in derive.queries(kind, query, found[0][2], number(query, "derive")):
            if normal(more.query) in forbidden or (split == "dev" and more.passage):
                continue
            document = found[0][0]
            told = [collection.passage(more.passage, document)] if more.passage else positives
            collection.ask(split, more.query, more.kind, source, sorted(told))


def build(train, evaluation, tokenizer, out, seed=0, share=1.0, caps=CAPS):
    """Writes the collection and returns how many queries there are of each kind."""
    forbidden = evaluation_queries(evaluation)
    collection = Collection(Pairs(tokenizer))
    sources = sorted(Path(train).glob("*.jsonl.gz")) + sorted(Path(train).glob("*.jsonl"))
    if not sources:
        raise SystemExit(f"{train} holds no *.jsonl.gz")
    for path in sources:
        source = path.name.split(".")[0]
        rows = list(read_lines(path))
        most = max(1, int(share * min(len(rows), caps.get(source, len(rows)))))
        rows = random.Random(f"{seed} {source}").sample(rows, most)
        before = len(collection.queries)
        add_source(collection, source, rows, forbidden)
        print(f"{source:28}{len(rows):7} rows {len(collection.queries) - before:7} queries")
    out = Path(out)
    write_lines(out / "corpus.jsonl.gz", collection.passages)
    write_lines(out / "queries.jsonl.gz", collection.queries)
    (out / "qrels").mkdir(exist_ok=True)
    for split, rows in collection.qrels.items():
        lines = [f"{query}\t{passage}\t1\n" for query, passage in rows]
        (out / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    kinds = {}
    for query in collection.queries:
        kind = query["metadata"]["kind"]
        kinds[kind] = kinds.get(kind, 0) + 1
    asked = {split: len({query for query, _ in rows}) for split, rows in collection.qrels.items()}
    print(f"{len(collection.passages)} passages, queries {asked}, of kinds {kinds}")
    return kinds


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--train", required=True, help="folder of *.jsonl.gz: query, pos, neg")
    it.add_argument("--eval", required=True, help="folder of the evaluation sets")
    it.add_argument("--tokenizer", required=True, help="tokenizer.json of the model")
    it.add_argument("--out", default="train/out/data")
    it.add_argument("--squad", type=int, default=CAPS["squad11_train"], help="most of SQuAD")
    it.add_argument("--share", type=float, default=1.0, help="of every source (smaller runs)")
    it.add_argument("--seed", type=int, default=0)
    args = it.parse_args()
    caps = {**CAPS, "squad11_train": args.squad}
    build(args.train, args.eval, args.tokenizer, args.out, args.seed, args.share, caps)


if __name__ == "__main__":
    main()
