// The passages that were found, as cards.

import { count, el } from "./dom.js";

/** Characters of a card, about. */
const SNIPPET = 220;

const STOP_WORDS = new Set(
  "a an and are as at be by can do does for from has have how i in is it its of on or that the this to was what when where which who why will with you your".split(" "),
);

/** The words of a question that are worth marking. */
export function contentWords(question) {
  const words = question.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
  return new Set(words.filter((word) => word.length > 1 && !STOP_WORDS.has(word)));
}

/** Where words of the question stand in `text`; word ends may differ. */
function hits(text, words) {
  const stems = [...words].map((word) => (word.length > 5 ? word.slice(0, -2) : word));
  const all = [...text.matchAll(/[\p{L}\p{N}_]+/gu)];
  return all.filter(([word]) => {
    const lower = word.toLowerCase();
    return words.has(lower) || stems.some((stem) => stem.length > 3 && lower.startsWith(stem));
  });
}

/** `text` with the words of the question marked. */
export function marked(text, words) {
  const parts = [];
  let plain = 0;
  for (const { 0: word, index } of hits(text, words)) {
    parts.push(text.slice(plain, index), el("mark", {}, word));
    plain = index + word.length;
  }
  parts.push(text.slice(plain));
  return parts;
}

/** The part of `text` that a card shows: from the sentence in which the most
 *  different words of the question begin to stand together. */
function snippet(text, words) {
  const found = hits(text, words);
  let best = 0;
  let most = 0;
  for (const { index } of found) {
    const near = found.filter((hit) => hit.index >= index && hit.index < index + SNIPPET);
    const different = new Set(near.map(([word]) => word.toLowerCase())).size;
    if (different > most) [best, most] = [index, different];
  }
  const before = text.slice(0, best);
  const start = Math.max(before.lastIndexOf(". ") + 2, before.lastIndexOf("\n") + 1);
  if (best < SNIPPET / 2 || best - start > SNIPPET / 2) return text;
  return start > 1 ? `… ${text.slice(start)}` : text;
}

function ranks({ lexical, dense, fused, rerank }) {
  const named = [["words", lexical], ["meaning", dense], ["fused", fused], ["re-ranked", rerank]];
  return named
    .filter(([, rank]) => rank !== null && rank !== undefined)
    .map(([name, rank]) => `${name} #${rank}`)
    .join(" · ");
}

/** A list of cards. `open(n)` shows a passage in its document. */
export function sourceList(sources, question, open) {
  const words = contentWords(question);
  const cards = sources.map((source) => {
    const path = [...source.heading_path, source.page ? `page ${source.page}` : null].filter(Boolean);
    return el(
      "li",
      { class: "source", "data-n": source.n },
      el(
        "button",
        { type: "button", class: "source-open", onclick: () => open(source.n), "aria-label": `Open source ${source.n}, ${source.title}, in its document` },
        el("span", { class: "number", "aria-hidden": "true" }, String(source.n)),
        el("span", { class: "source-title" }, source.title || source.uri),
      ),
      path.length ? el("p", { class: "path" }, path.join(" › ")) : null,
      source.columns ? el("p", { class: "path" }, source.columns) : null,
      el("p", { class: "snippet" }, marked(snippet(source.text, words), words)),
      el("p", { class: "facts uri", title: source.uri }, source.uri),
      el("p", { class: "facts", title: "Score, and the rank in each stage" }, `score ${source.score.toFixed(3)} · ${ranks(source.ranks)}`),
    );
  });
  return el(
    "section",
    { class: "sources", "aria-label": "Sources" },
    el("h3", {}, count(sources.length, "source")),
    el("ol", {}, cards),
  );
}

/** Marks card `n` among `root`'s cards and brings it into view. */
export function point(root, n) {
  for (const card of root.querySelectorAll(".source")) {
    card.classList.toggle("active", card.dataset.n === String(n));
  }
}

/** Shows which sources the answer rests on. */
export function markCited(root, citations) {
  const cited = new Set(citations.map((citation) => String(citation.n)));
  for (const card of root.querySelectorAll(".source")) {
    card.classList.toggle("cited", cited.has(card.dataset.n));
  }
}
