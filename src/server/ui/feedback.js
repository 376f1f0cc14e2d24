// Whether an answer helped, said below it.

import { el, reason } from "./dom.js";
import { api } from "./key.js";
import { failure } from "./stream.js";

// Words: not every machine has a font with thumbs.
const LABELS = { up: "Helped", down: "Did not help" };

/** Two buttons that say whether `turn`'s answer helped, and a line for what was wrong. */
export function thumbs(turn) {
  let said = null;
  const note = el("span", { class: "said", role: "status" });
  const buttons = Object.keys(LABELS).map((rating) =>
    el(
      "button",
      {
        type: "button",
        class: "quiet thumb",
        "aria-pressed": "false",
        onclick: () => press(rating),
      },
      LABELS[rating],
    ),
  );
  const comment = el("input", {
    type: "text",
    maxLength: 1000,
    placeholder: "What was wrong? (optional)",
    "aria-label": "What was wrong",
  });
  const form = el(
    "form",
    {
      class: "complaint",
      hidden: true,
      onsubmit: (event) => {
        event.preventDefault();
        send("down").then((kept) => (form.hidden = kept));
      },
    },
    comment,
    el("button", { type: "submit", class: "quiet" }, "Send"),
  );

  async function press(rating) {
    const next = said === rating ? null : rating;
    if (!(await send(next))) return;
    form.hidden = next !== "down";
    if (!form.hidden) comment.focus();
  }

  /** Whether the service kept it. */
  async function send(rating) {
    for (const button of buttons) button.disabled = true;
    try {
      const path = `/feedback/${encodeURIComponent(turn.done.query_id)}`;
      const response = rating
        ? await api(path, {
            method: "PUT",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(body(turn, rating, comment.value)),
          })
        : await api(path, { method: "DELETE" });
      if (!response.ok) throw await failure(response);
      said = rating;
      note.textContent = rating ? "Thank you." : "Taken back.";
      return true;
    } catch (error) {
      note.textContent = `Not kept: ${reason(error)}`;
      return false;
    } finally {
      buttons.forEach((button, at) => {
        button.disabled = false;
        button.setAttribute("aria-pressed", String(Object.keys(LABELS)[at] === said));
      });
    }
  }

  return [el("span", { class: "thumbs", role: "group", "aria-label": "Did this answer help?" }, buttons, note), form];
}

/** What is kept: the texts as they were shown, cut to what the service takes. */
function body(turn, rating, comment) {
  const cited = new Map();
  for (const { n, source_start: start, source_end: end } of turn.citations) {
    const source = turn.source(n);
    if (!source) continue;
    const whole = start === undefined || start === null;
    const text = whole ? source.text : [...source.text].slice(start, end).join("");
    cited.set(`${n} ${start}`, { uri: source.uri, text: text.slice(0, 3000) });
  }
  return {
    rating,
    comment: rating === "down" ? comment : "",
    question: turn.question,
    answer: turn.text.slice(0, 15_000),
    cited: [...cited.values()].slice(0, 20),
  };
}
