// Adding documents: chosen from a dialog, or dropped on the page.

import { byId, count, el, reason } from "./dom.js";
import { api } from "./key.js";
import { RequestFailed, failure } from "./stream.js";

/** Wires the button and the page. `stored()` is called after a commit. */
export function uploads(stored) {
  const input = byId("files");
  byId("add").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    send([...input.files], stored);
    input.value = "";
  });

  const zone = byId("dropzone");
  // Entering a child leaves the parent: what counts is how deep we are.
  let depth = 0;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    zone.hidden = false;
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    zone.hidden = depth === 0;
  });
  addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    zone.hidden = true;
    send([...event.dataTransfer.files], stored);
  });
}

/** What a file can be to blame for. The rest goes wrong with any other, too. */
const OF_A_FILE = ["document_exists", "invalid_request", "too_large", "unreadable_document", "unsupported_media"];

/** Milliseconds between two looks at a large upload. */
const LOOK_MS = 1000;

/** Sends `files`; those of the same names make way when `replace` is set. Together they are
 *  one commit. Where they cannot be stored together, each goes alone: so all but the wrong
 *  ones come in, and each of those is named with its reason. */
async function send(files, stored, replace = false) {
  if (!files.length) return;
  const toast = show(`Adding ${count(files.length, "file")}…`);
  const told = { documents: 0, chunks: 0, lines: [], taken: [], failed: false };
  try {
    await post(files, replace, told);
  } catch (error) {
    if (files.length === 1 || !OF_A_FILE.includes(error.code)) refuse(told, files, error);
    else await oneByOne(files, replace, told, toast);
  }
  const added = told.documents
    ? `Added ${count(told.documents, "document")}, ${count(told.chunks, "passage")}.`
    : "Nothing was added.";
  const again = told.taken.length ? () => send(told.taken, stored, true) : null;
  finish(toast, [added, ...told.lines], told.failed, again);
  if (told.documents) stored();
}

async function oneByOne(files, replace, told, toast) {
  for (const [at, file] of files.entries()) {
    toast.firstChild.textContent = `Adding file ${at + 1} of ${files.length}…`;
    try {
      await post([file], replace, told);
    } catch (error) {
      if (!OF_A_FILE.includes(error.code)) return refuse(told, files.slice(at), error);
      refuse(told, [file], error);
    }
  }
}

/** Sends one request, and adds to `told` what came of it. */
async function post(files, replace, told) {
  const form = new FormData();
  const collection = byId("collection").value;
  if (collection) form.append("collection", collection);
  if (replace) form.append("replace", "true");
  for (const file of files) form.append("file", file, file.name);
  const response = await api("/documents", { method: "POST", body: form });
  if (!response.ok) throw await failure(response);
  const answer = await response.json();
  const { documents, failed } = response.status === 202 ? await outcome(answer.id) : answer;
  for (const { uri, chunks, warnings } of documents) {
    told.documents += 1;
    told.chunks += chunks;
    for (const warning of warnings ?? []) told.lines.push(`${uri}: ${warning}`);
  }
  for (const { uri, error } of failed) told.lines.push(`${uri}: ${error.message}`);
  told.failed ||= failed.length > 0;
}

/** What became of a large upload, which the service stores in its own time. */
async function outcome(id) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const response = await api(`/jobs/${encodeURIComponent(id)}`);
    if (!response.ok) throw await failure(response);
    const { state, result, failures } = await response.json();
    if (state === "done") {
      const failed = result.failed.map(({ uri, error }) => ({ uri, error: { message: error } }));
      return { documents: result.documents, failed };
    }
    if (state === "cancelled") throw new RequestFailed("Its job was cancelled.", false);
    if (state === "failed") throw new RequestFailed(failures.at(-1)?.chain.join(": "), false);
  }
}

/** Notes that `files` were not stored, and why. */
function refuse(told, files, error) {
  const taken = error.code === "document_exists";
  const why = taken ? "a document of this name is there, with another text. Replace it, or add the file under another name." : reason(error);
  const who = files.length === 1 ? files[0].name : `${files[0].name} and ${count(files.length - 1, "more file")}`;
  told.lines.push(`${who}: ${why}`);
  if (taken) told.taken.push(...files);
  told.failed = true;
}

function show(text) {
  const toast = el("div", { class: "toast" }, el("p", {}, text));
  byId("toasts").append(toast);
  return toast;
}

/** Shows how it ended; `replace`, if there is one, does it all the same. */
function finish(toast, lines, failed, replace) {
  toast.classList.toggle("error", failed);
  const button = (label, onclick) =>
    el("button", { type: "button", class: "quiet", onclick: () => { toast.remove(); onclick?.(); } }, label);
  const buttons = replace ? [button("Replace", replace), " ", button("Keep what is there")] : [button("Close")];
  toast.replaceChildren(...lines.map((line) => el("p", {}, line)), ...buttons);
  if (!failed) setTimeout(() => toast.remove(), 6000);
}
