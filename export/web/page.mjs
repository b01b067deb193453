// The page: a folder is chosen, or named as ?folder=, its endpoints are shown and its test tensors run.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";

import { fail, input, offer, say } from "./chooser.mjs";
import { Model } from "./physzoo.mjs";

const endpoints = document.querySelector("#endpoints");
ort.env.wasm.numThreads = 1;

function element(tag, content, ...children) {
  const made = document.createElement(tag);
  made.textContent = content;
  made.append(...children);
  return made;
}

function row(kind, cells) {
  return element("tr", "", ...cells.map((content) => element(kind, content)));
}

function range({ low, high }) {
  if (low === undefined && high === undefined) return "any";
  const rounded = (bound) => Number(bound.toPrecision(4));
  return `${rounded(Math.min(...[low ?? -Infinity].flat()))} to ${rounded(Math.max(...[high ?? Infinity].flat()))}`;
}

function shape({ axes, dtype, mask }) {
  const lengths = axes.map(({ name, size, least, most }) => size ?? `${name} ${least}–${most}`);
  const kind = [dtype === "float32" ? [] : dtype, mask ? `masked by ${mask}` : []].flat();
  return [["batch", ...lengths].join(" × "), ...kind].join(", ");
}

/** A section with a table of an endpoint's tensors; adds the cells where results go to `results`. */
function section(spec, results) {
  const body = element("tbody", "");
  for (const tensor of spec.inputs)
    body.append(row("td", ["in", tensor.name, shape(tensor), tensor.unit, range(tensor), ""]));
  for (const tensor of spec.outputs) {
    body.append(row("td", ["out", tensor.name, shape(tensor), tensor.unit, "", "…"]));
    results.set(`${spec.name} ${tensor.name}`, body.lastChild.lastChild);
  }
  const head = element("thead", "", row("th", ["", "Tensor", "Shape", "Unit", "Trained range", "Largest |difference|"]));
  return element("section", "", element("h2", spec.name), element("table", "", head, body));
}

async function show(read) {
  input.disabled = true;
  endpoints.replaceChildren();
  say("Opening the graphs …");
  let model;
  try {
    model = await Model.open(ort, read);
    const results = new Map();
    endpoints.append(...model.spec.endpoints.map((spec) => section(spec, results)));
    const name = `${model.spec.name}@${model.spec.revision}, onnxruntime-web ${ort.env.versions.web}`;
    say(`${name}: running the test tensors …`);
    const lines = await model.check();
    for (const { endpoint, output, rows, whole, single, ok } of lines) {
      const cell = results.get(`${endpoint} ${output}`);
      const differences = `${whole.toExponential(1)} in one batch of ${rows}, ${single.toExponential(1)} row by row`;
      cell.textContent = `${differences}: ${ok ? "ok" : "OUTSIDE THE TOLERANCE"}`;
      cell.className = ok ? "" : "bad";
    }
    const good = lines.filter(({ ok }) => ok).length;
    say(`${name}: ${good} of ${lines.length} outputs as on the day of release`, good < lines.length);
  } catch (error) {
    fail(error);
  } finally {
    await model?.release();
    input.disabled = false;
  }
}

await offer(show);
