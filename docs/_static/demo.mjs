// The demonstration on the page of a model: its graphs run here, in the reader's browser, as they are deployed.
//
// Sliders move the inputs that have few numbers, a row of the test tensors or a file of the reader's stands for one that has many.
// An input of a single number beside others is swept over its range, and the noise of draws is drawn here.

import * as ort from "./ort/ort.wasm.bundle.min.mjs";
import { fromUrl, Model, ZooError } from "./physzoo/physzoo.mjs";
import { readNpy } from "./physzoo/spec.mjs";

import { bars, curve, field, particles, picture, scatter } from "./drawings.mjs";

const PREFERRED = ["decode", "sample", "predict"];
const FEW = 16; // numbers that get a slider each
const SWEPT = 121;
const DRAWS = 3000; // but one of a field, whose noise has free axes
ort.env.wasm.numThreads = 1;

const size = ({ axes }) => axes.reduce((product, axis) => product * (axis.size ?? NaN), 1);
const isField = ({ axes }) => axes.length > 1 && axes[0].size == null && axes[1].size == null;
const bound = (tensor, side, i) => (Array.isArray(tensor[side]) ? tensor[side][i % tensor[side].length] : tensor[side]);
const labels = ({ name, axes }) => axes.at(-1)?.labels ?? Array.from({ length: axes.at(-1)?.size ?? 1 }, (_, i) => (size({ axes }) > 1 ? `${name} ${i}` : name));
const unitOf = (tensor, i) => tensor.axes.at(-1)?.units?.[i] ?? tensor.unit;
const withUnit = (name, unit) => (unit === "1" ? name : `${name} [${unit}]`);
const rounded = (value) => String(Number(value.toPrecision(4)));

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

/** A standard normal number, by Box and Muller. */
function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

/** How each input of an endpoint is chosen: as noise, by sweeping it, with sliders, or as a row. */
function kinds({ name, inputs }) {
  const drawn = name === "sample";
  return inputs.map((tensor, place) => {
    const n = size(tensor);
    if (drawn && place === 0) return "noise";
    const ranged = tensor.low !== undefined && tensor.high !== undefined;
    if (n === 1 && ranged && inputs.length > 1 && !drawn) return "swept";
    return n <= FEW && ranged ? "sliders" : "row";
  });
}

class Demonstration {
  constructor(place, model, endpoint, rows) {
    Object.assign(this, { place, model, endpoint, rows, row: 0 });
    this.kinds = kinds(endpoint);
    this.values = endpoint.inputs.map((_, i) => this.#ofRow(i));
    this.controls = element("div", { className: "demo-controls" });
    this.shown = element("div", { className: "demo-shown" });
    this.said = element("p", { className: "demo-said" });
    place.append(element("div", { className: "demo-panels" }, this.controls, this.shown), this.said);
    this.#control();
  }

  #ofRow(i) {
    const { data, dims } = this.rows[i];
    const width = data.length / dims[0];
    return data.slice(this.row * width, (this.row + 1) * width);
  }

  #control() {
    this.controls.replaceChildren();
    const count = this.rows[0].dims[0];
    const choice = element("input", { type: "range", min: 0, max: count - 1, step: 1, value: this.row });
    choice.addEventListener("input", () => {
      this.row = Number(choice.value);
      this.values = this.endpoint.inputs.map((_, i) => this.#ofRow(i));
      this.#control();
      this.run();
    });
    if (this.kinds.some((kind) => kind === "row" || kind === "sliders"))
      this.controls.append(element("label", {}, `row ${this.row} of ${count} that ship`, choice));
    this.endpoint.inputs.forEach((tensor, i) => {
      if (this.kinds[i] === "sliders") this.#sliders(tensor, i);
      if (this.kinds[i] === "row" && size(tensor)) this.#file(tensor, i); // rows of free length are those that ship
    });
    if (this.kinds.includes("noise")) {
      const again = element("button", { type: "button", textContent: "draw again" });
      again.addEventListener("click", () => this.run());
      this.controls.append(again);
    }
  }

