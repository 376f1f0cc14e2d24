"""How a model's states are packed for storage: models/src/reranker/states reads the result.

    cargo run --release -p cairn-models --example states -- MODEL pairs.jsonl train/out/states
    python -m train.pack train/out/states builtin/NAME/packing.safetensors

`pairs.jsonl` holds questions with passages that answer them, one `{"query", "passage"}` a
line: of training data, since what is judged must not choose its own packing. A few thousand
of many sources are enough. Needs numpy and safetensors.

A question asks for dot products q.r with the states r of a passage. Of all pairs of maps into
fewer dimensions, A for passages and B for questions, the one that loses least of them is
A = V' D^1/2 and B = V' D^-1/2, where V holds the first eigenvectors of D^1/2 C D^1/2, and C
and D are the second moments of passages' and questions' tokens: D^-1/2 q has the same spread
in all directions, so that what is dropped is what D^1/2 r has least of.
"""

import argparse
import json

import numpy as np
from safetensors.numpy import save_file

DIMENSIONS = 192
SPAN = 32
STRIDE = 16
LEAST = 1e-12


def unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), LEAST)


class Read:
    """What the example `states` wrote: a question's states and those of its passage's
    windows, for each pair; `kept` says which tokens of a window are stored."""

    def __init__(self, stem):
        self.pairs = [json.loads(line) for line in open(f"{stem}.jsonl")]
        self.rows = np.fromfile(f"{stem}.f32", dtype=np.float32).reshape(-1, self.pairs[0]["width"])

    def states(self, part):
        start, count = part["rows"]
        return self.rows[start : start + count]

    def question(self, pair):
        states = self.states(pair["question"])
        return unit(states[1:-1]), np.array(pair["question"]["weights"], np.float32), unit(states.sum(0))

    def passage(self, pair):
        """Tokens, sums of spans, and the whole, each of length 1."""
        tokens, spans, whole = [], [], 0
        for window in pair["windows"]:
            states = self.states(window)
            tokens.append(unit(states[np.array(window["kept"], bool)]))
            last = max(len(states) - SPAN, 0)
            starts = list(range(0, last, STRIDE)) + [last]
            spans.append(unit(np.stack([states[at : at + SPAN].sum(0) for at in starts])))
            whole = whole + unit(states.sum(0))
        return np.concatenate(tokens), np.concatenate(spans), unit(whole)


def moments(groups):
    rows = np.concatenate(groups)
    return rows.T @ rows / len(rows)


def maps(questions, passages):
    """B and A, `[DIMENSIONS, width]`."""
    values, vectors = np.linalg.eigh(moments(questions))
    roots = np.sqrt(np.maximum(values, 1e-9))
    half, inverse = (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
    _, axes = np.linalg.eigh(half @ moments(passages) @ half)
    axes = axes[:, ::-1][:, :DIMENSIONS].T
    return axes @ inverse, axes @ half


def levels(count):
    """Of `count` levels those that lose least of a normal distribution."""
    numbers = np.sort(np.random.default_rng(0).standard_normal(400_001))
    found = np.quantile(numbers, (np.arange(count) + 0.5) / count)
    for _ in range(300):
        cells = np.searchsorted((found[1:] + found[:-1]) / 2, numbers)
        found = np.array([numbers[cells == cell].mean() for cell in range(count)])
    return found


def rounded(rows, mean, scale, count):
    found = levels(count) if count not in rounded.known else rounded.known[count]
    rounded.known[count] = found
    cells = np.searchsorted((found[1:] + found[:-1]) / 2, (rows - mean) / scale)
    return found[cells] * scale + mean


rounded.known = {}


def parts(question, tokens, spans, whole):
    rows, weights, mean = question
    best = (rows @ tokens.T).max(1) @ weights if len(tokens) else 0.0
    return [whole @ mean, best, (spans @ mean).max()]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("states")
    arguments.add_argument("out")
    arguments.add_argument("--others", type=int, default=6, help="passages of others that each question is compared with")
    arguments = arguments.parse_args()
    read = Read(arguments.states)
    questions = [read.question(pair) for pair in read.pairs]
    passages = [read.passage(pair) for pair in read.pairs]
    to_question, to_passage = maps([q[0] for q in questions], [p[0] for p in passages])
    row_scales = np.sqrt(np.diag(moments([p[0] @ to_passage.T for p in passages])))
    sums = np.concatenate([p[1] @ to_passage.T for p in passages])
    sum_means, sum_scales = sums.mean(0), sums.std(0)

    random = np.random.default_rng(3)
    exact, packed = [], []
    for at, (rows, weights, mean) in enumerate(questions):
        asked = rows @ to_question.T, weights, mean @ to_question.T
        for other in [at, *random.integers(len(passages), size=arguments.others)]:
            tokens, spans, whole = passages[other]
            exact.append(parts((rows, weights, mean), tokens, spans, whole))
            packed.append(
                parts(
                    asked,
                    rounded(tokens @ to_passage.T, 0, row_scales, 2),
                    rounded(spans @ to_passage.T, sum_means, sum_scales, 16),
                    rounded(whole @ to_passage.T, sum_means, sum_scales, 16),
                )
            )
    exact, packed = np.array(exact), np.array(packed)
    lines = np.array([np.polyfit(packed[:, part], exact[:, part], 1) for part in range(3)])
    for part, name in enumerate(("whole", "tokens", "span")):
        print(name, "correlation", round(float(np.corrcoef(packed[:, part], exact[:, part])[0, 1]), 4), "line", lines[part].round(3))
    tensors = {
        "passage": to_passage,
        "question": to_question,
        "row_scales": row_scales,
        "sum_means": sum_means,
        "sum_scales": sum_scales,
        "lines": lines,
    }
    save_file({name: np.ascontiguousarray(x, dtype=np.float32) for name, x in tensors.items()}, arguments.out)


if __name__ == "__main__":
    main()
