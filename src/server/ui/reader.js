// A passage within its document: the text around it, scrolled to it.

import { byId, el } from "./dom.js";
import { api } from "./key.js";
import { contentWords, marked } from "./sources.js";
import { failure } from "./stream.js";

/** Characters shown before and after the passage at first, and more of them
 *  with each press: a document may have millions. */
const AROUND = 20_000;

let wanted = 0;

/** Opens the sheet. Its `body` is to be filled while `isOurs()`: another document may be
 *  opened before this one has come. */
export function openSheet(title, path) {
  const dialog = byId("reader");
  const body = byId("reader-text");
  byId("reader-title").textContent = title;
  byId("reader-path").textContent = path;
  body.className = "reader-text";
  body.replaceChildren();
  if (!dialog.open) dialog.showModal();
  body.scrollTop = 0;
  const mine = ++wanted;
  return { body, isOurs: () => mine === wanted };
}

/** Opens the document of `source` at its passage. What `citation` quotes is marked
 *  there, or else the words of `question`. */
export async function openReader(source, collection, question, citation) {
  const place = [source.uri, ...source.heading_path, source.page ? `page ${source.page}` : null];
  const sheet = openSheet(source.title || source.uri, place.filter(Boolean).join(" › "));
  const { body } = sheet;
  const passage = el("span", { class: "passage", tabIndex: -1 }, quoted(source.text, citation) ?? marked(source.text, contentWords(question)));
  body.replaceChildren(passage);
  try {
    const params = new URLSearchParams({ text: "true", collection });
    const response = await api(`/documents/${encodeURIComponent(source.document_id)}?${params}`);
    if (!response.ok) throw await failure(response);
    const { text } = await response.json();
    if (sheet.isOurs()) show(body, passage, text, source);
  } catch (error) {
    if (!sheet.isOurs()) return;
    const note = `The rest of the document cannot be shown: ${error.message}`;
    body.prepend(el("p", { class: "notice" }, note));
  }
}

/** `text` with the quotation marked; none where nothing is quoted. The offsets of the
 *  wire count Unicode scalar values. */
function quoted(text, citation) {
  const { source_start: start, source_end: end } = citation ?? {};
  if (start === undefined || end === undefined) return null;
  const characters = [...text];
  const part = (from, to) => characters.slice(from, to).join("");
  return [part(0, start), el("mark", { class: "quotation" }, part(start, end)), part(end)];
}

function show(body, passage, text, source) {
  // Offsets of the wire are bytes of UTF-8.
  const bytes = new TextEncoder().encode(text);
  const decode = (from, to) => new TextDecoder().decode(bytes.subarray(from, to));
  if (decode(source.start, source.end) !== source.text) {
    body.prepend(el("p", { class: "notice" }, "The document has changed since this answer; this is the passage as it was cited."));
    return;
  }
  const before = decode(0, source.start);
  const after = decode(source.end, bytes.length);
  body.replaceChildren(...part(before, true), passage, ...part(after, false));
  (passage.querySelector(".quotation") ?? passage).scrollIntoView({ block: "center" });
  passage.focus({ preventScroll: true });
}

/** The end of `text` that touches the passage, and a button for the rest. */
function part(text, isBefore) {
  const cut = isBefore ? text.length - AROUND : AROUND;
  if (text.length <= AROUND) return [text];
  const near = isBefore ? text.slice(cut) : text.slice(0, cut);
  const far = isBefore ? text.slice(0, cut) : text.slice(cut);
  const more = el(
    "button",
    { type: "button", class: "quiet more", onclick: () => more.replaceWith(...part(far, isBefore)) },
    isBefore ? "Show more above" : "Show more below",
  );
  return isBefore ? [more, near] : [near, more];
}

byId("reader-close").addEventListener("click", () => byId("reader").close());
// A press beside the sheet closes it.
byId("reader").addEventListener("click", (event) => {
  if (event.target === byId("reader")) byId("reader").close();
});
