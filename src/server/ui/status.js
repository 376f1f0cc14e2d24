// What the service holds and does: collections, counts, progress, questions to
// try.

import { byId, count, el } from "./dom.js";
import { api } from "./key.js";
import { failure, RequestFailed } from "./stream.js";

/** Milliseconds between two looks while something goes on, and otherwise. */
const BUSY = 1000;
const CALM = 15_000;

/** Keeps the head of the page true. `ask(question)` is called for a suggestion. */
export function watch(ask) {
  let seen = "";
  const look = async () => {
    let busy = true;
    try {
      const ready = await (await api("/ready")).json();
      busy = !ready.ready || Boolean(ready.indexing);
      banner(ready);
      if (ready.ready) {
        const response = await api("/collections", {}, true);
        if (!response.ok) throw await failure(response);
        const list = await response.json();
        const now = JSON.stringify([list, byId("collection").value]);
        if (now !== seen) show(list, ask);
        seen = now;
      }
    } catch (error) {
      say(error instanceof RequestFailed ? error.message : "The service cannot be reached.", null);
    }
    setTimeout(look, busy ? BUSY : CALM);
  };
  byId("collection").addEventListener("change", () => refresh(ask));
  look();
}

/** Looks again at once, after an upload or a choice. */
export async function refresh(ask) {
  const response = await api("/collections");
  if (response.ok) show(await response.json(), ask);
}

function banner({ ready, phase, activity, indexing }) {
  if (indexing) {
    const { files_done: done, files_total: total } = indexing;
    say(`Indexing: ${done.toLocaleString("en")} of ${count(total, "file")}. Answers know what is done so far.`, { done, total });
  } else if (ready && !activity) {
    byId("banner").hidden = true;
  } else {
    say(activity ?? (phase === "stopping" ? "The service stops." : "The service starts."), null);
  }
}

function say(text, progress) {
  byId("banner").hidden = false;
  if (byId("banner-text").textContent !== text) byId("banner-text").textContent = text;
  const bar = byId("banner-progress");
  bar.hidden = !progress;
  if (progress) {
    bar.max = Math.max(progress.total, 1);
    bar.value = progress.done;
  }
}

function show({ collections, default: preferred }, ask) {
  const select = byId("collection");
  const chosen = select.value || preferred;
  const names = collections.map((collection) => collection.name);
  select.replaceChildren(...names.map((name) => el("option", { value: name, selected: name === chosen }, name)));
  byId("collection-field").hidden = names.length < 2;
  const current = collections.find((collection) => collection.name === select.value);
  byId("counts").textContent = current
    ? `${count(current.documents, "document")}, ${count(current.chunks, "passage")}`
    : "Nothing is indexed yet";
  const tries = (current?.suggestions ?? []).map((question) =>
    el("li", {}, el("button", { type: "button", class: "suggestion", onclick: () => ask(question) }, question)),
  );
  byId("suggestions").replaceChildren(...tries);
}
