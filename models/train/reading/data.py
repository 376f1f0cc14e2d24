"""Question, passage and answer spans to what the reader is trained on.

    python -m train.reading.data --train $ANSWERS --out train/out/reading.npz

Each row gives the passage cut to a window around its answer, and negatives: a window
of the same passage without the answer, a passage of the same file that shares most
words with the question, and rows that people or the files' makers call unanswerable.
"""

import argparse
import gzip
import json
import math
import random
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from .segments import segments

WINDOWS = (96, 128, 160, 192, 224)
QUESTION = 48
PLACE = 24

# Rows of a file at most: noisy or repetitive labels count for less.
MOST = {
    "policyqa": 2500, "subjqa": 1500, "qamr_wiki": 3000, "nl2bash_howto": 6000,
    "wikitablequestions": 3500, "squad11_sentences": 17554, "boolq_contrast": 0,
    "mediqa2019_passages": 800, "fetaqa": 2500,
}
# Answers that are one of many in a file, so that a lookalike passage may hold them too.
NO_LOOKALIKES = {"policyqa", "subjqa", "nl2bash_howto", "mediqa2019_passages", "qamr_wiki", "fetaqa"}
WORD = re.compile(r"\w+")

POSITIVE, UNKNOWN = 1, 2  # labels of a segment beside 0


def words(text):
    return {w[:7] for w in WORD.findall(text.lower()) if len(w) > 1}


class Lookalikes:
    """For a question, the other passages of a file that share most with it."""

    def __init__(self, passages):
        self.passages = passages
        self.postings = defaultdict(list)
        for at, text in enumerate(passages):
            for word in words(text):
                self.postings[word].append(at)

    def find(self, query, count):
        scores = Counter()
        for word in words(query):
            held = self.postings.get(word, ())
            if held and len(held) < 3000:
                weight = math.log(1 + len(self.passages) / len(held))
                for at in held:
                    scores[at] += weight
        return [at for at, _ in scores.most_common(count)]


def misspell(text, rng):
    """One or two slips of a person who types quickly."""
    parts = text.split(" ")
    for _ in range(rng.choice((1, 2, 2, 3))):
        at = rng.randrange(len(parts))
        word = parts[at]
        if len(word) < 4:
            continue
        i = rng.randrange(1, len(word) - 1)
        parts[at] = rng.choice((word[:i] + word[i + 1 :], word[:i] + word[i + 1] + word[i] + word[i + 2 :], word[:i] + word[i] + word[i:]))
    return " ".join(parts)


def rows(path, rng):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    most = MOST.get(path.name.removesuffix(".jsonl.gz"), len(found))
    rng.shuffle(found)
    return found[:most]


class Builder:
    def __init__(self, tokenizer, rng):
        self.tokenizer, self.rng = tokenizer, rng
        self.cls, self.sep = (tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]"))
        self.examples = []

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def add(self, query, place, passage, spans, source, first_only=False, avoid=False):
        """One example; `avoid` takes a window that does not meet the spans."""
        rng = self.rng
        asked = self.encode(query).ids[:QUESTION]
        ranges = segments(passage)
        if not asked or not ranges:
            return False
        labels = [int(any(a < end and b > start for a, b in spans)) for start, end in ranges]
        if first_only:
            # The whole first paragraph of an answer is marked: its first sentence answers.
            positive = [at for at, label in enumerate(labels) if label]
            for at in positive[1:]:
                labels[at] = UNKNOWN
        encoding = self.encode(passage)
        offsets = encoding.offsets
        size = rng.choice(WINDOWS)
        where = self.encode(place).ids[:PLACE] if place else []
        # A window of whole segments.
        counts, cut = [], 0
        token_of = np.searchsorted([start for start, _ in offsets], [start for start, _ in ranges])
        bounds = list(token_of) + [len(offsets)]
        counts = [bounds[i + 1] - bounds[i] for i in range(len(ranges))]
        hits = [at for at, label in enumerate(labels) if label == POSITIVE]
        if avoid:
            spots = [at for at, label in enumerate(labels) if not label]
            if not spots:
                return False
            low = high = rng.choice(spots)
        else:
            low = high = rng.choice(hits) if hits else rng.randrange(len(ranges))
        total = min(counts[low], size)
        while True:
            sides = []
            if low > 0 and total + counts[low - 1] <= size and not (avoid and labels[low - 1]):
                sides.append(-1)
            if high + 1 < len(ranges) and total + counts[high + 1] <= size and not (avoid and labels[high + 1]):
                sides.append(1)
            if not sides:
                break
            side = rng.choice(sides)
            low, high = (low - 1, high) if side < 0 else (low, high + 1)
            total += counts[low if side < 0 else high]
        ids = [self.cls, *asked, self.sep, *where]
        segment = [-1] * len(ids)
        told = []
        for at in range(low, high + 1):
            begin, end = bounds[at], bounds[at + 1]
            part = encoding.ids[begin:end][:size]
            # Tokens between two segments (rules, fences) belong to none.
            inside = [len(told) if offsets[begin + i][0] < ranges[at][1] else -1 for i in range(len(part))]
            ids += part
            segment += inside
            told.append(labels[at])
        ids.append(self.sep)
        segment.append(-1)
        span = [
            int(s >= 0 and any(offsets[t][0] < b and offsets[t][1] > a for a, b in spans))
            for s, t in zip(segment, [0] * (2 + len(asked) + len(where)) + list(range(bounds[low], bounds[low] + len(ids))))
        ]
        self.examples.append((ids, segment, span, told, source))
        return True


