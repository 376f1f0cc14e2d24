// Adding documents: chosen from a dialog, or dropped on the page.

import { byId, count, el } from "./dom.js";
import { api } from "./key.js";
import { failure } from "./stream.js";

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

/** Sends `files`; those of the same names make way when `replace` is set. */
async function send(files, stored, replace = false) {
  if (!files.length) return;
  const toast = show(`Adding ${count(files.length, "file")}…`);
  const form = new FormData();
  const collection = byId("collection").value;
  if (collection) form.append("collection", collection);
  if (replace) form.append("replace", "true");
  for (const file of files) form.append("file", file, file.name);
  try {
    const response = await api("/documents", { method: "POST", body: form });
    if (!response.ok) throw await failure(response);
    const report = await response.json();
    const chunks = report.documents.reduce((sum, document) => sum + document.chunks, 0);
    const lines = [`Added ${count(report.documents.length, "document")}, ${count(chunks, "passage")}.`];
    for (const { uri, error } of report.failed) lines.push(`${uri}: ${error.message}`);
    finish(toast, lines, report.failed.length > 0);
    stored();
  } catch (error) {
    const reason = error instanceof TypeError ? "the service cannot be reached" : error.message;
    if (error.code === "document_exists") {
      const lines = ["Nothing was added: another document has the name of one of these files."];
      finish(toast, [...lines, reason], true, () => send(files, stored, true));
    } else {
      finish(toast, [`Nothing was added: ${reason}`], true);
    }
  }
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
  const buttons = replace ? [button("Replace", replace), " ", button("Cancel")] : [button("Close")];
  toast.replaceChildren(...lines.map((line) => el("p", {}, line)), ...buttons);
  if (!failed) setTimeout(() => toast.remove(), 6000);
}
