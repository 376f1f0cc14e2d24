// One document as the engine sees it: its text, cut into the passages that are searched.

import { count, el, problem, size } from "./dom.js";
import { api } from "./key.js";
import { openSheet } from "./reader.js";
import { inLine } from "./steps.js";
import { failure } from "./stream.js";

/** Passages shown at first, and more with each press: a document may have thousands. */
const AT_ONCE = 100;

/** Opens `info`, a document of `collection`. */
export async function openDocument(info, collection) {
  const sheet = openSheet(info.title || info.uri, info.uri);
  const { body } = sheet;
  body.replaceChildren(el("p", { class: "facts" }, "Reading…"));
  try {
    const params = new URLSearchParams({ text: "true", collection });
    const response = await api(`/documents/${encodeURIComponent(info.id)}?${params}`);
    if (!response.ok) throw await failure(response);
    const detail = await response.json();
    if (sheet.isOurs()) show(body, detail);
  } catch (error) {
    if (sheet.isOurs()) problem(body, error, () => openDocument(info, collection));
  }
}

function show(body, { text, spans, metadata, labels, text_bytes: bytes }) {
  const about = [count(spans?.length ?? 0, "passage"), size(bytes)];
  if (labels.length) about.push(`for readers with ${labels.join(", ")}`);
  const facts = Object.entries(metadata).map(([name, value]) => [
    el("dt", {}, name),
    el("dd", {}, inLine(value)),
  ]);
  body.classList.add("chunked");
  body.replaceChildren(el("p", { class: "facts" }, about.join(" · ")));
  if (facts.length) {
    body.append(el("details", { class: "metadata" }, el("summary", {}, count(facts.length, "fact")), el("dl", {}, facts.flat())));
  }
  if (text === undefined || !spans) {
    body.append(el("p", { class: "notice" }, "The text of this document is not stored any more: close this and look at the list again."));
    return;
  }
  body.append(...pieces(text, spans));
}

/** Passages, with what lies between them and what two of them share. */
function pieces(text, spans) {
  // Offsets of the wire are bytes of UTF-8.
  const bytes = new TextEncoder().encode(text);
  const decoder = new TextDecoder();
  const cut = (from, to) => decoder.decode(bytes.subarray(from, to));
  const between = (from, to) => {
    const rest = to > from ? cut(from, to) : "";
    return rest.trim() ? [el("div", { class: "between", title: "Not part of a passage" }, rest)] : [];
  };
  const ends = [];
  let reached = 0;
  for (const { end } of spans) {
    ends.push(reached);
    reached = Math.max(reached, end);
  }
  const some = (from) => {
    const all = [];
    for (const [at, span] of [...spans.entries()].slice(from, from + AT_ONCE)) {
      const shared = Math.min(Math.max(ends[at], span.start), span.end);
      all.push(...between(ends[at], span.start), chunk(span, at, cut(span.start, shared), cut(shared, span.end)));
    }
    const next = from + AT_ONCE;
    if (next < spans.length) {
      const left = count(spans.length - next, "more passage");
      const more = el("button", { type: "button", class: "quiet more", onclick: () => {
        const following = some(next);
        more.replaceWith(...following);
        following[0]?.focus?.();
      } }, `Show the next of ${left}`);
      all.push(more);
    } else {
      all.push(...between(reached, bytes.length));
    }
    return all;
  };
  return some(0);
}

function chunk({ chunk_id: id, start, end, heading_path: headings, page, columns }, at, shared, own) {
  const place = [...headings, page ? `page ${page}` : null].filter(Boolean).join(" › ");
  return el(
    "section",
    { class: "chunk", tabIndex: -1, "aria-label": `Passage ${at + 1}` },
    el(
      "p",
      { class: "chunk-head", title: `${id}, bytes ${start} to ${end}` },
      el("span", { class: "number" }, String(at + 1)),
      el("span", { class: "path" }, place),
      el("span", { class: "facts" }, size(end - start)),
    ),
    columns ? el("p", { class: "path" }, columns) : null,
    el("div", { class: "chunk-text" }, shared ? el("span", { class: "shared", title: "Also at the end of the passage before" }, shared) : null, own),
  );
}
