// Elements without markup: text from documents and models only ever becomes
// text nodes, so nothing in it can be read as HTML.

/** A new element. `props` are properties; `class` and `aria-*`, `data-*`, `role`
 *  are attributes; children are elements or texts. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (/^(aria-|data-|role$|for$)/.test(name)) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** 950 -> "950 ms", 1234 -> "1.2 s". */
export function duration(ms) {
  if (!Number.isFinite(ms)) return "";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** "1 file", "2 files". */
export function count(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

/** 950 -> "950 bytes", 34816 -> "34 KiB". */
export function size(bytes) {
  if (bytes < 1024) return count(bytes, "byte");
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let at = -1;
  do {
    bytes /= 1024;
    at += 1;
  } while (bytes >= 1000 && at < units.length - 1);
  return `${bytes < 10 ? bytes.toFixed(1) : Math.round(bytes).toLocaleString("en")} ${units[at]}`;
}

const UNITS = [["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** How long ago or in what time `date` is, with the exact time as its title. */
export function moment(date) {
  const seconds = (date - Date.now()) / 1000;
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS.at(-1);
  const text = RELATIVE.format(Math.round(seconds / length), unit);
  return el("time", { dateTime: date.toISOString(), title: date.toLocaleString() }, text);
}

/** 75 -> "1 min 15 s". */
export function longDuration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** What a person is told of `error`: browsers say little when nobody answers. */
export function reason(error) {
  return error instanceof TypeError ? "the service cannot be reached. See whether it still runs, and try again." : error.message;
}

/** Shows `error` in `place`, with a way to try again; nothing without an error. */
export function problem(place, error, again) {
  if (!error) return place.replaceChildren();
  const said = reason(error);
  const text = said.charAt(0).toUpperCase() + said.slice(1);
  if (place.querySelector("p")?.textContent === text) return;
  const button = again && el("button", { type: "button", class: "quiet", onclick: again }, "Try again");
  place.replaceChildren(el("div", { class: "notice error", role: "alert" }, el("p", {}, text), button));
}
