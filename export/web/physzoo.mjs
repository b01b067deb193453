// Runs a model that `zoo export` wrote, in JavaScript and onnxruntime-web: tensors go in and out by name, and names, dtypes,
// shapes, values, masks and positions are checked.
//
//     const model = await Model.open(ort, fromUrl("ive-pendulum"));  // once; opens every graph
//     const { mean } = await model.endpoint("encode").run({ trajectory: { dims: [1, 50], data: x } });  // x a Float32Array
//
// It imports the two modules beside it; `ort` is onnxruntime-web, 1.22 or newer, as you have it.
// SPDX-License-Identifier: Apache-2.0

import { InputCheck, OutputCheck } from "./inputs.mjs";
import { DTYPES, InputError, IntegrityError, readBytes, readNpy, readSpec, SPEC, text, ZooError } from "./spec.mjs";

export { InputError, IntegrityError, ZooError };

/** Reader of an exported folder that lies below a URL. */
export function fromUrl(base) {
  return async (file) => {
    const response = await fetch(`${base.replace(/\/$/, "")}/${file}`);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return response.arrayBuffer();
  };
}

/** Reader of an exported folder that a person chose with `<input type="file" webkitdirectory>`. */
export function fromFiles(files) {
  const inside = new Map([...files].map((file) => [file.webkitRelativePath.replace(/^[^/]*\//, ""), file]));
  return async (file) => {
    if (!inside.has(file)) throw new Error("no such file");
    return inside.get(file).arrayBuffer();
  };
}

/** All endpoints of an exported folder. */
export class Model {
  /** `{ name, revision, endpoints }`; endpoints and their tensors are as in the file, each tensor with its tolerance. */
  spec;
  #read;
  #endpoints = new Map();

  /** Use `Model.open`. */
  constructor(spec, read) {
    this.spec = spec;
    this.#read = read;
  }

  /**
   * Throws IntegrityError where a file is missing, damaged or not this model's.
   * @param ort onnxruntime-web
   * @param read path inside the folder -> promise of its bytes; see `fromUrl`, `fromFiles`
   */
  static async open(ort, read) {
    const model = new Model(await readSpec(read), read);
    try {
      for (const spec of model.spec.endpoints) model.#endpoints.set(spec.name, await Endpoint.open(ort, read, spec));
    } catch (error) {
      await model.release();
      throw error;
    }
    return model;
  }

  /** Throws InputError where there is none of this name. */
  endpoint(name) {
    const found = this.#endpoints.get(name);
    if (found) return found;
    const known = [...this.#endpoints.keys()].sort().join(" ");
    throw new InputError(`${this.spec.name} has no endpoint ${name}, it has ${known || "none"}`);
  }

  /**
   * Runs every endpoint on the shipped test tensors, whole and row by row. Throws IntegrityError where these are damaged.
   * @returns `{ endpoint, output, rows, whole, single, ok }` for each output: largest |difference| in one batch and row by row,
   * infinite where it is not a number, and whether both are within the tolerance
   */
  async check() {
    const lines = [];
    const unchecked = { finite: false, range: false }; // the files are in question here, not the inputs
    for (const spec of this.spec.endpoints) {
      const endpoint = this.endpoint(spec.name);
      const inputs = await this.#tensors(spec, "in");
      const expected = await this.#tensors(spec, "out");
      const rows = spec.inputs.map((tensor) => inputs[tensor.name].dims[0])[0];
      const whole = await endpoint.run(inputs, unchecked);
      const single = [];
      for (let row = 0; row < rows; ++row) single.push(await endpoint.run(oneRow(inputs, row), unchecked));
      for (const tensor of spec.outputs) {
        const { name } = tensor;
        const [dims, found] = [whole[name].dims, expected[name].dims].map(text);
        if (dims !== found)
          throw new IntegrityError(
            `${npyFile(spec, "out", name)}: expected shape ${dims}, found ${found}: copy the exported folder again`,
          );
        const inBatch = compare(tensor, [whole[name].data], expected[name].data);
        const byRow = compare(tensor, single.map((answer) => answer[name].data), expected[name].data);
        const ok = inBatch.ok && byRow.ok;
        lines.push({ endpoint: spec.name, output: name, rows, whole: inBatch.largest, single: byRow.largest, ok });
      }
    }
    return lines;
  }

  /** Frees the memory of the graphs. */
  async release() {
    for (const endpoint of this.#endpoints.values()) await endpoint.release();
    this.#endpoints.clear();
  }

  async #tensors(spec, side) {
    const tensors = {};
    for (const tensor of side === "in" ? spec.inputs : spec.outputs)
      tensors[tensor.name] = await readNpy(this.#read, npyFile(spec, side, tensor.name), tensor);
    return tensors;
  }
}

/** Whole numbers and truth values must be the same, others within the tolerance. */
function compare({ dtype, tolerance }, pieces, expected) {
  const { absolute, relative } = dtype.startsWith("float") ? tolerance : { absolute: 0, relative: 0 };
  const [accepted, share] = [[absolute].flat(), [relative].flat()]; // one number, or one for each element of the last axis
  let largest = 0;
  let ok = true;
  let i = 0;
  for (const piece of pieces)
    for (const value of piece) {
      const difference = Math.abs(Number(value - expected[i]));
      if (!Number.isFinite(difference)) return { largest: Infinity, ok: false };
      const allowed = accepted[i % accepted.length] + share[i % share.length] * Math.abs(Number(expected[i]));
      if (difference > allowed) ok = false;
      largest = Math.max(largest, difference);
      ++i;
    }
  return { largest, ok: ok && i === expected.length };
}

/** One function of a model, over one graph. Made by `Model`. */
class Endpoint {
  /** `{ name, description, inputs, outputs }`; the axes of a tensor are without the batch. */
  spec;
  #ort;
  #session;
  #check;
  #guard;

  constructor(ort, session, spec) {
    this.#ort = ort;
    this.#session = session;
    this.spec = spec;
    this.#check = new InputCheck(spec);
    this.#guard = new OutputCheck(spec);
  }

  static async open(ort, read, spec) {
    const file = `${spec.name}.onnx`;
    const graph = await readBytes(read, file);
    let session;
    try {
      session = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
    } catch (error) {
      const reason = `onnxruntime-web cannot load this graph: ${error.message ?? error}`;
      throw new IntegrityError(`${file}: ${reason}`, { cause: error });
    }
    try {
      if (!session.inputMetadata) throw new ZooError("expected onnxruntime-web 1.22 or newer, which tells what a graph takes");
      expectSame(file, `the inputs ${described(spec.inputs)}`, `the inputs ${ofGraph(session.inputMetadata)}`);
      expectSame(file, `the outputs ${described(spec.outputs)}`, `the outputs ${ofGraph(session.outputMetadata)}`);
    } catch (error) {
      await session.release();
      throw error;
    }
    return new Endpoint(ort, session, spec);
  }

  /**
   * Throws InputError for what was handed over, ZooError where onnxruntime-web fails.
   * @param inputs name -> `{ dims, data }`, the first of dims the batch, data in C order: a Float32Array, or for the dtypes
   * float64, int32, int64 and bool a Float64Array, Int32Array, BigInt64Array or a Uint8Array of 0 and 1; an `ort.Tensor` is one
   * @param checks `finite`: refuse NaN and infinity; `range`: refuse values and answers outside the trained range
   * @returns promise of the outputs, in the same form
   */
  async run(inputs, { finite = true, range = true } = {}) {
    const lengths = this.#check.lengths(inputs, finite, range);
    const outputs = {};
    if (lengths.get("batch") === 0) {
      // some operators refuse an empty batch
      for (const { name, dtype, axes } of this.spec.outputs)
        outputs[name] = { dims: [0, ...axes.map((axis) => lengths.get(axis.name))], data: new DTYPES[dtype].array(0) };
      return outputs;
    }
    const feeds = {};
    for (const { name, dtype } of this.spec.inputs)
      feeds[name] = new this.#ort.Tensor(dtype, inputs[name].data, [...inputs[name].dims]);
    let answers;
    try {
      answers = await this.#session.run(feeds);
    } catch (error) {
      throw new ZooError(`endpoint ${this.spec.name}: ${error.message ?? error}`, { cause: error });
    }
    for (const { name } of this.spec.outputs) outputs[name] = { dims: [...answers[name].dims], data: answers[name].data };
    if (range) this.#guard.refuse(outputs, finite);
    return outputs;
  }

  release() {
    return this.#session.release();
  }
}

/** Describes tensors in alphabetical order, such as `mask bool (batch, particle) x float32 (batch, particle, 4)`. */
function described(tensors) {
  const dimsOf = ({ axes }) => text(["batch", ...axes.map(({ name, size }) => size ?? name)]);
  const all = tensors.map((tensor) => `${tensor.name} ${tensor.dtype} ${dimsOf(tensor)}`);
  return all.sort().join(" ");
}

/** A free dimension is described by its name, and the first one is the batch whatever its name. */
function ofGraph(metadata) {
  const all = metadata.map(({ name, isTensor, type, shape }) => {
    if (!isTensor) return `${name} of another type`;
    const [batch, ...rest] = shape;
    return `${name} ${type} ${text([typeof batch === "string" ? "batch" : batch, ...rest])}`;
  });
  return all.sort().join(" ");
}

function expectSame(file, expected, found) {
  if (found !== expected)
    throw new IntegrityError(`${file}: expected ${expected} as in ${SPEC}, found ${found}: export the model again`);
}

function npyFile(spec, side, tensor) {
  return `clients/${spec.name}/${side}/${tensor}.npy`;
}

function oneRow(tensors, row) {
  const rows = {};
  for (const [name, { dims, data }] of Object.entries(tensors)) {
    const size = data.length / dims[0];
    rows[name] = { dims: [1, ...dims.slice(1)], data: data.slice(row * size, (row + 1) * size) };
  }
  return rows;
}
