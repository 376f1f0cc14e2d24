// The API key of a closed service: asked for when the service answers 401, kept
// for this tab alone, sent with every request.

import { byId } from "./dom.js";

const STORED = "cairn-key";

let asking = null;
let dismissed = false;

// Not a submit button: Enter would press the first of those.
byId("key-close").addEventListener("click", () => byId("key").close(""));

/** `fetch` with the key. On 401 a person is asked for one, and the request goes
 *  out again. What the page looks up by itself (`polling`) does not ask a person
 *  who closed the dialog before. */
export async function api(path, init = {}, polling = false) {
  const used = sessionStorage.getItem(STORED);
  const response = await fetch(path, withKey(init, used));
  if (response.status !== 401) return response;
  if (polling && dismissed) return response;
  let message = "";
  try {
    message = (await response.clone().json()).error.message;
  } catch {
    // Whoever answered is no service of ours; the dialog says enough.
  }
  // Another request may have brought a new key meanwhile.
  const now = sessionStorage.getItem(STORED);
  const key = now && now !== used ? now : await ask(used ? message : "");
  return key ? api(path, init, polling) : response;
}

function withKey(init, key) {
  if (!key) return init;
  return { ...init, headers: { ...init.headers, authorization: `Bearer ${key}` } };
}

/** The key that a person enters; nothing when the dialog was closed. Requests
 *  that fail at the same time share one dialog. */
function ask(problem) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("key");
    const field = byId("key-text");
    byId("key-problem").textContent = problem;
    field.value = "";
    dialog.addEventListener(
      "close",
      () => {
        asking = null;
        const key = dialog.returnValue === "use" ? field.value.trim() : "";
        field.value = "";
        dismissed = !key;
        if (key) sessionStorage.setItem(STORED, key);
        resolve(key);
      },
      { once: true },
    );
    dialog.returnValue = "";
    dialog.showModal();
    field.focus();
  });
  return asking;
}
