"""Words, and which part of a long passage is read: the engine's own choice
(engine/src/retrieve/windows.rs), so that training sees what serving sees."""

import math
import re

WORD = re.compile(r"[^\W_]+")

STOP = frozenset(
    """a an the of in on at to for from by with and or but if then than that this
    these those is are was were be been being am do does did done doing has have
    had having can could may might must shall should will would what which who
    whom whose when where why how it its as about into over under i me my we our
    you your he his she her they their them there here not no so such any some
    get got also just one way much many tell please need want use using""".split()
)


def stem(word):
    """Lower case, without a plural `s`."""
    word = word.lower()
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def words(text):
    """(start, word) of every word."""
    return [(match.start(), stem(match.group())) for match in WORD.finditer(text)]


def weights(query, texts):
    """The query's words, each with ln(1 + n / (1 + df)) over `texts`."""
    held = [{word for _, word in words(text)} for text in texts]
    total = len(texts)
    return {
        word: math.log(1 + total / (1 + sum(word in one for one in held)))
        for word in {word for _, word in words(query)}
    }


def best(text, spans, size, weight):
    """(start, end) of the window of at most `size` tokens with the greatest sum
    of weights of distinct query words; ties go to the earlier one. `spans` are
    the tokens' offsets."""
    size = max(size, 1)
    if len(spans) <= size:
        return 0, len(text)
    hits = [(at, word) for at, word in words(text) if word in weight]
    last = len(spans) - size
    starts = list(range(0, last, max(size // 4, 1))) + [last]
    chosen, most = 0, -1.0
    for start in starts:
        begin, end = spans[start][0], spans[start + size - 1][1]
        inside = {word for at, word in hits if begin <= at < end}
        value = sum(weight[word] for word in sorted(inside))
        if value > most + 1e-9:
            chosen, most = start, value
    return spans[chosen][0], spans[chosen + size - 1][1]
