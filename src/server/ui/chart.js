// Small charts over days, as SVG: stacked bars and lines. What they show stands in a table
// as well, so they are pictures with a name.

import { el } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 560;
const HEIGHT = 150;
const LEFT = 52;
const BOTTOM = 20;
const TOP = 8;

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A round number of at least `most`, and how its halves are written. */
function ceiling(most) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 5, 10].map((step) => step * power).find((top) => top >= most);
}

/**
 * A chart of `days`, which are texts like "2026-01-31". Each of `series` is
 * `{name, className, values}` with a number or null for each day; `lines` draws them as lines,
 * otherwise they are stacked. `written(value)` is how a value is said.
 */
export function chart(title, days, series, { lines = false, written = String } = {}) {
  const sums = days.map((_, at) => {
    const values = series.map(({ values }) => values[at] ?? 0);
    return lines ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0);
  });
  const top = ceiling(Math.max(...sums));
  const width = (WIDTH - LEFT) / days.length;
  const x = (at) => LEFT + at * width;
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said(title, days, series, written) });
  for (const value of [0, top / 2, top]) {
    picture.append(
      svg("line", { x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value), class: "grid" }),
      svg("text", { x: LEFT - 6, y: y(value) + 4, class: "tick", "text-anchor": "end" }, written(value)),
    );
  }
  for (const at of new Set([0, Math.floor((days.length - 1) / 2), days.length - 1])) {
    const anchor = at === 0 ? "start" : at === days.length - 1 ? "end" : "middle";
    const place = at === 0 ? LEFT : at === days.length - 1 ? WIDTH : x(at) + width / 2;
    picture.append(svg("text", { x: place, y: HEIGHT - 4, class: "tick", "text-anchor": anchor }, days[at].slice(5)));
  }
  if (lines) for (const one of series) picture.append(...line(one, (at) => x(at) + width / 2, y));
  days.forEach((day, at) => {
    let below = 0;
    const bars = svg("g", {}, svg("title", {}, tip(day, series, at, written)));
    // A place to point at, also where there is nothing.
    bars.append(svg("rect", { x: x(at), y: TOP, width, height: HEIGHT - TOP - BOTTOM, class: "touch" }));
    for (const { className, values } of lines ? [] : series) {
      const value = values[at] ?? 0;
      if (!value) continue;
      const height = y(below) - y(below + value);
      bars.append(svg("rect", { x: x(at) + width * 0.1, y: y(below + value), width: width * 0.8, height, class: className }));
      below += value;
    }
    picture.append(bars);
  });
  const keys = series.map(({ name, className }) => el("li", { class: className }, name));
  return el("figure", { class: "chart" }, el("figcaption", {}, title, el("ul", { class: "keys" }, keys)), picture);
}

/** A line with a point for each value; days without one break it. */
function line({ className, values }, x, y) {
  const parts = [];
  let path = "";
  values.forEach((value, at) => {
    if (value === null || value === undefined) {
      path += " ";
      return;
    }
    path += `${path === "" || path.endsWith(" ") ? "M" : "L"}${x(at).toFixed(1)},${y(value).toFixed(1)}`;
    parts.push(svg("circle", { cx: x(at), cy: y(value), r: 2.5, class: className }));
  });
  return [svg("path", { d: path.trim(), class: `${className} line` }), ...parts];
}

function tip(day, series, at, written) {
  const values = series.filter(({ values }) => values[at] !== null && values[at] !== undefined);
  return [day, ...values.map(({ name, values }) => `${name}: ${written(values[at])}`)].join("\n");
}

function said(title, days, series, written) {
  const last = days.length - 1;
  const now = series.map(({ name, values }) => `${name} ${written(values[last] ?? 0)}`).join(", ");
  return `${title}, ${days[0]} to ${days[last]}. On the last day: ${now}.`;
}
