// The page of maps: a slider for each parameter of a model that draws maps, and the map that they make of one and the same noise.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";

import { fail, input, offer, say } from "./chooser.mjs";
import { colors, draw, normals } from "./painting.mjs";
import { Model } from "./physzoo.mjs";

const form = document.querySelector("#parameters");
const canvas = document.querySelector("#map");
const legend = document.querySelector("#legend");
ort.env.wasm.numThreads = 1;

let model;
let seed = 1;
let painting = false;
let asked = false;

/** A labelled slider over the trained range of one parameter. */
function slider(name, low, high) {
  const label = document.createElement("label");
  const made = document.createElement("input");
  const value = document.createElement("output");
  Object.assign(made, { type: "range", name, min: low, max: high, step: (high - low) / 200, value: (low + high) / 2 });
  const tell = () => (value.textContent = Number(made.value).toFixed(3));
  made.addEventListener("input", tell);
  made.addEventListener("change", paint);
  tell();
  label.append(`${name} `, made, " ", value);
  return label;
}

/** Paint what the sliders say; what they say meanwhile is painted afterwards. */
async function paint() {
  asked = true;
  if (painting) return;
  painting = true;
  try {
    while (asked) {
      asked = false;
      const theta = [...form.querySelectorAll("input")].map((one) => Number(one.value));
      say("Painting …");
      const start = performance.now();
      const { pixels, least, most, side } = await draw(model, theta, normals(seed));
      Object.assign(canvas, { width: side, height: side, hidden: false });
      canvas.getContext("2d").putImageData(new ImageData(colors(pixels, least, most), side, side), 0, 0);
      const [map] = model.endpoint("sample").spec.outputs;
      legend.textContent =
        `density over its mean from ${least.toFixed(2)} (dark) to ${most.toFixed(1)} (bright), on a logarithmic scale; ` +
        `${side} by ${side} cells. ${map.name}: ${map.description}`;
      say(`${model.spec.name}@${model.spec.revision}: painted in ${((performance.now() - start) / 1000).toFixed(1)} s`);
    }
  } catch (error) {
    fail(error);
  } finally {
    painting = false;
  }
}

async function show(read) {
  input.disabled = true;
  form.replaceChildren();
  canvas.hidden = true;
  legend.textContent = "";
  say("Opening the graphs …");
  try {
    await model?.release();
    model = undefined;
    model = await Model.open(ort, read);
    const [, theta] = model.endpoint("sample").spec.inputs;
    theta.axes[0].labels.forEach((name, i) => form.append(slider(name, [theta.low].flat()[i], [theta.high].flat()[i])));
    const again = document.createElement("button");
    Object.assign(again, { type: "button", textContent: "Another universe" });
    again.addEventListener("click", () => (seed++, paint()));
    form.append(again);
    await paint();
  } catch (error) {
    fail(error);
  } finally {
    input.disabled = false;
  }
}

await offer(show);
