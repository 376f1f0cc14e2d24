"""Makes scores mean something across queries: the probability that a passage is
relevant, fitted on the dev lists (never on an evaluation set).

Platt's form, sigmoid(scale x score + offset), or an isotonic staircase (pool
adjacent violators). Half of the queries fit, the other half tells the expected
calibration error and the Brier score; what is written is fitted on all.
"""

import argparse
import json

import numpy as np

from . import model as models
from . import score
from .lists import Dev
from .pairs import Pairs


def platt(scores, labels, rounds=100):
    """(scale, offset) of the largest likelihood, by Newton's method. Targets are
    drawn in a little, as Platt does, so that separable data stay finite."""
    positives, negatives = labels.sum(), (1 - labels).sum()
    targets = np.where(labels > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    mean, spread = scores.mean(), scores.std() + 1e-9
    design = np.stack([(scores - mean) / spread, np.ones_like(scores)], axis=1)
    fit = np.zeros(2)
    for _ in range(rounds):
        told = sigmoid(design @ fit)
        gradient = design.T @ (told - targets)
        curve = (design * (told * (1 - told))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(curve, gradient)
        fit -= step * min(1.0, 2.0 / (np.abs(step).max() + 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return float(fit[0] / spread), float(fit[1] - fit[0] * mean / spread)


def sigmoid(values):
    return 1 / (1 + np.exp(-np.clip(values, -60, 60)))


def isotonic(scores, labels):
    """Knots (score, probability) of the best non-decreasing fit."""
    order = np.argsort(scores, kind="stable")
    blocks = []  # sum of labels, count, first score, last score
    for at in order:
        blocks.append([float(labels[at]), 1, float(scores[at]), float(scores[at])])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            total, count, _, last = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
            blocks[-1][3] = last
    return [(x, total / count) for total, count, first, last in blocks for x in {first: 0, last: 0}]


def apply(fit, scores):
    if fit["method"] == "platt":
        return sigmoid(fit["scale"] * np.asarray(scores) + fit["offset"])
    xs, ys = zip(*fit["knots"])
    return np.interp(scores, xs, ys)


def fit_of(method, scores, labels):
    if method == "platt":
        scale, offset = platt(scores, labels)
        return {"method": method, "scale": scale, "offset": offset}
    return {"method": method, "knots": isotonic(scores, labels)}


def errors(told, labels, bins=10):
    """(expected calibration error over bins of equal counts, Brier score)."""
    order = np.argsort(told, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [abs(told[part].mean() - labels[part].mean()) * len(part) for part in parts]
    return float(sum(gaps) / len(told)), float(((told - labels) ** 2).mean())


def calibrate(lists, scores, method):
    """(fit on all, errors of a fit on even queries at the odd ones)."""
    labels = [np.array([c[2] for c in one["found"]], dtype=np.float64) for one in lists]

    def flat(parts):
        return np.concatenate(parts).astype(np.float64)

    whole = fit_of(method, flat(scores), flat(labels))
    half = fit_of(method, flat(scores[::2]), flat(labels[::2]))
    return whole, errors(apply(half, flat(scores[1::2])), flat(labels[1::2]))


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--model", required=True, help=".onnx or .pt")
    it.add_argument("--data", default="train/out/data")
    it.add_argument("--dev", required=True, help="mined lists of the dev split")
    it.add_argument("--tokenizer", default="builtin/late-interaction-v2/tokenizer.json")
    it.add_argument("--method", choices=("platt", "isotonic"), default="platt")
    it.add_argument("--limit", type=int, default=0, help="queries; 0 takes all")
    it.add_argument("--threads", type=int, default=2)
    it.add_argument("--half", action="store_true", help="a .pt in bf16 products, also on a CPU")
    it.add_argument("--out", required=True, help="JSON file")
    it.add_argument("--fold", help="writes the checkpoint --model there with Platt's fit inside")
    args = it.parse_args()
    dev = Dev(args.data, args.dev, args.limit)
    scores = dev.scores(score.load(args.model, Pairs(args.tokenizer), args.threads, half=args.half))
    fit, (gap, brier) = calibrate(dev.lists, scores, args.method)
    with open(args.out, "w", encoding="utf-8") as out:
        json.dump(fit | {"expected_calibration_error": gap, "brier": brier}, out, indent=1)
    if args.fold:
        if args.method != "platt" or args.model.endswith(".onnx"):
            raise SystemExit("--fold takes a .pt and --method platt")
        model = models.start(args.model)
        model.calibrate(fit["scale"], fit["offset"])
        models.save(model, args.fold)
    print(f"{args.method}: expected calibration error {gap:.4f}, Brier score {brier:.4f}, in {args.out}")


if __name__ == "__main__":
    main()
