// What pages share: the model folder that a person chooses, or that the address names as ?folder=, and the line that says how it is.

import { fromFiles, fromUrl, ZooError } from "./physzoo.mjs";

export const input = document.querySelector("#folder");
const status = document.querySelector("#status");

export function say(message, bad = false) {
  status.textContent = message;
  status.className = bad ? "bad" : "";
}

export function fail(error) {
  say(error instanceof ZooError ? error.message : String(error), true);
  if (!(error instanceof ZooError)) console.error(error);
}

/** Calls `show` with the reader of the folder that the address names, and of each that is chosen. */
export async function offer(show) {
  input.addEventListener("change", () => input.files.length && show(fromFiles(input.files)));
  const folder = new URLSearchParams(location.search).get("folder");
  if (folder) await show(fromUrl(folder));
  else {
    input.disabled = false;
    say("");
  }
}
