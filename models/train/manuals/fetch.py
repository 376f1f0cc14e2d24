"""Fetches the manuals that questions.jsonl.gz asks about, from Debian, PyPI and npm.

    python -m train.manuals.fetch --out train/out/manuals

Needs `apt-get`, `dpkg-deb`, `man`, pip and npm. manuals.jsonl.gz names the packages with the versions that
were read, and the files of each manual; another version is taken where that one is gone, and
what it no longer says is left out of training. Manual pages are rendered at 90 columns. The
manuals of each held-out set are in a folder of their own. written.jsonl.gz holds documents that
were written for this purpose, as organisations have them; they are put there, too.
"""

import argparse
import gzip
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from ..files import read_lines

OVERSTRUCK = re.compile(rb".\x08")


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, **more).stdout


def first_of(commands, folder):
    """Runs commands in `folder` until one succeeds: the version that was read, then any."""
    for command in commands:
        try:
            return run(*command, cwd=folder)
        except subprocess.CalledProcessError:
            continue


def debian(name, version, folder):
    """Unpacks a package of Debian into `folder`."""
    first_of((("apt-get", "download", "-q", wanted) for wanted in (f"{name}={version}", name)), folder)
    found = list(folder.glob(f"{name}_*.deb"))
    if found:
        run("dpkg-deb", "-x", str(found[0]), str(folder))


def pypi(name, version, folder):
    """Unpacks a source distribution into `folder`, without its first directory. pip builds
    its metadata on the way, for which what it needs may come as wheels."""
    pip = (sys.executable, "-m", "pip", "download", "-q", "--pre", "--no-deps", "--no-binary", name, "-d", ".")
    first_of(((*pip, wanted) for wanted in (f"{name}=={version}", name)), folder)
    unpack(folder, "*.tar.gz")


def npm(name, version, folder):
    """Unpacks a package of npm into `folder`, without its first directory."""
    npm = ("npm", "pack", "--silent", "--ignore-scripts")
    first_of(((*npm, wanted) for wanted in (f"{name}@{version}", name)), folder)
    unpack(folder, "*.tgz")


def unpack(folder, archives):
    """Unpacks what is named by a pattern, without its first directory."""
    for archive in folder.glob(archives):
        with tarfile.open(archive) as held:
            for member in held.getmembers():
                inside = member.name.partition("/")[2]
                path = (folder / inside).resolve()
                if member.isfile() and inside and path.is_relative_to(folder.resolve()):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(held.extractfile(member).read())


def text(path):
    """A file as it is read; a manual page rendered, a compressed file unpacked."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    if "/share/man/man" in str(path):
        env = {"MANWIDTH": "90", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
        raw = OVERSTRUCK.sub(b"", run("man", "-l", "-", input=raw, env=env))
    return raw


def folder_of(out, manual):
    """`train`, or `held-out-1` and `held-out-2` for the manuals of those sets."""
    number = manual.get("held_out")
    return Path(out) / (f"held-out-{number}" if number else "train") / manual["manual"]


def main():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--out", required=True)
    it.add_argument("--list", default="train/manuals/manuals.jsonl.gz")
    it.add_argument("--written", default="train/manuals/written.jsonl.gz")
    args = it.parse_args()
    get = {"debian": debian, "pypi": pypi, "npm": npm}
    manuals = list(read_lines(args.list))
    missing = 0
    for document in read_lines(args.written):
        target = folder_of(args.out, document) / document["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(document["text"], encoding="utf-8")
    for at, manual in enumerate(manuals, 1):
        with tempfile.TemporaryDirectory() as held:
            for package in manual["packages"]:
                folder = Path(held) / package["name"]
                folder.mkdir()
                try:
                    get[package["from"]](package["name"], package["version"], folder)
                except subprocess.CalledProcessError as error:
                    print(f"{package['name']}: {error.stderr.decode()[-200:]}", file=sys.stderr)
            for name, where in manual["files"].items():
                package, _, inside = where.partition(":")
                path = Path(held) / package / inside
                if not path.is_file():
                    missing += 1
                    continue
                target = folder_of(args.out, manual) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(text(path))
        print(f"{at} of {len(manuals)}: {manual['manual']}", flush=True)
    if missing:
        print(f"{missing} files are not in the packages of today", file=sys.stderr)


if __name__ == "__main__":
    main()
