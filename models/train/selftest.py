"""Checks of every step on tiny data, without the network and without data from
outside: `python -m train.selftest` (all), or with names, such as `pure torch`."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from . import calibrate, data, derive, metrics, mine, windows
from .files import open_text, read_corpus, read_lines, read_qrels, read_queries, write_lines

BUILTIN = Path(__file__).parent.parent / "builtin" / "late-interaction-v2"
THINGS = ("key", "graph", "invoice", "lease", "turbine", "glacier", "protein", "comet", "violin", "harbour", "orchard",
          "ledger", "beacon", "canyon", "falcon", "granite", "lantern", "meadow", "nebula", "oyster")
FACTS = ("rotates every {n} days in the {t} room", "was measured at {n} units near the {t} gate",
         "costs {n} coins in the {t} market", "is kept {n} metres below the {t} tower")


def expect(condition, what):
    if not condition:
        raise SystemExit(f"failed: {what}")


def refuses(action, what):
    try:
        action()
    except SystemExit:
        return
    raise SystemExit(f"failed: {what} is not refused")


def tiny(folder):
    """Pairs about 20 things, and an evaluation set of one query."""
    rows = []
    for at, thing in enumerate(THINGS):
        for fact in range(len(FACTS)):
            text = f"The {thing} {FACTS[fact].format(n=7 * at + fact, t=THINGS[at - 3])}. " \
                   "It is written in the old book of the town. Nobody has changed it since then at all."
            question = f"What about the {thing} and the {FACTS[fact].split()[-1]} of the {THINGS[at - 3]}?"
            rows.append({"query": question, "pos": [text], "neg": ["Nothing is known of that."]})
    (folder / "train").mkdir()
    write_lines(folder / "train" / "tiny.jsonl.gz", rows)
    (folder / "eval" / "one").mkdir(parents=True)
    write_lines(folder / "eval" / "one" / "queries.jsonl", [{"_id": "q", "text": "is the sea salty?"}])
    return rows


def pure(folder):
    """Windows, measures, derived queries, fusion, calibration."""
    expect([w for _, w in windows.words("Filters, glass & Día's")] == ["filter", "glass", "día", "s"], "words")
    text = "filler " * 50 + "the needle is here " + "filler " * 50
    spans = [(m.start(), m.end()) for m in windows.WORD.finditer(text)]
    start, end = windows.best(text, spans, 20, windows.weights("needle", [text]))
    expect("needle" in text[start:end] and end - start < len(text), "the window that answers")
    expect(windows.best("short", [(0, 5)], 9, {}) == (0, 5), "a short text is one window")
    expect(metrics.ndcg(["a", "b"], {"a": 1}) == 1 and metrics.ndcg(["b"], {}) == 0, "nDCG of the ideal")
    expect(abs(metrics.ndcg(["x", "a"], {"a": 3, "b": 1}) - 3 / np.log2(3) / (3 + 1 / np.log2(3))) < 1e-9, "nDCG")
    expect(metrics.precision(["a", "b"], {"a": 1}) == 0.2, "precision@5")
    # The engine's own test of its blend has these figures.
    fused, heard = [0.8, 0.6, 0.4, 0.2, 0.1], [-3.0, 1.0, 5.0, 0.0]
    expect(metrics.blend(list("abcde"), fused, heard, 4, 0.1) == list("cbade"), "the blend")
    expect(metrics.blend(list("abcde"), fused, heard, 4, 0.0) == list("abcde"), "a blend of weight 0")
    expect(derive.keywords("What is the capital of France?") == "capital France", "keywords")
    long = "Israel - Museums. " + "The museum is large. " * 10
    expect(derive.heading(long)[0] == "Israel Museums" and "Israel" not in derive.heading(long)[1], "heading")
    sentences = ["One two three four five six seven eight nine.", "Short one.", "Another short.", "The end is near."]
    stated, rest = derive.claim(" ".join(sentences), 5)
    expect(stated == sentences[0] and stated not in rest, "claim")
    keep = mine.consistent(5.0, 0.5, [6.0, 6.0, 4.0], [0.9, 0.1, 0.9])
    expect(keep.tolist() == [False, True, True], "two witnesses against a negative")
    rng = np.random.default_rng(0)
    scores = rng.normal(10, 3, 4000)
    labels = (rng.random(4000) < calibrate.sigmoid(0.8 * scores - 9)).astype(float)
    scale, offset = calibrate.platt(scores, labels)
    expect(abs(scale - 0.8) < 0.08 and abs(offset + 9) < 0.8, f"Platt's fit: {scale} {offset}")
    knots = calibrate.isotonic(scores, labels)
    told = [y for _, y in knots]
    expect(told == sorted(told) and knots == sorted(knots), "an isotonic fit rises")
    for method in ("platt", "isotonic"):
        gap, _ = calibrate.errors(calibrate.apply(calibrate.fit_of(method, scores, labels), scores), labels)
        expect(gap < 0.03, f"{method} is calibrated: {gap}")


def build(folder):
    """The builder, what it refuses, and mining."""
    rows = tiny(folder)
    tokenizer, out = BUILTIN / "tokenizer.json", folder / "data"
    data.build(folder / "train", folder / "eval", tokenizer, out)
    queries, corpus = read_queries(out), read_corpus(out)
    qrels = {split: read_qrels(out, split) for split in ("train", "dev")}
    expect(not set(qrels["train"]) & set(qrels["dev"]), "splits share no query")
    expect(not {p for q in qrels["train"].values() for p in q} & {p for q in qrels["dev"].values() for p in q},
           "splits share no positive")
    expect(all(p in corpus for split in qrels.values() for q in split.values() for p in q), "positives exist")
    before = (out / "corpus.jsonl.gz").read_bytes()
    data.build(folder / "train", folder / "eval", tokenizer, out)
    expect(before == (out / "corpus.jsonl.gz").read_bytes(), "the same data give the same bytes")
    write_lines(folder / "eval" / "one" / "queries.jsonl", [{"_id": "q", "text": rows[5]["query"].upper() + " "}])
    refuses(lambda: data.build(folder / "train", folder / "eval", tokenizer, folder / "no"), "an evaluation query")
    refuses(lambda: data.build(folder / "train", folder / "train", tokenizer, folder / "no"), "no evaluation sets")
    parts = data.pieces("One is here. Two is there. " * 40, data.Pairs(tokenizer), 64)
    expect(len(parts) > 4 and " ".join(parts).split() == ("One is here. Two is there. " * 40).split(), "pieces")
    words = mine.ByRun(out)
    count, hits = mine.mine(words, "train", folder / "train.jsonl.gz")
    expect(count == len(qrels["train"]) and hits > 0.8, f"words find the positives: {hits}")
    mine.mine(words, "dev", folder / "dev.jsonl.gz")
    for one in read_lines(folder / "train.jsonl.gz"):
        expect(not set(one["pos"]) & {c[0] for c in one["found"]}, "no positive among the negatives")
        expect(one["query"] == queries[one["id"]]["text"], "a list is of its query")
    with open_text(folder / "run.trec", "w") as run:
        for query in qrels["train"]:
            run.writelines(f"{query} Q0 {p} {at} {9 - at} x\n" for at, p in enumerate(list(corpus)[:5], 1))
    mine.mine(mine.ByRun(out, folder / "run.trec"), "train", folder / "by-run.jsonl.gz")
    expect(all(len(one["found"]) <= 6 for one in read_lines(folder / "by-run.jsonl.gz")), "a run is what was found")


def models_of(folder):
    import torch

    from . import model

    torch.manual_seed(0)
    shape = dict(hidden=48, inner=96, heads=4)
    start = model.LateInteraction(model.Settings(layers=(0, 1, 2), **shape))
    for value in start.parameters():
        if value.ndim > 1:
            torch.nn.init.normal_(value, std=0.2)
    model.save(start, folder / "start.pt")
    return start


def torch_steps(folder):
    """Model, training, resumption, distillation and export."""
    import torch

    from . import average, distil, export, loop, model, score, train
    from .pairs import Pairs

    if not (folder / "dev.jsonl.gz").exists():
        build(folder)
    start = models_of(folder)
    pairs = Pairs(BUILTIN / "tokenizer.json", 64)
    rows = pairs.rows("what is a graph?", [("", "A graph has nodes and edges."), ("Key", "x " * 200), ("", "")])
    expect(max(len(ids) for ids, _ in rows) == 64, "a pair keeps to its window")
    given = [torch.from_numpy(it) for it in pairs.batch(rows)]
    expect(rows[0][1] == sorted(rows[0][1]) and rows[0][0].count(pairs.cls) == 2, "each side has its [CLS]")
    whole = start(*given)
    alone = torch.cat([start(*(torch.from_numpy(it) for it in pairs.batch([row]))) for row in rows])
    expect(torch.allclose(whole, alone, atol=1e-4), "a batch gives what single calls give")
    expect(bool((whole.abs() <= sum(model.MIX) + 1e-4).all()), "a score is within the sum of the mix")
    asked, read = pairs.texts("what is a graph?", [("", "A graph has nodes and edges."), ("Key", "x " * 200), ("", "")])
    start.count([[7, 8], [8, 9], asked[1:3]])
    sides = []
    for side in ([asked], read):
        side = [torch.from_numpy(it) for it in pairs.padded(side)]
        sides.append((*side, start.alone(*side)))
    apart = start.compare(*sides)[0]
    expect(torch.allclose(apart, start(*given), atol=1e-4), "read apart, a pair scores as it does together")
    expect(not torch.allclose(apart, whole, atol=1e-4), "idf weighs the tokens")
    alike = (sides[0][2][0] / sides[0][2][0].norm(dim=-1, keepdim=True)).detach()
    by_hand = [float((one / one.norm(dim=-1, keepdim=True) @ alike.T).max(0).values[1:-1].mean())
               for one in (sides[1][2][at, : len(read[at])].detach() for at in range(3))]
    start.log_idf.zero_()
    start.mix.data.copy_(torch.tensor([0.0, 1.0, 0.0]))
    expect(np.allclose(start(*given).detach().numpy(), by_hand, atol=1e-4), "MaxSim by hand")
    refuses(lambda: model.start(folder / "start.pt", layers=(0, 7)), "a layer that is not there")

    def flags(out, *more):
        it = argparse.ArgumentParser()
        loop.arguments(it)
        return it.parse_args(
            ["--data", f"{folder}/data", "--lists", f"{folder}/train.jsonl.gz", "--dev", f"{folder}/dev.jsonl.gz",
             "--tokenizer", f"{BUILTIN}/tokenizer.json", "--start", f"{folder}/start.pt", "--out", f"{folder}/{out}",
             "--lengths", "48,64", "--queries", "4", "--dev-every", "30", "--lr", "3e-3", "--steps", "60", *more])

    losses = []
    loop.fit(flags("run"), lambda read, _: losses.append(train.listwise(read.logits)) or losses[-1])
    expect(np.mean([x.item() for x in losses[-15:]]) < 0.9 * np.mean([x.item() for x in losses[:15]]), "it learns")
    # Cut off after 9 steps and resumed: the weights of the run in one go.
    class Stop(Exception):
        pass
    seen = []

    def plain_loss(read, _):
        return train.listwise(read.logits)

    def stopping(read, _):
        seen.append(1)
        if len(seen) == 10:
            raise Stop
        return plain_loss(read, None)

    try:
        loop.fit(flags("cut", "--save-minutes", "0"), stopping)
    except Stop:
        pass
    loop.fit(flags("cut"), plain_loss)
    one, two = (torch.load(folder / it / "last.pt") for it in ("run", "cut"))
    gap = max(float((one["model"][k] - two["model"][k]).abs().max()) for k in one["model"])
    expect(two["step"] == 60 and gap < 1e-4, f"a resumed run is the same run: {gap}")
    refuses(lambda: loop.fit(flags("cut", "--layers", "0"), plain_loss), "a checkpoint of other layers")
    judge = score.load(folder / "run" / "best.pt", pairs)
    mine.mine(mine.ByRun(folder / "data", judge=judge), "train", folder / "judged.jsonl.gz")
    expect(all(len(c) == 4 for one in read_lines(folder / "judged.jsonl.gz") for c in one["found"]), "a judge's scores")
    source = mine.ByModel(folder / "data", lambda: judge.model, pairs, ("train", "dev"), workers=2)
    mine.mine(source, "train", folder / "by-model.jsonl.gz")
    mine.mine(source, "dev", folder / "dev-by-model.jsonl.gz")
    pairwise = {one["id"]: dict(c[::3] for c in one["found"]) for one in read_lines(folder / "judged.jsonl.gz")}
    gaps = [abs(pairwise[one["id"]][c[0]] - c[3]) for one in read_lines(folder / "by-model.jsonl.gz")
            for c in one["found"] if one["id"] in pairwise and c[0] in pairwise[one["id"]]]
    expect(len(gaps) > 100 and np.mean(gaps) < 0.1, f"read once, a pair scores as it does together: {np.mean(gaps)}")
    both = [folder / "start.pt", folder / "run" / "best.pt"]
    mixed, (first, last) = average.average(both, [0.25, 0.75]), (model.start(it) for it in both)
    expect(torch.allclose(mixed.mix, 0.25 * first.mix + 0.75 * last.mix), "an average of weights")
    teacher = model.start(folder / "run" / "best.pt")
    gaps = []

    def watched(read, taught):
        gaps.append(distil.apart(read, taught).item())
        return distil.loss_of(20.0, 2.0, 0.2)(read, taught)

    loop.fit(flags("small", "--layers", "0,2", "--lists", f"{folder}/judged.jsonl.gz"), watched, teacher)
    expect(np.mean(gaps[-15:]) < 0.9 * np.mean(gaps[:15]), "the student's states come nearer")
    student = model.start(folder / "small" / "best.pt")
    expect(len(student.settings.layers) == 2, "the student has two layers")
    plain, int8 = export.export(student, pairs, folder / "onnx")
    lists = [("what is a graph?", [("", "A graph has nodes."), ("", "No.")])]
    most, _ = export.compare(plain, int8, lists)
    expect(0 < most < 3, f"int8 is near f32: {most}")
    again = model.start(folder / "onnx" / "model.int8.onnx", hidden=48, inner=96, heads=4)
    gap, _ = export.compare(plain, score.TorchScorer(again, pairs), lists)
    expect(gap < 3 and torch.equal(again.log_idf, student.log_idf), f"an int8 graph is a start: {gap}")


def builtin(folder):
    """The built-in int8 graph's weights, as floats in torch, score like it."""
    from . import model, score
    from .pairs import Pairs

    pairs = Pairs(BUILTIN / "tokenizer.json")
    onnx = score.load(BUILTIN / "model.int8.onnx", pairs)
    ours = score.TorchScorer(model.start(BUILTIN / "model.int8.onnx"), pairs)
    rows = pairs.rows("how do I rotate an API key?", [("", "Open Settings and press Rotate."), ("", "We are closed.")])
    one, other = score.score(onnx, rows), score.score(ours, rows)
    expect(np.abs(one - other).max() < 0.6 and one[0] > one[1], f"the same scores: {one} {other}")


CHECKS = {"pure": pure, "build": build, "torch": torch_steps, "builtin": builtin}


def main():
    names = sys.argv[1:] or list(CHECKS)
    unknown = set(names) - set(CHECKS)
    if unknown:
        raise SystemExit(f"no check is called {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            CHECKS[name](Path(folder))
            print(json.dumps({"passed": name}), flush=True)


if __name__ == "__main__":
    main()
