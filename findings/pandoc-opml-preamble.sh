#!/usr/bin/env bash
# pandoc loses a document's opening when it writes OPML.
#
# Version: pandoc 3.9, in the wheel pypandoc_binary 1.17.
# Behaviour: text before the first heading is in the OPML neither as an outline nor as a note,
#   and no warning is given, not with --verbose either. The same text below a heading becomes a
#   `_note`. A tool that indexes OPML files made by pandoc cannot find what the author's
#   document began with.
# Seen: the sentence is missing, exit code 0, nothing on stderr, November 2026.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check pypandoc_binary==1.17
pandoc=$("$dir/venv/bin/python" -c 'import pypandoc; print(pypandoc.get_pandoc_path())')
"$pandoc" --version | head -1 | grep -qx 'pandoc 3.9'

printf 'Ships wait outside at low tide.\n\n# Mooring\n\nThrow the thin line first.\n' > "$dir/in.md"
"$pandoc" --standalone --verbose --from markdown --to opml "$dir/in.md" > "$dir/out.opml" 2> "$dir/err"
grep -q 'Throw the thin line first' "$dir/out.opml"
if grep -q 'low tide' "$dir/out.opml"; then
    echo "changed: the text before the first heading is kept"
    exit 1
fi
if grep -qi 'warning' "$dir/err"; then
    echo "changed: there is a warning now"
    exit 1
fi
echo "as recorded: the opening is gone without a word"
