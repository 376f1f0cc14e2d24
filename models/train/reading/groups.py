"""Questions over manuals, with what a running service finds for them, to what the reader
is trained on: one group for each question, of the parts of all passages found.

    python -m train.reading.groups --questions train/manuals/questions.jsonl.gz \
        --url http://127.0.0.1:8620 --out train/out/groups.npz

A row gives `manual`, `question` and `quotes`, the segments that answer; none where the
manual does not. `also` are segments that answer nearly as well, which count for nothing.
Manuals are held out whole.
"""

import argparse
import concurrent.futures
import difflib
import json
import math
import random
import re
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from ..files import read_lines, write_lines
from .data import PLACE, POSITIVE, QUESTION, UNKNOWN, words
from .segments import segments

SOURCES = 8
OTHERS = 2  # of them from other manuals
DEPTH = 50  # where none of those answers, the first that does takes the place of one
PART = 200  # tokens of a part, as in engine/src/answer/reading.rs
READ = 2000  # tokens of all parts; the engine reads up to 2,600 where it is not sure
RANK = 0.5
SHARED = 0.6  # of the shorter one: two texts are the same but for a cut
SIGNS = re.compile(r"[\W_]+")


def bare(text):
    return SIGNS.sub("", text.lower())


def label(segment, quotes, also):
    """Whether a segment answers; texts are compared by letters and digits."""
    own = bare(segment)
    if len(own) < 3:
        return 0
    if any(answers(own, bare(quote)) for quote in quotes):
        return POSITIVE
    if any(answers(own, bare(quote)) or own in bare(quote) for quote in (*quotes, *also)):
        return UNKNOWN
    return 0


def answers(own, quote):
    if len(quote) < 3:
        return False
    if quote in own:
        # A word in a long sentence is not that sentence.
        return len(quote) >= 0.3 * len(own)
    if own in quote:
        return len(own) >= 12 or len(own) >= 0.4 * len(quote)
    # A match of 25 letters holds one of these pieces; most segments have none.
    if not any(own[at : at + 12] in quote for at in range(0, len(own), 12)):
        return False
    matcher = difflib.SequenceMatcher(None, own, quote, autojunk=False)
    found = matcher.find_longest_match(0, len(own), 0, len(quote)).size
    return found >= 25 and found >= SHARED * min(len(own), len(quote))


def call(url, path, body=None):
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url.rstrip("/") + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.load(reply)


def uris(url):
    """Of all documents that are indexed."""
    held = []
    while True:
        page = call(url, f"/documents?limit=1000&offset={len(held)}")
        held += [document["uri"] for document in page["documents"]]
        if not page["documents"] or len(held) >= page["total"]:
            return held


def search(url, row, known):
    """What is found in all manuals; behind it, where none of that holds a quote, what is
    found in the row's own, since many questions do not name their subject."""
    asked = {"query": row["question"], "top_k": DEPTH, "rerank": False}
    found = call(url, "/search", asked)["sources"]
    own = [uri for uri in known if is_of(uri, row["manual"])]
    quotes = [bare(quote) for quote in row["quotes"]]
    if own and not any(is_of(s["uri"], row["manual"]) and any(shares(bare(s["text"]), q) for q in quotes) for s in found):
        found += call(url, "/search", asked | {"filter": {"uri": {"in": own}}})["sources"]
    return [
        {"place": place(source), "uri": source["uri"], "text": source["text"], "code_blocks": code_blocks(source)}
        for source in found
    ]


def code_blocks(source):
    """[start, end] in characters; the service counts bytes."""
    raw = source["text"].encode()
    characters = lambda byte: len(raw[:byte].decode(errors="ignore"))
    return [[characters(one["start"]), characters(one["end"])] for one in source.get("code_blocks", ())]


def is_of(uri, manual):
    return f"/{manual}/" in uri


def place(source):
    """Title and headings, as the engine joins them."""
    return " ".join([source["title"], *(h for h in source.get("heading_path") or [] if h != source["title"])])


def nearest(row, rng):
    """The first passages, most of them of the row's manual; among them one that holds a
    quote if any found one does."""
    own = [at for at, source in enumerate(row["sources"]) if is_of(source["uri"], row["manual"])]
    others = [at for at in range(len(row["sources"])) if at not in own]
    first = own[: SOURCES - OTHERS]
    quotes = [bare(quote) for quote in row["quotes"]]
    holds = [at for at in own if any(shares(bare(row["sources"][at]["text"]), quote) for quote in quotes)]
    if holds and holds[0] not in first:
        first[rng.randrange(1, len(first))] = holds[0]
    return [row["sources"][at] for at in sorted(first + others[: SOURCES - len(first)])]


def shares(text, quote):
    """Whether a text holds a quote, or a piece of it: a chunk may end inside."""
    return quote in text or any(quote[at : at + 25] in text for at in range(0, len(quote) - 25, 10))


