// One question and its answer: the element, and how events change it.

import { byId, count, duration, el } from "./dom.js";
import { thumbs } from "./feedback.js";
import { prose } from "./prose.js";
import { openReader } from "./reader.js";
import { markCited, point, sourceList } from "./sources.js";
import { permission, Steps } from "./steps.js";

const STAGES = ["Searching", "Reading", "Writing"];

export class Turn {
  /** `retry()` asks again; `decide(run, ids)` allows calls of a run that waits, and resolves
   *  to whether it could be said. */
  constructor(question, retry, decide) {
    this.question = question;
    this.retry = retry;
    this.decide = decide;
    this.text = "";
    this.citations = [];
    this.sources = [];
    this.collection = "";
    this.started = performance.now();
    this.done = null;
    this.stages = STAGES.map((name) => el("li", {}, name));
    this.status = el("ol", { class: "stages", "aria-hidden": "true" }, this.stages);
    this.steps = new Steps();
    this.answer = el("div", { class: "answer" });
    this.notices = el("div", { class: "notices" });
    this.facts = el("div", { class: "timing" });
    this.aside = el("aside", {});
    this.element = el(
      "article",
      { class: "turn", "aria-label": `Question: ${question}` },
      el("h2", { class: "asked" }, question),
      el("div", { class: "reply" }, this.status, this.steps.element, this.answer, this.notices, this.facts),
      this.aside,
    );
    this.stage(0);
  }

  /** Shows that stage `at` goes on; none when everything ended. */
  stage(at) {
    this.stages.forEach((stage, index) => {
      stage.className = at === null || index < at ? "past" : index === at ? "now" : "";
    });
    this.status.hidden = at === null;
    if (at !== null) announce(`${STAGES[at]}…`);
  }

  take({ event, data }) {
    if (event === "step") this.step(data);
    else if (event === "sources") this.found(data);
    else if (event === "delta") this.delta(data.text);
    else if (event === "citation") this.citations.push(data), this.paint();
    else if (event === "done") this.finish(data);
    else if (event === "input_required") this.ask(data);
    else if (event === "error") this.fail(data.error.message, data.error.retryable);
  }

  step(step) {
    this.steps.add(step);
    announce(`${step.tool}: ${step.result}`);
  }

  /** Asks a person about calls; the answer goes on below, in this turn. */
  ask(required) {
    this.stage(null);
    const box = permission(required, (ids) => this.decide(required.run_id, ids));
    this.answer.before(box);
    box.scrollIntoView({ block: "nearest" });
    const call = required.calls.map(({ tool }) => tool).join(", ");
    announce(`The model asks whether it may call ${call}.`);
  }

  /** A person has decided: the answer goes on. */
  goOn() {
    this.notices.replaceChildren();
    this.stage(0);
  }

  found(data) {
    this.collection = data.collection;
    this.sources = data.sources;
    this.stages[1].textContent = `Reading ${count(data.sources.length, "passage")}`;
    this.stage(1);
    if (data.sources.length) {
      this.aside.replaceChildren(sourceList(data.sources, this.question, (n) => this.open(n)));
    }
    this.notice(data.degraded);
  }

  delta(text) {
    if (!this.text) this.stage(2);
    this.text += text;
    this.paint();
  }

  /** Draws at most once a frame, however fast the text comes. */
  paint() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    const label = (n) => this.source(n)?.title ?? "";
    // Focus on a citation outlives the drawing.
    const focused = this.answer.contains(document.activeElement) ? document.activeElement : null;
    const order = focused ? [...this.answer.querySelectorAll(".cite")].indexOf(focused) : -1;
    this.answer.replaceChildren(...prose(this.text, this.citations, (n, citation) => this.open(n, citation), label));
    if (order >= 0) this.answer.querySelectorAll(".cite")[order]?.focus();
  }

  source(n) {
    return this.sources.find((source) => source.n === n);
  }

  /** Opens a source, at the quotation of `citation` where there is one. */
  open(n, citation) {
    const source = this.source(n);
    if (!source) return;
    point(this.element, n);
    openReader(source, this.collection, this.question, citation);
  }

  finish(done) {
    this.done = done;
    this.text = done.answer;
    this.citations = done.citations;
    this.stage(null);
    this.steps.fold();
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.draw();
    markCited(this.element, done.citations);
    this.element.classList.toggle("refused", done.refused);
    if (done.refused) {
      this.answer.prepend(el("p", { class: "verdict" }, "Not found in the documents"));
    } else if (!done.grounded) {
      this.notice(["Not every sentence of this answer rests on a cited source: check it against the passages."]);
    }
    if (done.finish_reason === "length") this.notice(["The answer was cut at its longest length."]);
    this.notice(done.degraded);
    this.facts.replaceChildren(...this.timing(done));
    announce(`${done.refused ? "No answer found." : "Answer:"} ${done.answer}`);
  }

  timing(done) {
    const { total, first_token: first } = done.timings_ms;
    const quoted = done.provider === "extractive";
    const quotations = done.citations.length ? "quotations" : null;
    const writer = quoted ? quotations : [done.provider, done.model].filter(Boolean).join(" · ");
    const rows = Object.entries(done.timings_ms).map(([stage, ms]) =>
      el("tr", {}, el("th", { scope: "row" }, stage.replaceAll("_", " ")), el("td", {}, duration(ms))),
    );
    const tokens = done.usage.completion_tokens ? count(done.usage.completion_tokens, "token") : null;
    const cost = done.usage.cost_usd ? `$${done.usage.cost_usd.toFixed(4)}` : null;
    const summary = [
      Number.isFinite(total) ? `Answered in ${duration(total)}` : null,
      Number.isFinite(first) ? `first word ${duration(first)}` : null,
      writer,
      tokens,
      cost,
    ];
    return [
      el(
        "details",
        {},
        el("summary", {}, summary.filter(Boolean).join(" · ")),
        el("table", {}, el("caption", { class: "visually-hidden" }, "Time of each stage"), el("tbody", {}, rows)),
      ),
      el("button", { type: "button", class: "quiet", onclick: (event) => this.copy(event.target) }, "Copy"),
      ...thumbs(this),
    ];
  }

  async copy(button) {
    const used = new Set(this.citations.map((citation) => citation.n));
    const list = this.sources.filter((source) => used.has(source.n));
    const notes = list.map((source) => `[${source.n}] ${source.title} (${source.uri})`);
    try {
      await navigator.clipboard.writeText([this.text, "", ...notes].join("\n").trim());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copying was not allowed";
    }
  }

  notice(texts) {
    for (const text of texts ?? []) {
      const shown = [...this.notices.children].some((child) => child.textContent === text);
      // Not worth a warning: the answer is whole, and a slow machine says it each time.
      const quiet = text.startsWith("re-ranking ran out of time");
      if (!shown) this.notices.append(el("p", { class: quiet ? "notice aside" : "notice" }, text));
    }
  }

  stopped() {
    this.stage(null);
    this.notice(["Stopped."]);
    announce("Stopped.");
  }

  fail(message, retryable) {
    this.stage(null);
    const retry = retryable
      ? el("button", { type: "button", class: "quiet", onclick: () => this.retry() }, "Try again")
      : null;
    const box = el("div", { class: "notice error", role: "alert" }, el("p", {}, message), retry);
    this.notices.append(box);
    box.scrollIntoView({ block: "nearest" });
  }
}

/** Says something to people who hear the page. */
export function announce(text) {
  byId("announce").textContent = text;
}
