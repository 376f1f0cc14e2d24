// The schedules, below the list of jobs.

import { byId, el, moment } from "./dom.js";
import { inLine } from "./steps.js";

let seen = "";

/** Draws them. `open(id)` shows the job of the last time, and resolves to whether it is there. */
export function schedules(list, open) {
  byId("schedules").hidden = !list.length;
  // Drawn anew each minute at least, since times are told from now.
  const now = JSON.stringify([list, Math.floor(Date.now() / 60_000)]);
  if (now === seen) return;
  seen = now;
  const focused = byId("schedules-list").contains(document.activeElement);
  const at = focused ? [...byId("schedules-list").querySelectorAll("button")].indexOf(document.activeElement) : -1;
  byId("schedules-list").replaceChildren(...list.map((one) => row(one, open)));
  byId("schedules-list").querySelectorAll("button")[at]?.focus();
}

function row({ name, kind, collection, cron, time_zone: zone, paused, input, next_at: next, last_job: last }, open) {
  const when = paused ? "rests" : next ? ["next ", moment(new Date(next))] : "never again";
  return el(
    "li",
    { class: "row schedule" },
    el(
      "div",
      { class: "row-main" },
      el("p", {}, el("strong", {}, name), " ", el("code", {}, cron), ` ${zone}`),
      el("p", { class: "path" }, `${kind} into ${collection}: ${inLine(input)}`),
      el("p", { class: "facts" }, when),
    ),
    last ? lastJob(last, open) : null,
  );
}

function lastJob(id, open) {
  const show = async () => {
    if (await open(id)) return;
    button.textContent = "Not kept any more";
    button.disabled = true;
  };
  const button = el("button", { type: "button", class: "quiet", onclick: show }, "Last job");
  return button;
}
