"""Queries of other kinds out of questions: keywords, headings, claims. Pure.

Real users type keywords and look for headings and claims, but public pairs are
nearly all questions. A share of the questions gives one more query each.
"""

import re
from typing import NamedTuple

from .windows import STOP, WORD

KEYWORD_PERCENT, CLAIM_PERCENT = 12, 8
TITLED = re.compile(r"^([^.\n]{3,60}?) - ([^.\n]{3,60}?)\. (?=\S)")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


class Derived(NamedTuple):
    query: str
    kind: str
    # The passage that answers it, where it is not the question's own.
    passage: str | None


def keywords(question):
    """The question's content words, 2 to 6 of them, or nothing."""
    kept = [word for word in WORD.findall(question) if word.lower() not in STOP]
    kept = [word for word in kept if len(word) > 1]
    return " ".join(kept) if 2 <= len(kept) <= 6 else None


def heading(passage):
    """("Israel Museums", rest) of "Israel - Museums. rest": the query and the
    passage without what would give it away."""
    match = TITLED.match(passage)
    if not match or len(passage) - match.end() < 120:
        return None
    return f"{match[1]} {match[2]}", passage[match.end() :]


def claim(passage, pick):
    """One sentence of 8 to 30 words, and the passage without it: what is left
    supports the claim without repeating it (the inverse cloze task)."""
    sentences = SENTENCE_END.split(passage)
    fit = [at for at, one in enumerate(sentences) if 8 <= len(WORD.findall(one)) <= 30]
    if len(sentences) < 4 or not fit:
        return None
    at = fit[pick % len(fit)]
    return sentences[at], " ".join(sentences[:at] + sentences[at + 1 :])


def queries(kind, query, passage, chance):
    """What follows from one question and its passage; `chance` is any number."""
    out = []
    if kind == "question" and chance % 100 < KEYWORD_PERCENT:
        short = keywords(query)
        if short and short.lower() != query.lower():
            out.append(Derived(short, "keyword", None))
    titled = heading(passage)
    if titled:
        out.append(Derived(titled[0], "heading", titled[1]))
    elif kind == "question" and chance // 100 % 100 < CLAIM_PERCENT:
        stated = claim(passage, chance // 10_000)
        if stated:
            out.append(Derived(stated[0], "claim", stated[1]))
    return out
