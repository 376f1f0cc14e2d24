// POST /query, and its answer as a sequence of {event, data}.

import { api } from "./key.js";

/** What the service said when it refused, or what the network did. */
export class RequestFailed extends Error {
  constructor(message, retryable) {
    super(message);
    this.retryable = retryable;
  }
}

/** The error of a response that is not a success. */
export async function failure(response) {
  const retryable = response.status === 429 || response.status >= 500;
  try {
    const { message, code } = (await response.json()).error;
    return Object.assign(new RequestFailed(message, retryable), { code });
  } catch {
    return new RequestFailed(`The service answered with status ${response.status}.`, retryable);
  }
}

/** Asks, and yields events until the last one: `done`, `input_required` or `error`. Aborting
 *  `signal` closes the connection, which cancels the work on the other side. */
export function ask(body, signal) {
  return events("/query", body, signal);
}

/** Goes on with a run that waits for a person, who allows the calls `approve`. */
export function decide(run, approve, signal) {
  return events(`/query/${encodeURIComponent(run)}/input`, { approve }, signal);
}

const LAST = ["done", "input_required", "error"];

async function* events(path, body, signal) {
  let response;
  try {
    response = await api(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new RequestFailed("The service cannot be reached. Is it still running?", true);
  }
  if (!response.ok) throw await failure(response);
  let ended = false;
  for await (const event of frames(response.body)) {
    ended = LAST.includes(event.event);
    yield event;
    if (ended) return;
  }
  if (!ended) throw new RequestFailed("The connection broke before the end of the answer.", true);
}

/** Server-sent events of a body: frames end with an empty line. */
async function* frames(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      buffer += value;
      let end;
      while ((end = buffer.indexOf("\n\n")) >= 0) {
        const frame = parse(buffer.slice(0, end));
        buffer = buffer.slice(end + 2);
        if (frame) yield frame;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Name and data of one frame; nothing for a comment. */
function parse(text) {
  let event = "message";
  const data = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return data.length ? { event, data: JSON.parse(data.join("\n")) } : null;
}
