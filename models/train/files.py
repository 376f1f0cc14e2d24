"""Reads and writes the programme's files: JSON lines, plain or gzipped, in the
layout of BEIR (corpus, queries, qrels) and TREC runs."""

import gzip
import io
import json
import os
from pathlib import Path


def open_text(path, mode="r"):
    """Opens a text file; a name that ends in .gz is (de)compressed."""
    path = Path(path)
    if path.suffix != ".gz":
        return open(path, mode, encoding="utf-8")
    # No time stamp inside: equal data gives equal bytes.
    if "w" in mode:
        return io.TextIOWrapper(gzip.GzipFile(path, "wb", mtime=0), encoding="utf-8")
    return gzip.open(path, "rt", encoding="utf-8")


def read_lines(path):
    """Every JSON object of a file of JSON lines."""
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise SystemExit(f"{path}:{number} is not JSON: {error}")


def write_lines(path, rows):
    """Writes JSON lines, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name("part-" + path.name)
    with open_text(part, "w") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    os.replace(part, path)


def find(folder, name):
    """`name` or `name.gz` in a folder."""
    for path in (Path(folder) / name, Path(folder) / f"{name}.gz"):
        if path.exists():
            return path
    raise SystemExit(f"{Path(folder) / name} does not exist (nor with .gz)")


def read_corpus(folder):
    """id -> (title, text)."""
    rows = read_lines(find(folder, "corpus.jsonl"))
    return {row["_id"]: (row.get("title") or "", row["text"]) for row in rows}


def read_queries(folder):
    """id -> the whole row."""
    return {row["_id"]: row for row in read_lines(find(folder, "queries.jsonl"))}


def read_qrels(folder, split):
    """query id -> {document id: grade}."""
    qrels = {}
    with open_text(find(Path(folder) / "qrels", f"{split}.tsv")) as lines:
        next(lines)
        for line in lines:
            query, document, grade = line.rstrip("\n").split("\t")
            qrels.setdefault(query, {})[document] = int(grade)
    return qrels


def read_run(path):
    """A TREC run: query id -> [(document id, score)], best first."""
    run = {}
    with open_text(path) as lines:
        for line in lines:
            columns = line.split()
            if len(columns) != 6:
                raise SystemExit(f"{path} is no TREC run: a line has {len(columns)} columns, not 6")
            query, _, document, rank, score, _ = columns
            run.setdefault(query, []).append((int(rank), document, float(score)))
    return {q: [(d, s) for _, d, s in sorted(rows)] for q, rows in run.items()}
