// The view Documents: what is in the collection, page by page.

import { byId, count, el, moment, problem, reason, size } from "./dom.js";
import { openDocument } from "./document.js";
import { api } from "./key.js";
import { failure } from "./stream.js";
import { announce } from "./turn.js";
import { current, onView } from "./views.js";

/** Documents of a page of the list, and of a page that is only looked through. */
const PAGE = 100;
const SEARCHED = 1000;
/** Seconds in which a deletion can be taken back. */
const UNDO = 5;

/** What was read: `seen` by id, in the order of the service. */
let read = nothing();
/** Rows that may be shown. */
let shown = PAGE;
/** Deletions by id: {timer, until} while one waits, {sent} while the service works on it,
 *  {error} after it has failed. */
const leaving = new Map();
let turn = 0;
let changed = () => {};

function nothing() {
  return { collection: "", seen: new Map(), offset: 0, total: 0, whole: false };
}

/** Wires the view. `deleted()` is called after each deletion. */
export function documents(deleted) {
  changed = deleted;
  onView("documents", (here) => here && reload());
  byId("collection").addEventListener("change", reload);
  let typed = 0;
  byId("documents-filter").addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => {
      shown = PAGE;
      load();
    }, 150);
  });
  byId("documents-more").addEventListener("click", async () => {
    const before = byId("documents-list").children.length;
    shown += PAGE;
    await load();
    byId("documents-list").children[before]?.querySelector("button")?.focus();
  });
}

/** Reads the list anew, where it is shown. */
export function reload() {
  if (current() !== "documents") return;
  read = nothing();
  read.collection = byId("collection").value;
  for (const [id, { error }] of leaving) if (error) leaving.delete(id);
  shown = PAGE;
  load();
}

const filter = () => byId("documents-filter").value.trim().toLowerCase();

