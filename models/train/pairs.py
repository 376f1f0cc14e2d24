"""Query and passage to token ids, exactly as the engine joins them
(models/src/reranker/pairs.rs and engine/src/retrieve/rerank.rs)."""

import numpy as np
from tokenizers import Tokenizer

from . import windows

CLS, SEP, PAD = "[CLS]", "[SEP]", "[PAD]"

# [CLS] query [SEP] [CLS] passage [SEP]
SPECIALS = 4


def batches(lengths, budget):
    """Positions in batches of like lengths, shortest first, each of at most `budget`
    tokens when padded to its longest member (at least one text each)."""
    order, begin = np.argsort(lengths, kind="stable"), 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and (end + 1 - begin) * lengths[order[end]] <= budget:
            end += 1
        yield order[begin:end]
        begin = end


class Pairs:
    """Makes pairs of at most `window` tokens."""

    def __init__(self, tokenizer, window=192):
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.window = window
        ids = [self.tokenizer.token_to_id(token) for token in (CLS, SEP, PAD)]
        self.cls, self.sep, self.pad = ids

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def passage(self, query_tokens, weight, title, text, window):
        """The tokens of the best window of a passage, its title before it."""
        room = window - SPECIALS - query_tokens
        encoding = self.encode(text)
        heading = []
        if title and not text.lstrip().startswith(title):
            heading = self.encode(title).ids[: room // 4]
        size = room - len(heading)
        if len(encoding.ids) <= size:
            return heading + encoding.ids
        start, end = windows.best(text, encoding.offsets, size, weight)
        return heading + self.encode(text[start:end]).ids[:size]

    def texts(self, query, passages, window=None):
        """The ids of a query and of its (title, text) passages, each between its
        own special tokens."""
        window = window or self.window
        asked = self.encode(query).ids[: (window - SPECIALS) // 2]
        weight = windows.weights(query, [text for _, text in passages])
        read = [self.passage(len(asked), weight, title, text, window) for title, text in passages]
        return self.between(asked), [self.between(one) for one in read]

    def between(self, ids):
        return [self.cls, *ids, self.sep]

    def rows(self, query, passages, window=None):
        """[(ids, segments)] of one query with its (title, text) passages."""
        asked, read = self.texts(query, passages, window)
        return [(asked + one, [0] * len(asked) + [1] * len(one)) for one in read]

    def batch(self, rows):
        """(ids, mask, segments), int64, padded to the longest row."""
        ids, mask = self.padded([ids for ids, _ in rows])
        segments = np.zeros_like(ids)
        for at, (_, parts) in enumerate(rows):
            segments[at, : len(parts)] = parts
        return ids, mask, segments

    def padded(self, rows):
        """(ids, mask), int64, padded to the longest row."""
        longest = max(len(row) for row in rows)
        ids = np.full((len(rows), longest), self.pad, dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = row
            mask[at, : len(row)] = 1
        return ids, mask
