"""Query and passage to token ids, exactly as the engine joins them
(models/src/reranker/pairs.rs and src/retrieve/rerank.rs)."""

import numpy as np
from tokenizers import Tokenizer

from . import windows

CLS, SEP, PAD = "[CLS]", "[SEP]", "[PAD]"


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
        room = window - 3 - query_tokens
        encoding = self.encode(text)
        heading = []
        if title and not text.lstrip().startswith(title):
            heading = self.encode(title).ids[: room // 4]
        size = room - len(heading)
        if len(encoding.ids) <= size:
            return heading + encoding.ids
        start, end = windows.best(text, encoding.offsets, size, weight)
        return heading + self.encode(text[start:end]).ids[:size]

    def rows(self, query, passages, window=None):
        """[(ids, segments)] of one query with its (title, text) passages."""
        window = window or self.window
        asked = self.encode(query).ids[: (window - 3) // 2]
        weight = windows.weights(query, [text for _, text in passages])
        rows = []
        for title, text in passages:
            read = self.passage(len(asked), weight, title, text, window)
            ids = [self.cls, *asked, self.sep, *read, self.sep]
            rows.append((ids, [0] * (len(asked) + 2) + [1] * (len(read) + 1)))
        return rows

    def batch(self, rows):
        """(ids, mask, segments), int64, padded to the longest row."""
        longest = max(len(ids) for ids, _ in rows)
        ids = np.full((len(rows), longest), self.pad, dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        segments = np.zeros((len(rows), longest), dtype=np.int64)
        for at, (row, parts) in enumerate(rows):
            ids[at, : len(row)] = row
            mask[at, : len(row)] = 1
            segments[at, : len(row)] = parts
        return ids, mask, segments
