// The view Usage: what was asked, how long it took, what it cost, and what people said.

import { chart } from "./chart.js";
import { byId, count, duration, el, moment, problem } from "./dom.js";
import { api } from "./key.js";
import { failure } from "./stream.js";
import { onView } from "./views.js";

const DAY = 86_400_000;
/** Rows of a table, and of feedback. */
const ROWS = 50;
let turn = 0;

/** Wires the view. */
export function usage() {
  onView("usage", (here) => here && look());
  for (const id of ["usage-days", "usage-by", "usage-rating"]) byId(id).addEventListener("change", look);
}

async function look() {
  const mine = ++turn;
  const days = range(Number(byId("usage-days").value));
  const time = { since: days[0], until: days.at(-1) };
  const by = byId("usage-by").value;
  const rating = byId("usage-rating").value;
  try {
    const asked = read("/usage", { ...time, by: "day" });
    const [daily, table, feedback] = await Promise.all([
      asked,
      by === "day" ? asked : read("/usage", { ...time, by }),
      read("/feedback", { ...time, limit: ROWS, ...(rating ? { rating } : {}) }),
    ]);
    if (mine !== turn) return;
    charts(days, daily);
    tables(by, table);
    said(feedback.feedback);
    problem(byId("usage-problem"), null);
  } catch (error) {
    if (mine === turn) problem(byId("usage-problem"), error, look);
  }
}

async function read(path, params) {
  const response = await api(`${path}?${new URLSearchParams(params)}`, {}, true);
  if (!response.ok) throw await failure(response);
  return response.json();
}

/** The last `n` days, in UTC as the service counts them. */
function range(n) {
  const today = Date.now();
  return Array.from({ length: n }, (_, at) => new Date(today - (n - 1 - at) * DAY).toISOString().slice(0, 10));
}

function charts(days, { answers, calls, cost_usd: cost, all_keys: all }) {
  const of = (rows) => new Map(rows.map((row) => [row.group, row]));
  const [asked, called] = [of(answers), of(calls)];
  const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0);
  const series = (name, className, rows, value) => ({
    name,
    className,
    values: days.map((day) => (rows.has(day) ? value(rows.get(day)) : null)),
  });
  const questions = sum(answers, "questions");
  const whose = all ? "" : " with your key";
  byId("usage-standing").textContent = questions
    ? [
        `${count(questions, "question")}${whose}`,
        `${share(sum(answers, "refused"), questions)} refused`,
        `${count(sum(calls, "calls"), "call")} to language models`,
        dollars(cost),
      ].join(" · ")
    : `No questions${whose} in this time.`;
  const drawn = [
    chart("Questions a day", days, [
      series("answered", "good", asked, (row) => row.questions - row.refused - row.failed - row.abandoned),
      series("refused", "warn", asked, (row) => row.refused),
      series("failed", "bad", asked, (row) => row.failed),
      series("left", "soft", asked, (row) => row.abandoned),
    ]),
    chart(
      "Time to the whole answer",
      days,
      [
        series("half took less", "good", asked, (row) => row.p50_ms),
        series("95 of 100 took less", "warn", asked, (row) => row.p95_ms),
      ],
      { lines: true, written: (ms) => (ms ? duration(ms) : "0") },
    ),
    chart("What people said", days, [
      series("helped", "good", asked, (row) => row.up),
      series("did not help", "bad", asked, (row) => row.down),
    ]),
  ];
  // Who has no language model need not look at empty pictures of it.
  if (calls.length) {
    drawn.push(
      chart("Calls to language models a day", days, [
        series("by a provider", "good", called, (row) => row.calls - row.cached - row.failed),
        series("from the cache", "soft", called, (row) => row.cached),
        series("failed", "bad", called, (row) => row.failed),
      ]),
      chart("Cost a day", days, [series("US dollars", "good", called, (row) => row.cost_usd)], { written: dollars }),
    );
  }
  byId("usage-charts").replaceChildren(...(questions || calls.length ? drawn : []));
}

function tables(by, { answers, calls }) {
  const label = byId("usage-by").selectedOptions[0].textContent;
  const parts = [
    table(`Answers by ${label}`, answers, [
      [label, (row) => row.group || "(none)"],
      ["questions", (row) => row.questions.toLocaleString("en")],
      ["refused", (row) => share(row.refused, row.questions)],
      ["failed", (row) => row.failed],
      ["median", (row) => duration(row.p50_ms ?? NaN)],
      ["p95", (row) => duration(row.p95_ms ?? NaN)],
      ["helped", (row) => row.up],
      ["did not", (row) => row.down],
    ]),
    table(`Calls by ${label}`, calls, [
      [label, (row) => row.group || "(none)"],
      ["calls", (row) => row.calls],
      ["cached", (row) => row.cached],
      ["failed", (row) => row.failed],
      ["tokens read", (row) => row.prompt_tokens.toLocaleString("en")],
      ["written", (row) => row.completion_tokens.toLocaleString("en")],
      ["mean", (row) => duration(row.mean_latency_ms ?? NaN)],
      ["cost", (row) => dollars(row.cost_usd)],
    ]),
  ];
  byId("usage-tables").replaceChildren(...parts.filter(Boolean));
}

/** A table whose first column names the row; the newest day stands first. */
function table(caption, rows, columns) {
  if (!rows.length) return null;
  const shown = [...rows].reverse().slice(0, ROWS);
  const cells = (row) =>
    columns.map(([, value], at) => (at ? el("td", {}, String(value(row))) : el("th", { scope: "row" }, value(row))));
  return el(
    "div",
    { class: "scroll", tabIndex: 0, role: "region", "aria-label": caption },
    el(
      "table",
      {},
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, columns.map(([name]) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, shown.map((row) => el("tr", {}, cells(row)))),
    ),
  );
}

function said(rows) {
  byId("usage-feedback").replaceChildren(
    ...rows.map(({ at, rating, question, answer, comment, collection }) =>
      el(
        "li",
        { class: "row" },
        el(
          "details",
          { class: "row-main" },
          el(
            "summary",
            {},
            el("span", { class: `state ${rating === "up" ? "done" : "failed"}` }, rating === "up" ? "helped" : "did not"),
            " ",
            question,
            el("span", { class: "facts" }, collection, " · ", moment(new Date(at))),
          ),
          comment ? el("p", { class: "comment" }, comment) : null,
          el("p", { class: "outcome-text" }, answer || "(no answer)"),
        ),
      ),
    ),
  );
  byId("usage-none").hidden = rows.length > 0;
}

function share(part, whole) {
  return whole ? `${Math.round((100 * part) / whole)} %` : "";
}

function dollars(usd) {
  if (!usd) return "$0";
  return `$${usd < 0.1 ? usd.toPrecision(2) : usd.toFixed(2)}`;
}
