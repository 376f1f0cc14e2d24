"""Measures of a ranking, and the engine's blend of two scores. Pure."""

import math

import numpy as np

NOISE_LOG_ODDS = -6.0


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
    the fused score, of which 1 is the most, + weight x softplus of the log-odds' distance
    from noise; the rest follows (engine/src/retrieve/blend.rs, `Reranker::worth`)."""
    depth = min(depth, len(ids), len(heard))
    worth = weight * np.logaddexp(0, np.asarray(heard[:depth], dtype=np.float64) - NOISE_LOG_ODDS)
    mixed = worth + np.asarray(fused[:depth])
    order = sorted(range(depth), key=lambda at: -mixed[at])
    return [ids[at] for at in order] + list(ids[depth:])
