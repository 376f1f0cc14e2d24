// The views, Ask, Documents, Jobs and Usage: one of them is shown, by the hash of the address.

import { byId } from "./dom.js";

const NAMES = ["ask", "documents", "jobs", "usage"];
const TITLES = { documents: "Documents · Cairn", jobs: "Jobs · Cairn", usage: "Usage · Cairn" };

let asked = "Cairn";
let shown = null;
const watchers = [];

/** The view that is shown. */
export function current() {
  const name = location.hash.slice(1);
  return NAMES.includes(name) ? name : "ask";
}

/** Calls `changed(here)` when the view `name` comes or goes. */
export function onView(name, changed) {
  watchers.push((now, before) => {
    if (now === name) changed(true);
    else if (before === name) changed(false);
  });
}

/** The title of the window while Ask is shown. */
export function title(text) {
  asked = text;
  document.title = TITLES[current()] ?? asked;
}

/** Goes to view `name`, and leaves the rest of the address as it is. */
export function go(name) {
  if (current() !== name) location.hash = name;
  show();
}

/** Shows the view that the address says. */
export function show() {
  const view = current();
  if (view === shown) return;
  const before = shown;
  shown = view;
  for (const name of NAMES) {
    byId(`view-${name}`).hidden = name !== view;
    const tab = byId(`tab-${name}`);
    if (name === view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  byId("ask").hidden = view !== "ask";
  document.body.dataset.view = view;
  document.title = TITLES[view] ?? asked;
  for (const watcher of watchers) watcher(view, before);
  if (before) scrollTo(0, 0);
}

addEventListener("hashchange", show);
// The first link of the page leads past its head, in whatever view.
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  const view = current();
  (view === "ask" ? byId("question") : byId(`${view}-title`)).focus();
});