  #sliders(tensor, i) {
    labels(tensor).forEach((label, k) => {
      const [low, high] = [bound(tensor, "low", k), bound(tensor, "high", k)];
      const value = element("output", { textContent: rounded(this.values[i][k]) });
      const slider = element("input", { type: "range", min: low, max: high, step: (high - low) / 200, value: this.values[i][k] });
      slider.dataset.of = label;
      slider.addEventListener("input", () => {
        this.values[i][k] = Number(slider.value);
        value.textContent = rounded(this.values[i][k]);
        this.run();
      });
      this.controls.append(element("label", {}, `${withUnit(label, unitOf(tensor, k))} `, value, slider));
    });
  }

  #file(tensor, i) {
    const width = size(tensor);
    const file = element("input", { type: "file", accept: ".txt,.csv,.dat" });
    file.addEventListener("change", async () => {
      const numbers = (await file.files[0].text()).split(/[\s,;]+/).filter(Boolean).map(Number);
      if (numbers.length !== width) return this.#say(`expected ${width} numbers as ${tensor.name}, given ${numbers.length}`, true);
      this.values[i] = Float32Array.from(numbers);
      return this.run();
    });
    const words = `${withUnit(tensor.name, tensor.unit)} of your own: a text file of ${width} numbers`;
    this.controls.append(element("label", {}, words, file));
  }

  #say(text, bad = false) {
    this.said.textContent = text;
    this.said.classList.toggle("bad", bad);
  }

  /** One batch of all that is asked at once. */
  #batch() {
    const swept = this.kinds.indexOf("swept");
    const noise = this.kinds.indexOf("noise");
    const n = noise >= 0 ? (isField(this.endpoint.inputs[noise]) ? 1 : DRAWS) : swept < 0 ? 1 : SWEPT;
    const inputs = {};
    this.endpoint.inputs.forEach((tensor, i) => {
      const width = this.values[i].length;
      const data = new this.values[i].constructor(n * width);
      for (let row = 0; row < n; ++row)
        for (let k = 0; k < width; ++k) {
          const [low, high] = [bound(tensor, "low", 0), bound(tensor, "high", 0)];
          if (this.kinds[i] === "noise") data[row * width + k] = normal();
          else if (this.kinds[i] === "swept") data[row * width + k] = low + ((high - low) * row) / (n - 1);
          else data[row * width + k] = this.values[i][k];
        }
      inputs[tensor.name] = { dims: [n, ...this.rows[i].dims.slice(1)], data };
    });
    return inputs;
  }

  /** Asks the model; while it answers, the last change waits. */
  async run() {
    if (this.busy) {
      this.waiting = true;
      return;
    }
    this.busy = true;
    try {
      const inputs = this.#batch();
      const began = performance.now();
      const answer = await this.model.endpoint(this.endpoint.name).run(inputs, { range: false });
      const took = performance.now() - began;
      this.#draw(inputs, answer);
      this.#say(`${Object.values(inputs)[0].dims[0]} rows in ${took.toFixed(1)} ms, in this browser`);
    } catch (error) {
      this.#say(error.message, true);
      if (!(error instanceof ZooError)) console.error(error);
    }
    this.busy = false;
    if (this.waiting) {
      this.waiting = false;
      await this.run();
    }
  }

  #draw(inputs, answer) {
    const [first, second] = this.endpoint.outputs;
    const values = Array.from(answer[first.name].data, Number);
    const swept = this.kinds.indexOf("swept");
    const shape = first.axes.map((axis) => axis.size);
    let drawn;
    if (isField(first)) drawn = field(values, answer[first.name].dims.slice(1));
    else if (this.kinds.includes("noise")) drawn = scatter(values, labels(first).map((label, k) => withUnit(label, unitOf(first, k))));
    else if (swept >= 0) {
      const tensor = this.endpoint.inputs[swept];
      const spread = second?.name === "scale" ? answer.scale.data : undefined;
      drawn = curve(inputs[tensor.name].data, values, withUnit(tensor.name, tensor.unit), withUnit(first.name, first.unit), { spread });
    } else if (shape.length === 3 && [1, 3].includes(shape[2])) drawn = picture(values, shape);
    else if (shape.length === 1 && shape[0] > FEW) {
      const { coordinates, groups } = first.axes[0];
      const x = coordinates?.values ?? Array.from(values, (_, i) => i);
      drawn = curve(x, values, withUnit(coordinates?.name ?? first.axes[0].name, coordinates?.unit ?? "1"), withUnit(first.name, first.unit), { groups });
    } else {
      const low = bound(first, "low", 0);
      const high = bound(first, "high", 0);
      drawn = bars(values, labels(first), withUnit(first.name, first.unit), low === 0 && high === 1 ? [0, 1] : undefined);
    }
    const jet = this.endpoint.inputs.findIndex((tensor) => tensor.jet);
    this.shown.replaceChildren(...(jet < 0 ? [] : [this.#jet(jet)]), drawn);
  }

  /** The particles that are asked about. */
  #jet(i) {
    const tensor = this.endpoint.inputs[i];
    const mask = this.endpoint.inputs.findIndex(({ name }) => name === tensor.mask);
    const names = labels(tensor).map((label, k) => withUnit(label, unitOf(tensor, k)));
    return particles(this.values[i], this.values[mask], names);
  }
}

async function demonstrate(place) {
  const said = element("p", { className: "demo-status", textContent: "Opening the graphs …" });
  place.append(said);
  const read = fromUrl(new URL(`./demos/${place.dataset.model}`, import.meta.url).href);
  try {
    const model = await Model.open(ort, read);
    const lines = await model.check();
    const right = lines.filter(({ ok }) => ok).length;
    said.textContent = `${right} of ${lines.length} outputs as on the day of release, checked here on the rows that ship`;
    said.classList.toggle("bad", right < lines.length);
    const name = PREFERRED.find((one) => model.spec.endpoints.some((endpoint) => endpoint.name === one));
    const endpoint = model.spec.endpoints.find((one) => one.name === (name ?? model.spec.endpoints[0].name));
    const rows = await Promise.all(endpoint.inputs.map((tensor) => readNpy(read, `clients/${endpoint.name}/in/${tensor.name}.npy`, tensor)));
    await new Demonstration(place, model, endpoint, rows).run();
    place.dataset.ready = "true";
  } catch (error) {
    said.textContent = `This demonstration cannot run here: ${error.message}`;
    said.classList.add("bad");
  }
}

for (const place of document.querySelectorAll(".physzoo-demo")) demonstrate(place);
