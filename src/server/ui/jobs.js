// The view Jobs: what is done in its own time, as it goes on, and the schedules.

import { byId, count, el, problem } from "./dom.js";
import { Job } from "./job.js";
import { api } from "./key.js";
import { schedules } from "./schedules.js";
import { failure } from "./stream.js";
import { onView } from "./views.js";

/** Jobs shown at first, and more with each press; the service lists no more than that. */
const PAGE = 50;
const MOST = 1000;
/** Milliseconds between two looks. */
const EVERY = 2000;

const rows = new Map();
let limit = PAGE;
let timer = 0;
let here = false;
let turn = 0;

/** Wires the view. */
export function jobs() {
  onView("jobs", (yes) => {
    here = yes;
    look();
  });
  document.addEventListener("visibilitychange", look);
  byId("jobs-state").addEventListener("change", () => {
    limit = PAGE;
    rows.clear();
    byId("jobs-list").replaceChildren();
    look();
  });
  byId("jobs-more").addEventListener("click", () => {
    limit = Math.min(limit + PAGE, MOST);
    look();
  });
}

/** Looks now, and again every two seconds while somebody can see it. */
async function look() {
  clearTimeout(timer);
  const mine = ++turn;
  if (!here || document.hidden) return;
  try {
    const params = new URLSearchParams({ limit });
    const state = byId("jobs-state").value;
    if (state) params.set("state", state);
    const list = await read(`/jobs?${params}`);
    if (mine !== turn) return;
    draw(list.jobs);
    schedules((await read("/schedules")).schedules, open);
    problem(byId("jobs-problem"), null);
  } catch (error) {
    if (mine === turn) problem(byId("jobs-problem"), error, look);
  }
  if (mine === turn) timer = setTimeout(look, EVERY);
}

async function read(path) {
  const response = await api(path, {}, true);
  if (!response.ok) throw await failure(response);
  return response.json();
}

function draw(jobs) {
  const list = byId("jobs-list");
  const ids = new Set(jobs.map(({ id }) => id));
  for (const [id, job] of rows) {
    if (ids.has(id)) continue;
    job.leave();
    rows.delete(id);
  }
  for (const [at, info] of jobs.entries()) {
    let job = rows.get(info.id);
    if (!job) {
      job = new Job(info.id, { read, done: look });
      rows.set(info.id, job);
    }
    job.show(info);
    if (list.children[at] !== job.element) list.insertBefore(job.element, list.children[at] ?? null);
  }
  byId("jobs-more").hidden = jobs.length < limit || limit >= MOST;
  // Said aloud, so only when there is something new.
  const text = standing(jobs);
  if (byId("jobs-standing").textContent !== text) byId("jobs-standing").textContent = text;
}

function standing(jobs) {
  const state = byId("jobs-state");
  if (!jobs.length) {
    return state.value
      ? `No job is in this state: choose “all” to see the others.`
      : "There are no jobs. They are made with POST /jobs, with “cairn index --detach” and by schedules.";
  }
  const of = (name) => jobs.filter((job) => job.state === name).length;
  const parts = [["running", "running"], ["queued", "waiting"], ["input_required", "asking"], ["failed", "failed"]];
  const said = parts.filter(([name]) => of(name)).map(([name, word]) => `${of(name)} ${word}`);
  const shown = jobs.length >= limit ? `The latest ${count(jobs.length, "job")}` : count(jobs.length, "job");
  return [shown, ...said].join(" · ");
}

/** Opens job `id`, whatever the list was limited to. Resolves to whether it is there. */
async function open(id) {
  if (!rows.has(id)) {
    byId("jobs-state").value = "";
    limit = MOST;
    await look();
  }
  rows.get(id)?.open();
  return rows.has(id);
}