function matching() {
  const words = filter().split(/\s+/).filter(Boolean);
  const fits = ({ title, uri, labels }) => {
    const text = [title, uri, ...labels].join("\n").toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const all = [...read.seen.values()];
  return words.length ? all.filter(fits) : all;
}

/** Reads pages until there are rows enough, or, with a filter, until all were looked at. */
async function load() {
  const mine = ++turn;
  const of = read;
  try {
    while (!of.whole && matching().length < shown) {
      draw(true);
      const params = new URLSearchParams({ offset: of.offset, limit: filter() ? SEARCHED : PAGE });
      if (of.collection) params.set("collection", of.collection);
      const response = await api(`/documents?${params}`);
      if (!response.ok) throw await failure(response);
      const page = await response.json();
      if (mine !== turn) return;
      of.collection = page.collection;
      of.total = page.total;
      for (const document of page.documents) of.seen.set(document.id, document);
      of.offset += page.documents.length;
      of.whole = !page.documents.length || of.offset >= page.total;
    }
    draw(false);
    problem(byId("documents-problem"), null);
  } catch (error) {
    if (mine !== turn) return;
    draw(false);
    byId("documents-standing").textContent = "";
    problem(byId("documents-problem"), error, () => {
      problem(byId("documents-problem"), null);
      load();
    });
  }
}

function draw(loading) {
  const rows = matching();
  byId("documents-list").replaceChildren(...rows.slice(0, shown).map(row));
  byId("documents-more").hidden = loading || (read.whole && rows.length <= shown);
  const at = Math.min(shown, rows.length).toLocaleString("en");
  const of = count(read.total, "document");
  const looked = read.whole ? "" : `, after a look at ${read.offset.toLocaleString("en")}`;
  byId("documents-standing").textContent = loading && !read.seen.size
    ? "Reading the list…"
    : filter()
      ? `${rows.length === 1 ? "1 match" : `${rows.length.toLocaleString("en")} matches`} in ${of}${looked}${rows.length > shown ? `; the first ${at} are shown` : ""}`
      : read.total
        ? `${at} of ${of}`
        : "Nothing is in this collection yet. Drop files on this page, or choose “Add documents”.";
}

function row(document) {
  const { id, uri, title, labels, chunks, text_bytes: bytes, indexed_at: at } = document;
  const waits = leaving.get(id);
  const open = el(
    "button",
    { type: "button", class: "row-open", onclick: () => openDocument(document, read.collection) },
    title || uri,
  );
  const item = el(
    "li",
    { class: waits && !waits.error ? "row leaving" : "row", "data-id": id },
    el(
      "div",
      { class: "row-main" },
      open,
      el("p", { class: "path" }, uri),
      el(
        "p",
        { class: "facts" },
        `${count(chunks, "passage")} · ${size(bytes)} · `,
        moment(new Date(at * 1000)),
        labels.map((label) => [" ", el("span", { class: "label", title: "Only readers with this label see it" }, label)]).flat(),
      ),
      waits?.error ? el("p", { class: "notice error", role: "alert" }, waits.error) : null,
    ),
    waits?.sent
      ? el("button", { type: "button", class: "quiet", "aria-disabled": "true" }, "Deleting…")
      : waits?.timer
      ? el("button", { type: "button", class: "quiet", onclick: () => takeBack(document) }, "Undo ", el("span", { class: "left" }, left(waits)))
      : el("button", { type: "button", class: "quiet delete", "aria-label": `Delete ${title || uri}`, onclick: () => leave(document) }, "Delete"),
  );
  return item;
}

const left = ({ until }) => `(${Math.max(0, Math.ceil((until - performance.now()) / 1000))} s)`;

/** Draws the row of `id` anew. Its button keeps the focus. */
function redraw(document) {
  const old = byId("documents-list").querySelector(`[data-id="${CSS.escape(document.id)}"]`);
  if (!old) return;
  const focused = old.contains(window.document.activeElement);
  const item = row(document);
  old.replaceWith(item);
  if (focused) item.querySelector(":scope > button")?.focus();
}

/** Deletes `document` in five seconds, unless somebody takes that back. */
function leave(document) {
  const { id, title, uri } = document;
  const collection = read.collection;
  const until = performance.now() + UNDO * 1000;
  const timer = setInterval(() => {
    if (performance.now() >= until) {
      clearInterval(timer);
      remove(document, collection);
      return;
    }
    const text = byId("documents-list").querySelector(`[data-id="${CSS.escape(id)}"] .left`);
    if (text) text.textContent = left({ until });
  }, 250);
  leaving.set(id, { timer, until });
  redraw(document);
  announce(`${title || uri} will be deleted in ${UNDO} seconds. Press Undo to keep it.`);
}

function takeBack(document) {
  clearInterval(leaving.get(document.id)?.timer);
  leaving.delete(document.id);
  redraw(document);
  announce(`${document.title || document.uri} is kept.`);
}

async function remove(document, collection) {
  const { id, title, uri } = document;
  leaving.set(id, { sent: true });
  redraw(document);
  try {
    const params = new URLSearchParams({ collection });
    const response = await api(`/documents/${encodeURIComponent(id)}?${params}`, { method: "DELETE" });
    // Somebody else may have deleted it meanwhile.
    if (!response.ok && response.status !== 404) throw await failure(response);
    leaving.delete(id);
    gone(id, collection);
    announce(`${title || uri} is deleted.`);
    changed();
  } catch (error) {
    leaving.set(id, { error: `It is still there: ${reason(error)}` });
    redraw(document);
  }
}

/** Takes the row of `id` away, and moves the focus of its button to the next one. */
function gone(id, collection) {
  if (collection !== read.collection || !read.seen.delete(id)) return;
  read.offset -= 1;
  read.total -= 1;
  const old = byId("documents-list").querySelector(`[data-id="${CSS.escape(id)}"]`);
  const focused = old?.contains(window.document.activeElement);
  const next = old?.nextElementSibling?.dataset.id ?? old?.previousElementSibling?.dataset.id;
  draw(false);
  if (!focused) return;
  const item = next && byId("documents-list").querySelector(`[data-id="${CSS.escape(next)}"]`);
  (item?.querySelector(".row-open") ?? byId("documents-title")).focus();
}

// Documents whose time to undo runs are kept where the page is left: say so first.
addEventListener("beforeunload", (event) => {
  if ([...leaving.values()].some(({ timer }) => timer)) event.preventDefault();
});
