// One job: its row, what can be done with it, and, opened, all that is known of it.

import { duration, el, longDuration, moment, problem, size } from "./dom.js";
import { api } from "./key.js";
import { prose } from "./prose.js";
import { openReader } from "./reader.js";
import { inLine } from "./steps.js";
import { failure } from "./stream.js";
import { announce } from "./turn.js";

const WORDS = { queued: "queued", running: "running", input_required: "asks", done: "done", failed: "failed", cancelled: "cancelled" };
const LIVE = ["queued", "running", "input_required"];

/** Runs `work`, and shows in `place` what goes wrong. */
export async function act(place, work) {
  try {
    await work();
    problem(place, null);
  } catch (error) {
    problem(place, error);
  }
}

export class Job {
  /** `read(path)` gets JSON; `done()` is called after something was done with the job. */
  constructor(id, { read, done }) {
    this.id = id;
    this.read = read;
    this.done = done;
    this.seen = "";
    this.head = el("summary", {});
    this.bar = el("progress", { hidden: true });
    this.more = el("div", { class: "job-more" });
    this.details = el("details", { ontoggle: () => this.details.open && this.fetch() }, this.head, this.more);
    this.brief = el("div", {});
    this.buttons = el("div", { class: "buttons" });
    this.trouble = el("div", {});
    this.element = el("li", { class: "row job", "data-id": id }, this.details, this.bar, this.brief, this.buttons, this.trouble);
  }

  /** Draws `info`, an entry of the list. What has not changed is left alone. */
  show(info) {
    const before = this.info;
    this.info = info;
    this.times(info);
    const now = JSON.stringify({ ...info, eta_seconds: null });
    if (now === this.seen) return;
    this.seen = now;
    if (before && before.state !== info.state) announce(`Job ${info.kind}: ${WORDS[info.state] ?? info.state}`);
    this.element.dataset.state = info.state;
    this.brief.replaceChildren(...brief(info));
    this.act(info);
    if (this.details.open) this.fetch();
  }

  /** Draws what changes with the clock. */
  times(info) {
    const { state, kind, collection, stage, about, cancel_requested: stopping } = info;
    const word = stopping && state === "running" ? "stops" : WORDS[state] ?? state;
    const facts = el("span", { class: "facts" }, `${collection} · `, moment(new Date(info.created_at)), standing(info, stage));
    this.head.replaceChildren(el("span", { class: `state ${state}` }, word), el("span", { class: "kind" }, kind), el("span", { class: "about", title: about }, about ?? ""), facts);
    const { done, total, bytes, bytes_total: size } = info.progress;
    this.bar.hidden = state !== "running" || !(total || size);
    // Bytes tell more of a few large documents.
    this.bar.max = Math.max(size || total || 1, 1);
    this.bar.value = size ? bytes : done;
    this.bar.setAttribute("aria-label", `Progress of the job ${kind}`);
  }

