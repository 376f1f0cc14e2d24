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

/** Asks, and yields events until `done` or `error`. Aborting `signal` closes
 *  the connection, which cancels the work on the other side. */
export async function* ask(body, signal) {
  let response;
  try {
    response = await api("/query", {
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
    ended = event.event === "done" || event.event === "error";
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
