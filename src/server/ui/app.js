// The page: questions in, turns out. See the other files for the parts.

import { byId } from "./dom.js";
import { refresh, watch } from "./status.js";
import { ask } from "./stream.js";
import { Turn } from "./turn.js";
import { uploads } from "./upload.js";

const question = byId("question");
const turns = [];
let running = null;

/** Earlier turns for a follow-up question, oldest first. */
function history() {
  return turns
    .filter((turn) => turn.done)
    .slice(-6)
    .flatMap((turn) => [
      { role: "user", content: turn.question },
      { role: "assistant", content: turn.text },
    ]);
}

async function submit(text, remember = true) {
  text = text.trim();
  if (!text || running) return;
  const body = { query: text };
  const collection = byId("collection").value;
  if (collection) body.collection = collection;
  const earlier = history();
  if (earlier.length) body.history = earlier;
  if (remember && !turns.length) {
    const params = new URLSearchParams({ q: text });
    if (collection) params.set("collection", collection);
    window.history.pushState({ asked: true }, "", `?${params}`);
  }
  document.title = `${text.slice(0, 60)} · Cairn`;

  const turn = new Turn(text, () => {
    turn.element.remove();
    turns.splice(turns.indexOf(turn), 1);
    submit(text, false);
  });
  turns.push(turn);
  byId("turns").append(turn.element);
  byId("welcome").hidden = true;
  byId("new").hidden = false;
  question.value = "";
  fit();
  turn.element.scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });

  running = new AbortController();
  busy(true);
  try {
    for await (const event of ask(body, running.signal)) turn.take(event);
  } catch (error) {
    if (error.name === "AbortError") turn.stopped();
    else turn.fail(error.message, error.retryable ?? false);
  } finally {
    running = null;
    busy(false);
  }
}

function busy(yes) {
  byId("send").hidden = yes;
  byId("stop").hidden = !yes;
  question.placeholder = turns.length ? "Ask a follow-up question" : "Ask a question";
}

/** Starts over, without the earlier turns. */
function clear() {
  running?.abort();
  turns.length = 0;
  byId("turns").replaceChildren();
  byId("welcome").hidden = false;
  byId("new").hidden = true;
  document.title = "Cairn";
  question.placeholder = "Ask a question";
  question.focus();
}

/** Lets the box grow with its text, up to the height that the style allows. */
function fit() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  submit(question.value);
});
question.addEventListener("input", fit);
question.addEventListener("keydown", (event) => {
  // Enter that ends the composition of a character is not a question.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submit(question.value);
  }
});
byId("stop").addEventListener("click", () => running?.abort());
byId("new").addEventListener("click", () => {
  clear();
  window.history.pushState({}, "", "/");
});
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    question.focus();
  } else if (event.key === "Escape" && running && !byId("reader").open) {
    running.abort();
  }
});

/**
 * Shows the question in the address, so that it can be shared. It is asked at once only
 * where this page itself put it there: a link on another page must not spend anything
 * before somebody has read the question.
 */
function fromAddress() {
  const params = new URLSearchParams(location.search);
  const collection = params.get("collection");
  if (collection) {
    const option = new Option(collection, collection, true, true);
    byId("collection").replaceChildren(option);
  }
  const text = params.get("q");
  if (!text) return;
  if (window.history.state?.asked) {
    submit(text, false);
  } else {
    question.value = text;
    fit();
  }
}
addEventListener("popstate", () => {
  clear();
  fromAddress();
});

watch((text) => submit(text));
uploads(() => refresh((text) => submit(text)));
fromAddress();
if (matchMedia("(pointer: fine)").matches) question.focus();
