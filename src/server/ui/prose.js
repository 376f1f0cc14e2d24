// The text of an answer as elements: paragraphs, lists, code, emphasis, and the
// checked citations as buttons.

import { el } from "./dom.js";

/** Elements for `text`. `citations` carry offsets in Unicode scalar values;
 *  `open(n, citation)` is called when one is pressed, `label(n)` describes it. */
export function prose(text, citations, open, label) {
  const marks = new Map();
  let scalars = 0;
  let units = 0;
  const wanted = new Map(citations.map((citation) => [citation.start, citation]));
  // Offsets of the wire count scalars; JavaScript counts UTF-16 units.
  for (const character of text) {
    const citation = wanted.get(scalars);
    if (citation) marks.set(units, citation);
    scalars += 1;
    units += character.length;
  }
  const context = { text, marks, open, label };
  return blocks(context).map((block) => element(context, block));
}

/** Blocks of lines, each line with its offset in the text. */
function blocks({ text }) {
  const all = [];
  let offset = 0;
  let current = null;
  let fence = false;
  for (const line of text.split("\n")) {
    const at = offset;
    offset += line.length + 1;
    if (/^\s*(```|~~~)/.test(line)) {
      fence = !fence;
      current = fence ? { kind: "code", lines: [] } : null;
      if (fence) all.push(current);
      continue;
    }
    if (fence) {
      current.lines.push({ at, line });
      continue;
    }
    if (!line.trim()) {
      current = null;
      continue;
    }
    if (/^\s*\|.*\|\s*$/.test(line)) {
      if (current?.kind !== "table") all.push((current = { kind: "table", lines: [] }));
      current.lines.push({ at, line });
      continue;
    }
    const item = /^\s*(?:([-*•])|(\d{1,3})[.)])\s+/.exec(line);
    const heading = /^#{1,6}\s+/.exec(line);
    const kind = heading ? "heading" : item ? (item[1] ? "ul" : "ol") : "p";
    const skip = (heading ?? item)?.[0].length ?? 0;
    // A line under an item continues it; other kinds start a block.
    const continues = kind === "p" && current && current.kind !== "heading";
    if (!continues && (kind === "p" || kind === "heading" || current?.kind !== kind)) {
      current = { kind, lines: [], start: item?.[2] };
      all.push(current);
    }
    current.lines.push({ at: at + skip, line: line.slice(skip), continues });
  }
  return all;
}

function element(context, { kind, lines, start }) {
  if (kind === "code") {
    return el("pre", {}, el("code", {}, lines.map(({ line }) => line).join("\n")));
  }
  if (kind === "table") return table(lines);
  const inline = ({ at, line }) => spans(context, at, line);
  if (kind === "ul" || kind === "ol") {
    const items = [];
    for (const line of lines) {
      if (line.continues) items.at(-1).append(" ", ...inline(line));
      else items.push(el("li", {}, inline(line)));
    }
    return el(kind, { start: start ? Number(start) : undefined }, items);
  }
  const parts = lines.flatMap((line, index) => (index ? ["\n", ...inline(line)] : inline(line)));
  return el(kind === "heading" ? "h3" : "p", {}, parts);
}

/** Rows between bars; a row of dashes below the first makes it the head. Marks stand in
 *  the line that introduces a table, never in it. */
function table(lines) {
  const rows = lines.map(({ line }) => line.trim().slice(1, -1).split("|").map((cell) => cell.trim()));
  const hasHead = rows[1]?.every((cell) => /^:?-+:?$/.test(cell));
  const row = (kind) => (cells) => el("tr", {}, cells.map((cell) => el(kind, {}, cell)));
  const head = hasHead ? [el("thead", {}, [row("th")(rows[0])])] : [];
  return el("table", { class: "quoted" }, [...head, el("tbody", {}, rows.slice(hasHead ? 2 : 0).map(row("td")))]);
}

/** One line: citations by their offsets, `code`, **strong**. */
function spans({ marks, open, label }, base, line) {
  const parts = [];
  let plain = 0;
  let at = 0;
  const flush = (end) => {
    if (end > plain) parts.push(line.slice(plain, end));
  };
  while (at < line.length) {
    const citation = marks.get(base + at);
    if (citation) {
      flush(at);
      const { n } = citation;
      const name = `Source ${n}: ${label(n)}`;
      parts.push(
        el("button", { type: "button", class: "cite", "aria-label": name, title: name, "data-n": n, onclick: () => open(n, citation) }, String(n)),
      );
      at += citation.end - citation.start;
      plain = at;
      continue;
    }
    const rest = line.slice(at);
    const match = /^`([^`]+)`/.exec(rest) ?? /^\*\*([^*]+)\*\*/.exec(rest);
    if (match && !holdsMark(marks, base + at, match[0].length)) {
      flush(at);
      parts.push(el(rest[0] === "`" ? "code" : "strong", {}, match[1]));
      at += match[0].length;
      plain = at;
      continue;
    }
    at += 1;
  }
  flush(line.length);
  return parts;
}

function holdsMark(marks, start, length) {
  for (let at = start; at < start + length; at += 1) if (marks.has(at)) return true;
  return false;
}