class Encoder:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.cls, self.sep = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def parts(self, row):
        """(source, first, last, ranges of the segments), best first: what is read within the
        budget, and the others. A part is a run of whole segments of a passage."""
        cut, held = [], []
        for source, found in enumerate(row["sources"]):
            ranges = segments(found["text"], found["code_blocks"])
            tokens = [len(self.encode(found["text"][a:b]).ids) for a, b in ranges]
            begin = total = 0
            for at, count in enumerate(tokens):
                if at > begin and total + count > PART:
                    cut.append((source, begin, at, ranges, total))
                    begin, total = at, 0
                total += count
            if ranges:
                cut.append((source, begin, len(ranges), ranges, total))
            held += [words(found["text"][a:b]) for a, b in ranges]
        asked = {w: math.log(1 + len(held) / (1 + sum(w in one for one in held))) for w in words(row["question"])}
        whole = sum(asked.values()) or 1

        def share(part):
            source, begin, end, ranges, _ = part
            text = row["sources"][source]["text"]
            inside, around = words(text[ranges[begin][0] : ranges[end - 1][1]]), words(row["sources"][source]["place"])
            return sum(v * (1 if w in inside else 0.5 * (w in around)) for w, v in asked.items()) / whole + RANK / (source + 1)

        chosen, rest, left = [], [], READ
        for part in sorted(cut, key=share, reverse=True):
            if min(part[4], PART) <= left:
                left -= min(part[4], PART)
                chosen.append(part[:4])
            else:
                rest.append(part[:4])
        return chosen, rest

    def group(self, row):
        """[(ids, segment of each token, labels of the segments, rank of the passage)]"""
        asked = self.encode(row["question"]).ids[:QUESTION]
        chosen, rest = self.parts(row)
        out = self.read(row, asked, chosen)
        if row["quotes"] and not any(POSITIVE in part[2] for part in out):
            # What answers is read although it shares little with the question.
            quotes = [bare(quote) for quote in row["quotes"]]
            held = [p for p in rest if any(shares(bare(row["sources"][p[0]]["text"][p[3][p[1]][0] : p[3][p[2] - 1][1]]), q) for q in quotes)]
            out += [part for part in self.read(row, asked, held) if POSITIVE in part[2]]
        return out

    def read(self, row, asked, parts):
        out = []
        for source, begin, end, ranges in parts:
            found = row["sources"][source]
            ids = [self.cls, *asked, self.sep, *self.encode(found["place"]).ids[:PLACE]]
            segment, labels, left = [-1] * len(ids), [], PART + 24
            for at in range(begin, end):
                text = found["text"][ranges[at][0] : ranges[at][1]]
                own = self.encode(text).ids[:left]
                if not own:
                    continue
                left -= len(own)
                segment += [len(labels)] * len(own)
                ids += own
                labels.append(label(text, row["quotes"], row.get("also") or []))
            if labels:
                out.append((ids + [self.sep], segment + [-1], labels, source))
        return out


def save(groups, names, path):
    parts = [part for group in groups for part in group]
    flat = lambda at, kind: np.concatenate([np.asarray(part[at], dtype=kind) for part in parts])
    np.savez(
        path, ids=flat(0, np.uint16), segment=flat(1, np.int16), labels=flat(2, np.uint8),
        lengths=np.array([len(part[0]) for part in parts], dtype=np.int32),
        counts=np.array([len(part[2]) for part in parts], dtype=np.int32),
        ranks=np.array([part[3] for part in parts], dtype=np.int32),
        parts=np.array([len(group) for group in groups], dtype=np.int32),
        manual=np.array(names),
    )


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--questions", required=True, help="*.jsonl.gz")
    it.add_argument("--url", required=True, help="a service that has indexed the manuals")
    it.add_argument("--tokenizer", default="builtin/late-interaction-v2/tokenizer.json")
    it.add_argument("--out", required=True)
    it.add_argument("--seed", type=int, default=1)
    args = it.parse_args()
    tokenizer = Tokenizer.from_file(args.tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encoder = Encoder(tokenizer)
    rows = list(read_lines(args.questions))
    random.Random(args.seed).shuffle(rows)
    cache = Path(args.out).with_suffix(".found.jsonl.gz")
    known = {}
    if cache.exists():
        known = {row["question"]: row["sources"] for row in read_lines(cache)}
    indexed = uris(args.url) if len(known) < len(rows) else []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda row: known.get(row["question"]) or search(args.url, row, indexed), rows)
        for at, (row, sources) in enumerate(zip(rows, found)):
            row["sources"] = sources
            if at % 500 == 0:
                print(f"{at} of {len(rows)} searched", flush=True)
    if len(known) < len(rows):
        write_lines(cache, ({"question": row["question"], "sources": row["sources"]} for row in rows))
    groups, names, outcome = [], [], Counter()
    rng = random.Random(args.seed)
    for row in rows:
        row["sources"] = nearest(row, rng)
        group = encoder.group(row)
        has = any(POSITIVE in part[2] for part in group)
        # Where the answer was not found, nobody knows what the passages hold.
        kind = "unanswerable" if not row["quotes"] else "found" if has else "missed"
        outcome[kind] += 1
        if group and kind != "missed":
            groups.append(group)
            names.append(row["manual"])
    save(groups, names, args.out)
    tokens = sum(len(part[0]) for group in groups for part in group)
    print(f"{len(groups)} groups, {dict(outcome)}, {tokens / 1e6:.1f} M tokens")


if __name__ == "__main__":
    main()
