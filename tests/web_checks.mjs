// What physzoo.mjs makes of good and bad input to the exported ive-pendulum and the folder of tests/set_graphs.py, a line each;
// tests/test_web.py says what is expected.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import * as ort from "onnxruntime-web";

import { fromFiles, fromUrl, Model, ZooError } from "./physzoo.mjs";

ort.env.wasm.numThreads = 1;
const [folder, setFolder] = process.argv.slice(2);
const read = (file) => readFile(join(folder, file));
const model = await Model.open(ort, read);
const predict = model.endpoint("predict");

function good(rows = 2) {
  const time = { dims: [rows, 1], data: new Float32Array(rows).fill(1) };
  return { trajectory: { dims: [rows, 50], data: new Float32Array(50 * rows).fill(0.5) }, time };
}

function changed(change, rows) {
  const inputs = good(rows);
  change(inputs);
  return inputs;
}

function withValue(place, value) {
  return changed(({ trajectory }) => (trajectory.data[place] = value));
}

async function say(what, attempt) {
  try {
    const answer = await attempt();
    console.log(`${what}: ${answer}`);
  } catch (error) {
    console.log(`${what}: ${error instanceof ZooError ? error.name : `NOT OURS ${error.name}`} ${error.message}`);
  }
}

const run = (inputs, checks) => async () => `(${(await predict.run(inputs, checks)).displacement.dims.join(", ")})`;

await say("endpoint", () => model.endpoint("encod"));
await say("builtin", () => model.endpoint("constructor"));
await say("missing", run({ trajectory: good().trajectory }));
await say("none", run({}));
await say("nothing", run());
await say("extra", run({ ...good(), x: good().time }));
await say("shape", run(changed((inputs) => (inputs.trajectory = { dims: [2, 49], data: new Float32Array(98) }))));
await say("unbatched", run(changed((inputs) => (inputs.trajectory.dims = [50]))));
await say("scalar", run(changed((inputs) => (inputs.trajectory.dims = []))));
await say("negative", run(changed((inputs) => (inputs.trajectory.dims = [-2, 50]))));
await say("fraction", run(changed((inputs) => (inputs.trajectory.dims = [1.5, 50]))));
await say("values", run(changed((inputs) => (inputs.trajectory.data = new Float32Array(99)))));
await say("doubles", run(changed((inputs) => (inputs.trajectory.data = new Float64Array(100)))));
await say("array", run(changed((inputs) => (inputs.trajectory = [[1, 2]]))));
await say("batches", run({ ...good(), time: good(3).time }));
await say("nan", run(withValue(53, NaN)));
await say("infinity", run(withValue(7, Infinity)));
await say("nan let through", run(withValue(53, NaN), { finite: false }));
await say("range", run(withValue(99, 1.5)));
await say("range let through", run(withValue(99, 1.5), { range: false }));
await say("range, nan let through", run(changed(({ trajectory }) => trajectory.data.set([NaN, -1.5], 98)), { finite: false }));
await say("edge of the range", run(changed(({ trajectory }) => trajectory.data.set([-1, 1], 98))));
await say("empty", run(good(0)));
await say("ort.Tensor", run(changed((inputs) => (inputs.time = new ort.Tensor("float32", [1, 1], [2, 1])))));
await say("at once", async () => {
  const wave = (frequency) => Float32Array.from({ length: 100 }, (_, i) => Math.cos(frequency * i));
  const alone = (frequency) => changed(({ trajectory }) => (trajectory.data = wave(frequency)));
  const first = async (inputs) => (await predict.run(inputs)).displacement.data[0];
  const inputs = [0.1, 0.2, 0.3, 0.4].map(alone);
  const inTurns = [];
  for (const one of inputs) inTurns.push(await first(one));
  const atOnce = await Promise.all(inputs.map(first));
  if (new Set(inTurns).size !== 4) return "all the same";
  return atOnce.every((value, i) => value === inTurns[i]) ? "each its own answer" : "mixed up";
});
const sets = await Model.open(ort, (file) => readFile(join(setFolder, file)));
const told = ({ dims, data }) => `(${dims.join(", ")}) ${[...data].join(" ")}`.trim();

/** Particles of 1 GeV and their mask, which may be changed before the endpoint gets them. */
const pooled = (change, count = 3) => async () => {
  const particles = { dims: [1, count, 3], data: Float32Array.from(Array(count).fill([1, 0, 0.25]).flat()) };
  const inputs = { particles, mask: { dims: [1, count], data: new Uint8Array(count).fill(1) } };
  change?.(inputs);
  const { sums, count: real, soft } = await sets.endpoint("pool").run(inputs);
  return [sums, real, soft].map(told).join(", ");
};

/** Three nodes and two edges, of which one may be changed. */
const connected = (to, { first = 1, second = 0, charge = 1, edges, ...checks } = {}) => async () => {
  const { steps, charge: sum } = await sets.endpoint("connect").run({
    nodes: { dims: [1, 3, 2], data: Float64Array.of(first, second, 1 + 1e-12, 0, 0, 0) },
    edges: { dims: [1, 2, 2], data: edges ?? BigInt64Array.of(0n, 1n, 2n, BigInt(to)) },
    charges: { dims: [1, 3], data: Int32Array.of(charge, 0, -2) },
  }, checks);
  return [steps, sum].map(told).join(", ");
};

