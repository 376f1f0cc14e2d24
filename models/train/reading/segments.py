"""Segments of a passage: the sentences of its prose, and the lines of everything else.

The same cuts as the engine's (engine/src/answer/units), so that the reader is trained on
what it will score: a term beside its description is a segment of its own. Small
differences do no harm: a score belongs to a range of tokens.
"""

import re

FENCE = re.compile(r"\s*(```|~~~)")
ITEM = re.compile(r"\s*([-*+•]|\d{1,3}[.)])\s+\S")
HEADING = re.compile(r"#{1,6}\s")
ROW = re.compile(r"\s*\|| \| |\t\S+\t")
RULE = re.compile(r"\s*([-=~^*_+.|: ])\1*\s*$|[\s|:+=-]+$")
ASSIGNMENT = re.compile(r"\s*[#;]?\s*(?!-)[\w.\"'$\[\]-]+\s*(:=|\+=|=>|==|=)\s*\S")
CODE_END = re.compile(r"[;{}\\]$|\)\s*\{$")
CODE_START = re.compile(r"\s*(\$ |>>> |//|/\*|<[/!a-zA-Z]|@\w|export \w|sudo )")
PROMPT = re.compile(r"\s*(\$|>>>) ")
TERM = re.compile(r"\s*(--?\w|\S+( \S+){0,2}\s{3,}\S)")
ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|vs|cf|approx|resp|incl|fig|no|vol|dr|mr|mrs|st|al|inc)\.$|(?<![\w-])[A-Z]\.$", re.I)
END = re.compile(r"[.!?…。！？]+[\"'”’)\]*_`]*(?=\s)")


def indent(line):
    return len(line) - len(line.lstrip(" \t"))


def stands_alone(line):
    """Whether a line is no part of running text: a heading, a row, a line of code."""
    bare = line.strip()
    return bool(
        HEADING.match(line) or ROW.search(line) or CODE_START.match(line)
        or CODE_END.search(bare) or (ASSIGNMENT.match(line) and not bare.endswith("."))
    )


def gap_column(line):
    """Where the text begins that stands beside a term, `-v      says more`; none without."""
    found = re.match(r"\s*\S+(?: \S+){0,2}\s{3,}(?=\S)", line)
    return found.end() if found else None


def column_above(line, below):
    """The same where a gap of two spaces is one: the line below begins right under what
    follows the gap."""
    found, column = gap_column(line), indent(below)
    if found is not None or not below.strip() or column <= indent(line):
        return found
    term, text = line[:column], line[column:]
    is_gap = term.endswith("  ") and text[:1].strip() and len(term.split()) <= 3
    return column if is_gap else None


def goes_on(line, paragraph, opens, column):
    """Whether a line of running text continues the paragraph of these lines; `opens`
    where that paragraph opens the passage, perhaps in the middle of a line; `column`
    where its text stands beside a term."""
    if ITEM.match(line):
        return False
    first, here = paragraph[0], indent(line)
    if opens and len(paragraph) == 1 and indent(first) == 0 and not ITEM.match(first):
        return not first.rstrip().endswith((".", ":")) and not TERM.match(first)
    if column is not None:
        below_term = here == indent(first) and not TERM.match(line) and not paragraph[-1].rstrip().endswith((".", "!", "?", ":"))
        return abs(here - column) <= 1 or below_term
    if TERM.match(line) and (gap_column(line) is not None or TERM.match(first)):
        return False
    if len(paragraph) > 1:
        return abs(here - indent(paragraph[-1])) <= 1
    if ITEM.match(first):
        return here > indent(first) or here == 0
    return abs(here - indent(first)) <= 1


def sentences(text):
    """Ranges of the sentences of running text."""
    start = 0
    for found in END.finditer(text):
        rest = text[found.end() :].lstrip()
        before = text[start : found.start() + 1]
        if found[0].startswith(".") and (ABBREVIATION.search(before) or rest[:1].islower()):
            continue
        if re.fullmatch(r"\s*\d{1,3}\.", before):
            continue
        yield start, found.end()
        start = found.end()
    if text[start:].strip():
        yield start, len(text)


def segments(text, code_blocks=()):
    """[start, end] in characters of each segment, in order, without white space around it;
    `code_blocks` are the [start, end] of the blocks of code that are known, in order."""
    found, paragraph, began, at, fenced = [], [], 0, 0, False
    column = prompt = None
    blocks = list(code_blocks)

    def push(start, end):
        part = text[start:end]
        start += len(part) - len(part.lstrip())
        end -= len(part) - len(part.rstrip())
        if start < end and not RULE.fullmatch(text[start:end]):
            found.append((start, end))

    def close(end):
        if paragraph:
            start = began
            term = paragraph[0][:column].strip() if column is not None and not ITEM.match(paragraph[0]) else ""
            if term and not term[0].isupper():
                start += column
                push(began, start)
            for first, stop in sentences(text[start:end]):
                push(start + first, start + stop)
            paragraph.clear()

    lines = text.splitlines(keepends=True)
    for line, below in zip(lines, lines[1:] + [""]):
        bare = line.rstrip("\n")
        # What a command prints stands below its prompt.
        printed = prompt is not None and bare.strip() and indent(bare) == prompt
        if PROMPT.match(bare) and indent(bare):
            prompt = indent(bare)
        elif not printed:
            prompt = None
        while blocks and blocks[0][1] <= at:
            blocks.pop(0)
        known = bool(blocks) and blocks[0][0] < at + max(len(bare), 1)
        if FENCE.match(line) and not known:
            close(at)
            fenced = not fenced
        elif known and not bare.strip():
            pass
        elif known or fenced or printed or (bare.strip() and stands_alone(bare)):
            close(at)
            push(at, at + len(line))
        elif not bare.strip():
            close(at)
        else:
            if paragraph and not goes_on(bare, paragraph, began == 0, column):
                close(at)
            if not paragraph:
                began, column = at, column_above(bare, below.rstrip("\n"))
            paragraph.append(bare)
        at += len(line)
    close(at)
    return found
