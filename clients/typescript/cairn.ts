/**
 * Questions to a Cairn service, for browsers, Node 18 and newer, Deno and Bun. Copy this file; it
 * needs nothing but `fetch`.
 *
 *     import { Cairn } from "./cairn.js";
 *
 *     const cairn = new Cairn("http://127.0.0.1:8620");
 *     console.log((await cairn.ask("How do I rotate keys?")).answer);
 *
 *     for await (const event of cairn.stream("How do I rotate keys?", { top_k: 5 })) {
 *       if (event.event === "delta") process.stdout.write(event.data.text);
 *     }
 *
 * What the service sends is passed on as it is: fields that a newer service adds are there, too.
 * Offsets of citations count characters (Unicode scalar values), which `slice` cuts by.
 */

/** Where the answer has the mark `[n]` of source `n`. `source_start` and `source_end` are of
 *  quotations alone: their place in the source's text. */
export interface Citation {
  n: number;
  chunk_id: string;
  start: number;
  end: number;
  source_start?: number;
  source_end?: number;
  page?: number;
}

/** A passage that was found. `start` and `end` are bytes of the document. */
export interface Source {
  n: number;
  chunk_id: string;
  document_id: string;
  uri: string;
  title: string;
  heading_path: string[];
  page?: number;
  pages?: { number: number; start: number }[];
  columns?: string;
  start: number;
  end: number;
  text: string;
  score: number;
  cosine?: number;
  copies?: number;
  ranks: Record<"lexical" | "dense" | "fused" | "rerank", number | null>;
}

/** What was found, before any word is written. */
export interface Found {
  query_id: string;
  collection: string;
  generation: number;
  sources: Source[];
  timings_ms: Record<string, number>;
  degraded: string[];
}

/** Tokens, and US dollars. */
export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  cached_prompt_tokens: number;
  cost_usd: number;
  estimated: boolean;
}

/** A whole answer. `cache` says how an earlier answer of the model was used again. */
export interface Done {
  query_id: string;
  answer: string;
  citations: Citation[];
  refused: boolean;
  grounded: boolean;
  answerability: number;
  finish_reason: string;
  provider: string;
  model: string;
  usage: Usage;
  cache?: "exact" | "semantic" | "stale";
  timings_ms: Record<string, number>;
  degraded: string[];
}

/** What an agent did. */
export interface Step {
  n: number;
  turn: number;
  thought?: string;
  tool: string;
  arguments: unknown;
  result: string;
  ok: boolean;
  milliseconds: number;
  cost_usd: number;
}

/** A whole answer with its sources, and the steps of an agent. */
export interface Answer extends Done {
  collection: string;
  generation: number;
  sources: Source[];
  steps?: Step[];
}

/** Calls that an agent may not make before a person has allowed them. */
export interface InputRequired {
  run_id: string;
  expires_in_seconds: number;
  calls: { id: string; tool: string; arguments: unknown }[];
}

/** One event of an answer; the last one is `done` or `input_required`. */
export type AnswerEvent =
  | { event: "step"; data: Step }
  | { event: "sources"; data: Found }
  | { event: "delta"; data: { text: string } }
  | { event: "citation"; data: Citation }
  | { event: "done"; data: Done }
  | { event: "input_required"; data: InputRequired };

/** The fields of `POST /query`, and a `signal` that gives the question up: the service stops
 *  its work, and the client throws the signal's reason. */
export interface AskOptions {
  collection?: string;
  top_k?: number;
  candidates?: number;
  mode?: "hybrid" | "lexical" | "dense";
  rerank?: boolean;
  expand?: "none" | "hop" | "queries" | "hyde";
  filter?: Record<string, unknown>;
  deadline_ms?: number;
  generate?: boolean;
  model?: string;
  agent?: "off" | "auto" | "react" | "plan";
  history?: { role: "user" | "assistant"; content: string }[];
  signal?: AbortSignal | undefined;
}

export interface ClientOptions {
  /** The API key, where the service needs one. */
  key?: string;
  /** How often a request is sent again that was turned away with 429 or 503 and a
   *  `Retry-After`; 2 if not given. An answer that has begun is never asked for again. */
  retries?: number;
  /** Longest `Retry-After` that is waited for, in seconds; 30 if not given. */
  maxWait?: number;
  /** In place of the global `fetch`. */
  fetch?: typeof fetch;
}

interface Details {
  status?: number | undefined;
  param?: string | undefined;
  retryable?: boolean | undefined;
  retryAfter?: number | undefined;
  requestId?: string | undefined;
  cause?: unknown;
}

/** What went wrong. `code` is one of the service ("not_found", "overloaded", ...), or
 *  "unreachable", "interrupted" or "unexpected_response". */
export class CairnError extends Error {
  readonly code: string;
  readonly status: number | undefined;
  /** The field of the request that is to blame. */
  readonly param: string | undefined;
  readonly retryable: boolean;
  /** In how many seconds it may work. */
  readonly retryAfter: number | undefined;
  /** Finds the request in the log of the service. */
  readonly requestId: string | undefined;

  constructor(code: string, message: string, details: Details = {}) {
    super(message);
    this.name = "CairnError";
    this.code = code;
    this.status = details.status;
    this.param = details.param;
    this.retryable = details.retryable ?? false;
    this.retryAfter = details.retryAfter;
    this.requestId = details.requestId;
    if (details.cause !== undefined) this.cause = details.cause;
  }
}

/** An agent waits for a person: `Cairn.decide` goes on with `required.run_id`. */
export class InputNeeded extends CairnError {
  readonly required: InputRequired;

  constructor(required: InputRequired) {
    super("input_required", "the agent waits until somebody allows its calls");
    this.name = "InputNeeded";
    this.required = required;
  }
}

