// The page: questions in, turns out. See the other files for the parts.

import { documents, reload } from "./documents.js";
import { byId } from "./dom.js";
import { jobs } from "./jobs.js";
import { refresh, watch } from "./status.js";
import { ask, decide } from "./stream.js";
import { Turn } from "./turn.js";
import { uploads } from "./upload.js";
import { usage } from "./usage.js";
import { current, go, show, title } from "./views.js";

/** Where the browser keeps whether questions may take several steps. */
const STEPS = "cairn-steps";

const question = byId("question");
const steps = byId("steps");
const turns = [];
let running = null;
/** The question and collection of the address as this page last made or read it. */
let address = location.search;

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

function submit(text, remember = true) {
  text = text.trim();
  if (!text || running) return;
  go("ask");
  const body = { query: text };
  // Without a choice, the configuration decides.
  if (steps.value) body.agent = steps.value;
  const collection = byId("collection").value;
  if (collection) body.collection = collection;
  const earlier = history();
  if (earlier.length) body.history = earlier;
  if (remember && !turns.length) {
    const params = new URLSearchParams({ q: text });
    if (collection) params.set("collection", collection);
    window.history.pushState({ asked: true }, "", `?${params}`);
    address = location.search;
  }
  title(`${text.slice(0, 60)} · Cairn`);

  const again = () => {
    if (running) return;
    turn.element.remove();
    turns.splice(turns.indexOf(turn), 1);
    submit(text, false);
  };
  const answer = async (run, ids) => {
    if (running) {
      turn.notice(["Another answer is being written: wait for its end, or stop it, and decide then."]);
      return false;
    }
    turn.goOn();
    return follow(turn, (signal) => decide(run, ids, signal));
  };
  const turn = new Turn(text, again, answer);
  turns.push(turn);
  byId("turns").append(turn.element);
  byId("welcome").hidden = true;
  byId("new").hidden = false;
  question.value = "";
  fit();
  turn.element.scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });
  follow(turn, (signal) => ask(body, signal));
}

/** Draws what `events` gives into `turn`, until it ends or somebody stops it. Resolves
 *  with the first event to true; to false where there is none. */
function follow(turn, events) {
  return new Promise((begun) => {
    draw(turn, events, () => begun(true)).finally(() => begun(false));
  });
}

async function draw(turn, events, begun) {
  const mine = new AbortController();
  running = mine;
  busy(true);
  try {
    for await (const event of events(mine.signal)) {
      begun();
      turn.take(event);
    }
  } catch (error) {
    if (error.name === "AbortError") turn.stopped();
    else turn.fail(error.message, error.retryable || error.code === "not_found");
  } finally {
    // After "New conversation" another one may be running.
    if (running === mine) {
      running = null;
      busy(false);
    }
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
  running = null;
  busy(false);
  turns.length = 0;
  byId("turns").replaceChildren();
  byId("welcome").hidden = false;
  byId("new").hidden = true;
  title("Cairn");
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
  address = location.search;
  show();
});
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    go("ask");
    question.focus();
  } else if (event.key === "Escape" && running && current() === "ask" && !byId("reader").open) {
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
  // Going to another view is no other question.
  if (location.search === address) return;
  address = location.search;
  clear();
  fromAddress();
});

try {
  const kept = localStorage.getItem(STEPS);
  steps.value = ["auto", "off"].includes(kept) ? kept : "";
} catch {
  // A browser may forbid to keep anything: then the choice holds for this page.
}
steps.addEventListener("change", () => {
  try {
    localStorage.setItem(STEPS, steps.value);
  } catch {
    // As above.
  }
});

const again = () => refresh((text) => submit(text));
watch((text) => submit(text));
uploads(() => {
  again();
  reload();
});
documents(again);
jobs();
usage();
show();
fromAddress();
if (current() === "ask" && matchMedia("(pointer: fine)").matches) question.focus();