def place_of(row):
    return " ".join(str(row[key]) for key in ("product", "title") if row.get(key))


def asks_for_option(row, rng):
    """Sometimes the bare name of an option or setting is the question, as people search."""
    for start, end in row["spans"]:
        found = re.match(r"\W*(--?[\w-]{3,}|[\w.]+\.[\w.]+|[A-Z][A-Z_]{4,})", row["passage"][start:end])
        if found and rng.random() < 0.12:
            return found[1]
    return None


def build(folder, tokenizer, rng, share):
    builder = Builder(tokenizer, rng)
    for path in sorted(Path(folder).glob("*.jsonl.gz")):
        name = path.name.removesuffix(".jsonl.gz")
        found = [row for row in rows(path, rng) if not row.get("passage_level") or not row["answerable"]]
        before = len(builder.examples)
        looks = None if name in NO_LOOKALIKES else Lookalikes([row["passage"] for row in found])
        for row in found:
            if rng.random() > share:
                continue
            query, passage = row["query"], row["passage"]
            place = place_of(row) if rng.random() < 0.7 else ""
            answers = [passage[a:b].lower() for a, b in row["spans"]]
            if rng.random() < 0.05:
                query = misspell(query, rng)
            query = (row["answerable"] and asks_for_option(row, rng)) or query
            if row["answerable"]:
                builder.add(query, place, passage, row["spans"], name, first_only="block" in row)
                if rng.random() < 0.15:
                    builder.add(query, place, passage, row["spans"], name, avoid=True)
                if looks and rng.random() < 0.55:
                    others = [
                        at for at in looks.find(query, 6)
                        if found[at]["passage"] != passage
                        and not any(answer in found[at]["passage"].lower() for answer in answers)
                        and found[at]["query"] != row["query"]
                    ]
                    if others:
                        other = found[rng.choice(others[:3])]
                        builder.add(query, place_of(other) if place else "", other["passage"], [], name)
            elif not row.get("assumed") or rng.random() < 0.6:
                builder.add(query, place, passage, [], name)
        print(f"{name:24}{len(found):7} rows {len(builder.examples) - before:7} examples", flush=True)
    return builder.examples


def save(examples, path):
    def flat(at, kind):
        return np.concatenate([np.asarray(one[at], dtype=kind) for one in examples])

    names = sorted({one[4] for one in examples})
    np.savez(
        path, ids=flat(0, np.uint16), segment=flat(1, np.int16), span=flat(2, np.uint8), labels=flat(3, np.uint8),
        lengths=np.array([len(one[0]) for one in examples], dtype=np.int32),
        counts=np.array([len(one[3]) for one in examples], dtype=np.int32),
        source=np.array([names.index(one[4]) for one in examples], dtype=np.int16), names=np.array(names),
    )


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--train", required=True, help="folder of *.jsonl.gz with query, passage and spans")
    it.add_argument("--tokenizer", default="builtin/late-interaction-v2/tokenizer.json")
    it.add_argument("--out", required=True)
    it.add_argument("--share", type=float, default=1.0)
    it.add_argument("--seed", type=int, default=1)
    args = it.parse_args()
    rng = random.Random(args.seed)
    tokenizer = Tokenizer.from_file(args.tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    examples = build(args.train, tokenizer, rng, args.share)
    rng.shuffle(examples)
    save(examples, args.out)
    answered = sum(any(one[3]) for one in examples)
    tokens = sum(len(one[0]) for one in examples)
    print(f"{len(examples)} examples, {answered / len(examples):.0%} with an answer, {tokens / 1e6:.1f} M tokens")


if __name__ == "__main__":
    main()
