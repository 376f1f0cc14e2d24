// What the client makes of a service (the first argument), with its key (the second), and of one
// that is in trouble (the third). Printed as JSON; `ask.py` says the same.

import { Cairn, CairnError, InputNeeded, quoted, slice } from "./cairn.js";

declare const process: { argv: string[] };

const [url, key, troubled] = process.argv.slice(2) as [string, string, string];
const question = "Who holds the writer lock?";
const said: Record<string, unknown> = {};

async function failure(call: () => Promise<unknown>): Promise<unknown[]> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    const { code, status, param, retryable, retryAfter } = error;
    return [code, status ?? null, param ?? null, retryable, retryAfter ?? null];
  }
  return ["nothing failed"];
}

/** All that is sent of an answer, and then whatever breaks. */
async function text(cairn: Cairn): Promise<string> {
  let text = "";
  for await (const event of cairn.stream(question)) {
    if (event.event === "delta") text += event.data.text;
  }
  return text;
}

const cairn = new Cairn(url + "/", { key, retries: 0 });
const answer = await cairn.ask(question, { generate: false, top_k: 3 });
said["answer"] = answer.answer;
said["uris"] = [...new Set(answer.sources.map(({ uri }) => uri))].sort();
said["marks"] = answer.citations.map(({ start, end }) => slice(answer.answer, start, end));
said["quotes"] = answer.citations.map((citation) => quoted(citation, answer.sources));

let pieces = "";
const names: string[] = [];
for await (const event of cairn.stream(question, { generate: false, top_k: 3 })) {
  if (event.event === "delta") pieces += event.data.text;
  else if (event.event === "done") said["stream"] = [pieces, event.data.answer];
  if (!names.includes(event.event)) names.push(event.event);
}
said["events"] = names;

// The service works on one question at a time, and its model never ends by itself.
const patient = new Cairn(url, { key, retries: 30 });
const giveUp = new AbortController();
try {
  for await (const event of cairn.stream(question, { signal: giveUp.signal })) {
    if (event.event !== "delta") continue;
    said["full"] = await failure(() => cairn.ask(question, { generate: false }));
    giveUp.abort();
  }
} catch (error) {
  said["aborted"] = (error as Error).name;
}
said["patient"] = (await patient.ask(question, { generate: false })).refused;
// Leaving the loop does the same.
for await (const event of patient.stream(question)) if (event.event === "delta") break;
said["left"] = (await patient.ask(question, { generate: false })).refused;

said["key"] = await failure(() => new Cairn(url, { key: "wrong" }).ask(question));
said["collection"] = await failure(() => cairn.ask(question, { collection: "nowhere" }));
said["field"] = await failure(() => cairn.stream(question, { top_k: 0 }).next());
said["nobody"] = await failure(() => new Cairn("http://127.0.0.1:9").ask(question));

said["busy"] = (await new Cairn(troubled + "/busy").ask(question)).answer;
said["busy stream"] = await text(new Cairn(troubled + "/busy-stream"));
for (const name of ["full", "later", "spent", "proxy"]) {
  const cairn = new Cairn(`${troubled}/${name}`);
  said["troubled " + name] = await failure(() => cairn.ask(question));
}
for (const name of ["broken", "ended", "failed"]) {
  said["troubled " + name] = await failure(() => text(new Cairn(`${troubled}/${name}`)));
}
const waiting = new Cairn(troubled + "/waits");
try {
  await waiting.ask(question);
} catch (error) {
  if (!(error instanceof InputNeeded)) throw error;
  said["run"] = error.required.run_id;
  const events = [];
  for await (const { event } of waiting.decide("a run/1", ["call-1"])) events.push(event);
  said["allowed"] = events;
}

console.log(JSON.stringify(said));