/** A service. */
export class Cairn {
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #retries: number;
  readonly #maxWait: number;
  readonly #fetch: typeof fetch;

  constructor(url = "http://127.0.0.1:8620", options: ClientOptions = {}) {
    this.#url = url.replace(/\/+$/, "");
    this.#headers = { "content-type": "application/json" };
    if (options.key) this.#headers["authorization"] = `Bearer ${options.key}`;
    this.#retries = options.retries ?? 2;
    this.#maxWait = options.maxWait ?? 30;
    // Called as a method of anything else, browsers refuse it.
    this.#fetch = options.fetch ?? ((...call) => fetch(...call));
  }

  /** The whole answer to a question. Throws `CairnError`, and `InputNeeded` where an agent waits
   *  for a person. */
  async ask(query: string, options: AskOptions = {}): Promise<Answer> {
    const { signal, ...fields } = options;
    const response = await this.#post("/query", { ...fields, query, stream: false }, signal);
    let body;
    try {
      body = await response.json();
    } catch (error) {
      throw interrupted(error, signal);
    }
    if (response.status === 202) throw new InputNeeded(body.input_required);
    return body;
  }

  /** The events of an answer, as they come. Throws `CairnError`, also while it is read. Leaving
   *  the loop gives the question up, as `signal` does. */
  stream(query: string, options: AskOptions = {}): AsyncGenerator<AnswerEvent, void, undefined> {
    const { signal, ...fields } = options;
    return this.#events("/query", { ...fields, query, stream: true }, signal);
  }

  /** Goes on with an agent that waits, and may make the calls with the ids `approve`. */
  decide(
    runId: string,
    approve: string[],
    options: { signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<AnswerEvent, void, undefined> {
    const path = `/query/${encodeURIComponent(runId)}/input`;
    return this.#events(path, { approve, stream: true }, options.signal);
  }

  async *#events(
    path: string,
    body: object,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<AnswerEvent, void, undefined> {
    const response = await this.#post(path, body, signal);
    const frames = read(response);
    try {
      for (;;) {
        signal?.throwIfAborted();
        let frame;
        try {
          frame = await frames.next();
        } catch (error) {
          throw interrupted(error, signal);
        }
        if (frame.done) throw interrupted(undefined, signal);
        const { event, data } = frame.value;
        if (event === "error") throw failure(data);
        yield { event, data } as AnswerEvent;
        if (event === "done" || event === "input_required") return;
      }
    } finally {
      await frames.return();
    }
  }

  /** Sends `body` until it is not turned away; the response is a success. */
  async #post(path: string, body: object, signal: AbortSignal | undefined): Promise<Response> {
    for (let left = this.#retries; ; left--) {
      let response;
      try {
        response = await this.#fetch(this.#url + path, {
          method: "POST",
          headers: this.#headers,
          body: JSON.stringify(body),
          signal: signal ?? null,
        });
      } catch (cause) {
        signal?.throwIfAborted();
        const message = `the service at ${this.#url} cannot be reached`;
        throw new CairnError("unreachable", message, { retryable: true, cause });
      }
      if (response.ok) return response;
      const error = failure(await response.json().catch(() => undefined), response);
      const wait = error.retryAfter;
      const turnedAway = response.status === 429 || response.status === 503;
      if (!turnedAway || wait === undefined || wait > this.#maxWait || left <= 0) throw error;
      await sleep(wait, signal);
    }
  }
}

/** The characters of `text` from `start` to `end`, as citations count them. */
export function slice(text: string, start?: number, end?: number): string {
  return [...text].slice(start, end).join("");
}

/** The words of the source that a citation quotes; the whole passage where it names no place in
 *  it, and nothing where it is of no source. */
export function quoted(citation: Citation, sources: Source[]): string | undefined {
  const source = sources.find(({ n }) => n === citation.n);
  return source && slice(source.text, citation.source_start, citation.source_end);
}

/** Server-sent events of a response; each ends with an empty line. */
async function* read(
  response: Response,
): AsyncGenerator<{ event: string; data: unknown }, void, undefined> {
  if (!response.body) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let buffer = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      buffer += decoder.decode(value, { stream: true });
      const frames = buffer.split(/\r?\n\r?\n/);
      buffer = frames.pop() ?? "";
      for (const frame of frames) {
        let event = "message";
        const data = [];
        for (const line of frame.split(/\r?\n/)) {
          const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
          if (field === "event" && value) event = value;
          if (field === "data") data.push(value);
        }
        if (data.length) yield { event, data: JSON.parse(data.join("\n")) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** The error that a body tells of. */
function failure(body: any, response?: Response): CairnError {
  const error = body?.error ?? {
    code: "unexpected_response",
    message: `the service answered with status ${response?.status}, and not as Cairn does`,
  };
  const retryAfter = seconds(response?.headers.get("retry-after") ?? undefined);
  return new CairnError(String(error.code), String(error.message), {
    status: response?.status,
    param: error.param,
    retryable: error.retryable ?? retryAfter !== undefined,
    retryAfter,
    requestId: response?.headers.get("x-request-id") ?? undefined,
  });
}

function interrupted(cause: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  const message = "the connection ended before the answer did";
  return new CairnError("interrupted", message, { retryable: true, cause });
}

/** Seconds of a `Retry-After`, which is a number or a date. */
function seconds(retryAfter: string | undefined): number | undefined {
  if (!retryAfter) return undefined;
  const number = Number(retryAfter);
  const wait = Number.isNaN(number) ? (Date.parse(retryAfter) - Date.now()) / 1000 : number;
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

function sleep(seconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
