"""Measures of a ranking, and the engine's blend of two scores. Pure."""

import math

import numpy as np


def ndcg(ranked, grades, k=10):
    """nDCG@k with linear gains and log2 discounts, as trec_eval has it.
    `grades`: {id: grade} of all judged documents."""
    gain = sum(
        max(grades.get(one, 0), 0) / math.log2(at + 2) for at, one in enumerate(ranked[:k])
    )
    ideal = sorted((max(grade, 0) for grade in grades.values()), reverse=True)[:k]
    best = sum(grade / math.log2(at + 2) for at, grade in enumerate(ideal))
    return gain / best if best else 0.0


def precision(ranked, grades, k=5):
    return sum(grades.get(one, 0) > 0 for one in ranked[:k]) / k


def min_max(scores):
    """To 0..1; equal scores are all 1."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.size == 0:
        return scores
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)


def blend(ids, fused, heard, depth, weight):
    """`ids` (in fused order) with the first `depth` of them put in the order of
    weight x heard + fused as a share of the best; the rest follows
    (src/retrieve/blend.rs)."""
    depth = min(depth, len(ids), len(heard))
    best = fused[0] if len(fused) and fused[0] > 0 else float("inf")
    mixed = [weight * said + found / best for said, found in zip(heard[:depth], fused[:depth])]
    order = sorted(range(depth), key=lambda at: -mixed[at])
    return [ids[at] for at in order] + list(ids[depth:])
