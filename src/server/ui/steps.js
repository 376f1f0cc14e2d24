// What an agent did for an answer, step by step, and the calls that a person must allow.

import { count, duration, el } from "./dom.js";

/** What a tool or a job was given, in one line; what is empty is left out. */
export function inLine(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "object") return String(value).replace(/\s+/g, " ");
  if (Array.isArray(value)) return value.map(inLine).join("; ");
  const parts = Object.entries(value).map(([name, part]) => [name.replaceAll("_", " "), inLine(part)]);
  return parts
    .filter(([, line]) => line)
    .map(([name, line]) => `${name}: ${line}`)
    .join(", ");
}

/** The steps of one answer: `element` is empty and hidden until the first one comes. */
export class Steps {
  constructor() {
    this.seen = new Map();
    this.summary = el("summary", {});
    this.list = el("ol", {});
    this.element = el("details", { class: "steps", open: true, hidden: true }, this.summary, this.list);
  }

  /** Adds a step. One with a number that was there already takes its place. */
  add(step) {
    // Steps of one turn share the thought before them.
    const before = this.seen.get(step.n - 1)?.step;
    const item = row(step, step.thought && before?.turn !== step.turn);
    const old = this.seen.get(step.n);
    if (old) old.item.replaceWith(item);
    else this.list.append(item);
    this.seen.set(step.n, { step, item });
    this.element.hidden = false;
    this.title();
  }

  /** Closes the list, since the answer is there. */
  fold() {
    this.element.open = false;
  }

  title() {
    const steps = [...this.seen.values()].map(({ step }) => step);
    const failed = steps.filter((step) => !step.ok).length;
    this.summary.replaceChildren(
      count(steps.length, "step"),
      failed ? el("span", { class: "failed" }, ` · ${failed} failed`) : "",
    );
  }
}

function row({ tool, arguments: given, result, ok, milliseconds, thought }, thinks) {
  const line = inLine(given);
  return el(
    "li",
    { class: ok ? "step" : "step failed" },
    thinks ? el("p", { class: "thought", title: thought }, thought) : null,
    el(
      "p",
      { class: "call" },
      el("code", {}, tool),
      el("span", { class: "given", title: line }, line),
      el("span", { class: "took" }, duration(milliseconds)),
    ),
    el("p", { class: "outcome", title: result }, ok ? null : el("strong", {}, "Failed: "), result),
  );
}

/** Asks a person about calls. `decide(ids)` is given those that may be made, and resolves
 *  to whether the decision was taken. */
export function permission({ calls, expires_in_seconds: seconds }, decide) {
  const boxes = calls.map(({ id }) => el("input", { type: "checkbox", checked: true, value: id }));
  const items = calls.map(({ tool, arguments: given }, index) => {
    const call = [el("code", {}, tool), " ", el("span", {}, inLine(given))];
    return el("li", {}, calls.length > 1 ? el("label", {}, boxes[index], " ", call) : call);
  });
  const until = new Date(Date.now() + seconds * 1000);
  const time = until.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const button = (label, kind, ids) =>
    el("button", { type: "button", class: kind, onclick: async () => {
      for (const one of buttons) one.disabled = true;
      const taken = await decide(ids());
      if (taken) box.remove();
      else for (const one of buttons) one.disabled = false;
    } }, label);
  const chosen = () => boxes.filter((one) => one.checked).map((one) => one.value);
  const buttons = [button("Allow", "primary", chosen), button("Do not allow", "quiet", () => [])];
  const several = calls.length > 1 ? " Calls that are not ticked are refused." : "";
  const box = el(
    "div",
    { class: "permission", role: "group", "aria-label": "Calls that you must allow" },
    el("p", {}, el("strong", {}, `The model wants to make ${calls.length > 1 ? "these calls" : "this call"}.`), several),
    el("ul", {}, items),
    el("div", { class: "buttons" }, buttons),
    el("p", { class: "facts" }, `The question waits for you until ${time}.`),
  );
  return box;
}