  /** Buttons for what can be done in this state. They keep the focus while they stay. */
  act({ state, cancel_requested: stopping }) {
    const focused = this.buttons.contains(document.activeElement) ? document.activeElement.textContent : null;
    const button = (label, kind, path, init) =>
      el("button", { type: "button", class: kind, onclick: () => this.send(path, init) }, label);
    const post = (body) => ({
      method: "POST",
      ...(body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
    const buttons = [];
    if (state === "input_required") {
      buttons.push(button("Yes", "quiet", "/input", post({ confirm: true })));
      buttons.push(button("No", "quiet", "/input", post({ confirm: false })));
    }
    if (LIVE.includes(state) && !stopping) buttons.push(button("Cancel", "quiet", "/cancel", post()));
    if (state === "failed" || state === "cancelled") buttons.push(button("Retry", "quiet", "/retry", post()));
    if (!LIVE.includes(state)) buttons.push(button("Forget", "quiet", "", { method: "DELETE" }));
    this.buttons.replaceChildren(...buttons);
    if (focused) (buttons.find((one) => one.textContent === focused) ?? this.head).focus();
  }

  async send(path, init) {
    await act(this.trouble, async () => {
      const response = await api(`/jobs/${encodeURIComponent(this.id)}${path}`, init);
      if (!response.ok) throw await failure(response);
    });
    this.done();
  }

  /** Reads all that is known of the job. */
  async fetch() {
    await act(this.trouble, async () => {
      const info = await this.read(`/jobs/${encodeURIComponent(this.id)}`);
      const open = [...this.more.querySelectorAll("details")].map((part) => part.open);
      this.more.replaceChildren(...all(info));
      for (const [at, part] of this.more.querySelectorAll("details").entries()) part.open = open[at] ?? part.open;
    });
  }

  open() {
    this.details.open = true;
    this.head.focus();
    this.element.scrollIntoView({ block: "center" });
  }

  /** Takes the row away; the focus goes on to the next one. */
  leave() {
    const next = this.element.nextElementSibling ?? this.element.previousElementSibling;
    if (this.element.contains(document.activeElement)) next?.querySelector("summary")?.focus();
    this.element.remove();
  }
}

/** " · parse 12 of 80, 40 s left". */
function standing({ state, stage, progress, eta_seconds: eta, attempts, max_attempts: most, started_at: begun, ended_at: ended }) {
  const parts = [];
  if (state === "running") {
    const { done, total, bytes, bytes_total: all } = progress;
    const far = total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : done ? done.toLocaleString("en") : "";
    parts.push([stage, far].filter(Boolean).join(" "));
    if (bytes) parts.push(all ? `${size(bytes)} of ${size(all)}` : size(bytes));
    if (eta !== undefined && eta !== null) parts.push(`about ${longDuration(eta)} left`);
  }
  if (begun && ended) {
    const ms = new Date(ended) - new Date(begun);
    parts.push(`took ${ms < 60_000 ? duration(ms) : longDuration(ms / 1000)}`);
  }
  if (attempts > 1) parts.push(`attempt ${attempts} of ${most}`);
  return parts.filter(Boolean).map((part) => ` · ${part}`).join("");
}

/** What a glance must show: what it asks, and why it failed. */
function brief({ state, result, failures, documents_failed: failed, attempts, max_attempts: most }) {
  const parts = [];
  if (state === "input_required" && result) {
    const folders = (result.folders ?? []).map(({ folder, gone, of }) => el("li", {}, `${folder}: ${gone} of ${of} are gone`));
    parts.push(el("div", { class: "notice" }, el("p", {}, result.question ?? inLine(result)), folders.length ? el("ul", {}, folders) : null));
  }
  const last = failures.at(-1);
  if (last && state === "failed") {
    const why = last.permanent ? "Trying again as it is will not help." : `Given up after ${attempts} of ${most} attempts.`;
    parts.push(el("div", { class: "notice error" }, el("p", {}, `${last.chain.join(": ")} `, el("span", { class: "why" }, why))));
  } else if (last && LIVE.includes(state)) {
    parts.push(el("p", { class: "notice" }, `The last attempt failed: ${last.chain.join(": ")}`));
  }
  if (failed) {
    const what = failed === 1 ? "1 document" : `${failed.toLocaleString("en")} documents`;
    parts.push(el("p", { class: "notice" }, `${what} could not be read: open the job to see which.`));
  }
  return parts;
}

function all(info) {
  const parts = [el("p", { class: "facts" }, `Job ${info.id}`)];
  const times = [["Submitted", info.created_at], ["Begun", info.started_at], ["Ended", info.ended_at]];
  const rows = times
    .filter(([, at]) => at)
    .flatMap(([name, at]) => [el("dt", {}, name), el("dd", {}, new Date(at).toLocaleString())]);
  parts.push(el("dl", {}, rows));
  if (info.result && info.state !== "input_required") parts.push(section("Result", result(info), true));
  if (info.document_errors?.length) {
    const items = info.document_errors.map(({ document: name, stage, message }) =>
      el("li", {}, el("strong", {}, name), stage ? ` (${stage})` : "", `: ${message}`),
    );
    const more = info.documents_failed > items.length ? [el("li", {}, `and ${(info.documents_failed - items.length).toLocaleString("en")} more`)] : [];
    parts.push(section("Documents that could not be read", el("ul", {}, items, more), true));
  }
  if (info.failures.length) {
    const items = info.failures.map(({ at, stage, chain, permanent }) =>
      el(
        "li",
        {},
        el("p", { class: "facts" }, new Date(at).toLocaleString(), stage ? ` in ${stage}` : "", permanent ? ", for good" : ""),
        chain.map((link, depth) => el("p", {}, depth ? `because: ${link}` : link)),
      ),
    );
    parts.push(section("Attempts that failed", el("ol", {}, items), info.state === "failed"));
  }
  return parts;
}

function section(name, content, open) {
  return el("details", { open }, el("summary", {}, name), content);
}

/** What came out: an answer with its sources, or names and values. */
function result({ result: value, collection, about }) {
  if (typeof value !== "object") return el("p", {}, String(value));
  if (typeof value.answer !== "string") {
    const shown = (part) => (typeof part === "number" && !Number.isInteger(part) ? part.toFixed(3) : inLine(part));
    const parts = Object.entries(value).map(([name, part]) => [name.replaceAll("_", " "), shown(part)]);
    return el("dl", {}, parts.filter(([, line]) => line).flatMap(([name, line]) => [el("dt", {}, name), el("dd", {}, line)]));
  }
  const sources = value.sources ?? [];
  const source = (n) => sources.find((one) => one.n === n);
  const show = (n, citation) => source(n) && openReader(source(n), collection, about ?? "", citation);
  const items = sources.map(({ n, title, uri }) => el("li", { value: n }, `${title || uri} (${uri})`));
  return [
    el("div", { class: "answer" }, prose(value.answer, value.citations ?? [], show, (n) => source(n)?.title ?? "")),
    items.length ? el("ol", { class: "of-answer" }, items) : null,
  ];
}