await say("page", async () => {
  const particles = { dims: [1, 2, 3], data: Float32Array.of(9, 0.1, 2, 0, 0, 0) }; // pt in GeV, eta, phi
  const mask = { dims: [1, 2], data: Uint8Array.of(1, 0) }; // the second is padding
  const { count } = await sets.endpoint("pool").run({ particles, mask }); // data a BigInt64Array
  return count.data[0];
});
await say("sets", pooled());
await say("padded", pooled(({ particles, mask }) => (particles.data.fill(0, 3, 6), mask.data.set([1, 0, 1]))));
await say("real out of range", pooled(({ particles }) => (particles.data[3] = 0)));
await say("unit of the element", pooled(({ particles }) => (particles.data[5] = -4)));
await say("NaN in padding", pooled(({ particles, mask }) => (particles.data[4] = NaN, (mask.data[1] = 0))));
await say("mask of 2", pooled(({ mask }) => (mask.data[1] = 2)));
await say("mask of float32", pooled(({ mask }) => (mask.data = new Float32Array(3))));
await say("too many", pooled(undefined, 9));
await say("too few", pooled(undefined, 0));
await say("lengths", pooled((inputs) => (inputs.mask = { dims: [1, 2], data: new Uint8Array(2) })));
await say("no sets", pooled(({ particles, mask }) => {
  Object.assign(particles, { dims: [0, 3, 3], data: new Float32Array(0) });
  Object.assign(mask, { dims: [0, 3], data: new Uint8Array(0) });
}));
await say("graph", connected(0));
await say("position too far", connected(3));
await say("position below zero", connected(-1));
await say("whole number out of range", connected(0, { charge: 5 }));
await say("fraction", connected(0, { second: 0.5 }));
await say("fraction, range let through", connected(0, { second: 0.5, range: false }));
await say("double out of range", connected(0, { first: 1e101 }));
await say("answer that guards", connected(0, { first: 1000 }));
await say("answer that guards, range let through", connected(0, { first: 1000, range: false }));
await say("answer that guards, nan let through", connected(0, { first: Infinity, finite: false }));
await say("double NaN", connected(0, { first: NaN }));
await say("edges of int32", connected(0, { edges: Int32Array.of(0, 1, 2, 0) }));
await say("unreachable", () => Model.open(ort, fromUrl("http://127.0.0.1:9/no")));
await say("no folder chosen", () => Model.open(ort, fromFiles([])));
await say("chosen", async () => {
  const blob = new Blob([await read("clients/model.json")]);
  blob.webkitRelativePath = "somewhere/clients/model.json";
  await Model.open(ort, fromFiles([blob]));
});
await say("old runtime", () => Model.open({ InferenceSession: { create: async () => ({ release() {} }) } }, read));
await say("released", async () => {
  await model.release();
  model.endpoint("encode");
});

/** Jets of three particles, of which the last two lie on either side of the axis in azimuth, as in tests/set_graphs.py. */
const tagged = (pt, spread, { rows = 1, real = 1, code = 22, ...checks } = {}) => async () => {
  const jet = [pt[0], 1, Math.PI, pt[1], 1, spread - Math.PI, pt[2], 1, Math.PI - spread];
  const constituents = { dims: [rows, 3, 3], data: Float32Array.from(Array(rows).fill(jet).flat()) };
  const mask = { dims: [rows, 3], data: new Uint8Array(3 * rows).fill(real) };
  const identity = { dims: [rows, 3], data: new Int32Array(3 * rows).fill(code) };
  const { multiplicity } = await sets.endpoint("tag").run({ constituents, identity, real: mask }, checks);
  return `(${multiplicity.dims.join(", ")})`;
};
await say("padding that is real", tagged([60, 40, 0], 0.1));
await say("padding that is real, range let through", tagged([60, 40, 0], 0.1, { range: false }));
await say("jet of another momentum", tagged([100, 50, 50], 0));
await say("jet in MeV", tagged([60e3, 20e3, 20e3], 0));
await say("jet in TeV", tagged([0.05, 0.025, 0.025], 0));
await say("jet of a larger radius", tagged([80, 10, 10], 0.75));
await say("jets of a smaller radius", tagged([80, 10, 10], 0.25, { rows: 30 }));
await say("codes of one sign", tagged([80, 10, 10], 0.6, { rows: 14, code: 211 }));
await say("few codes of one sign", tagged([80, 10, 10], 0.6, { rows: 13, code: -211 }));
await say("codes of one sign, range let through", tagged([80, 10, 10], 0.6, { rows: 14, code: 2212, range: false }));
await say("jets", tagged([80, 10, 10], 0.6, { rows: 29 }));
await say("jets that reach far enough", tagged([80, 10, 10], 0.31, { rows: 30 }));
await say("few jets that do not reach far", tagged([80, 10, 10], 0.25, { rows: 29 }));
await say("jets without particles", tagged([0, 0, 0], 0, { rows: 40, real: 0 }));
await say("no jets", tagged([0, 0, 0], 0, { rows: 0 }));
await say("jets, range let through", tagged([100, 50, 50], 0.75, { range: false }));
await say("jets, nan let through", tagged([NaN, 500, 500], 0.75, { finite: false }));
