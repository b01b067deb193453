// A model that `zoo export` wrote, in JavaScript and onnxruntime-web: named tensors in and out, names, shapes, NaN and ranges
// checked.
//
//     const model = await Model.open(ort, fromUrl("ive-pendulum"));  // once; opens every graph
//     const { mean } = await model.endpoint("encode").run({ trajectory: { dims: [1, 50], data: x } });  // x a Float32Array
//
// Imports nothing: `ort` is onnxruntime-web, 1.22 or newer, as you have it. SPDX-License-Identifier: Apache-2.0

/** Base of all that is thrown here. */
export class ZooError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An endpoint or a tensor of the wrong name, shape or range, or with NaN or infinity in it. */
export class InputError extends ZooError {}

/** A file that is missing, damaged or not the one of this model. */
export class IntegrityError extends ZooError {}

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

const SPEC = "cpp/model.txt";

/** All endpoints of an exported folder. */
export class Model {
  /** `{ name, revision, absolute, relative, endpoints }`; a tensor has its own tolerance. */
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
    const model = new Model(parseSpec(new TextDecoder().decode(await readBytes(read, SPEC))), read);
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
    throw new InputError(`${this.spec.name} has no endpoint ${name}, it has ${[...this.#endpoints.keys()].sort().join(" ") || "none"}`);
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
        if (expected[name].dims[0] !== rows)
          throw new IntegrityError(`${npyFile(spec, "out", name)}: expected ${rows} rows: copy the folder again`);
        const differences = [
          this.#compare(tensor, [whole[name].data], expected[name].data),
          this.#compare(tensor, single.map((answer) => answer[name].data), expected[name].data),
        ];
        const [inBatch, byRow] = differences.map(({ largest }) => largest);
        const ok = differences.every((difference) => difference.ok);
        lines.push({ endpoint: spec.name, output: name, rows, whole: inBatch, single: byRow, ok });
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
    for (const tensor of side === "in" ? spec.inputs : spec.outputs) {
      const file = npyFile(spec, side, tensor.name);
      tensors[tensor.name] = parseNpy(await readBytes(this.#read, file), tensor, file);
    }
    return tensors;
  }

  #compare(tensor, pieces, expected) {
    let largest = 0;
    let ok = true;
    let i = 0;
    for (const piece of pieces)
      for (const value of piece) {
        const difference = Math.abs(value - expected[i]);
        if (!Number.isFinite(difference)) return { largest: Infinity, ok: false };
        if (difference > tensor.absolute + tensor.relative * Math.abs(expected[i])) ok = false;
        largest = Math.max(largest, difference);
        ++i;
      }
    return { largest, ok: ok && i === expected.length };
  }
}

/** One function of a model, over one graph. Made by `Model`. */
class Endpoint {
  /** `{ name, inputs, outputs }`, each tensor `{ name, shape, unit, low, high, size, absolute, relative }`, `shape` without the batch. */
  spec;
  #ort;
  #session;

  constructor(ort, session, spec) {
    this.#ort = ort;
    this.#session = session;
    this.spec = spec;
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
   * @param inputs name -> `{ dims, data }`, the first of dims the batch, data a Float32Array in C order; an `ort.Tensor` is one
   * @param checks `finite`: refuse NaN and infinity; `range`: refuse values outside the trained range
   * @returns promise of the outputs, in the same form
   */
  async run(inputs, { finite = true, range = true } = {}) {
    const rows = this.#check(inputs, finite, range);
    const outputs = {};
    if (rows === 0) {
      // some operators refuse an empty batch
      for (const { name, shape } of this.spec.outputs) outputs[name] = { dims: [0, ...shape], data: new Float32Array(0) };
      return outputs;
    }
    const feeds = {};
    for (const { name } of this.spec.inputs)
      feeds[name] = new this.#ort.Tensor("float32", inputs[name].data, [...inputs[name].dims]);
    let answers;
    try {
      answers = await this.#session.run(feeds);
    } catch (error) {
      throw new ZooError(`endpoint ${this.spec.name}: ${error.message ?? error}`, { cause: error });
    }
    for (const { name } of this.spec.outputs) outputs[name] = { dims: [...answers[name].dims], data: answers[name].data };
    return outputs;
  }

  release() {
    return this.#session.release();
  }

  #check(inputs, finite, range) {
    const expected = this.spec.inputs.map(({ name }) => name).sort();
    const given = Object.keys(inputs ?? {}).sort();
    if (expected.join(" ") !== given.join(" "))
      throw new InputError(
        `endpoint ${this.spec.name}: expected the inputs ${expected.join(" ")}, given ${given.join(" ") || "none"}`,
      );
    let rows = -1;
    for (const tensor of this.spec.inputs) {
      const dims = [...(inputs[tensor.name]?.dims ?? [])];
      const data = inputs[tensor.name]?.data;
      if (!(data instanceof Float32Array))
        throw new InputError(`input ${tensor.name}: expected { dims, data } with a Float32Array as data`);
      const batch = dims[0];
      if (!Number.isInteger(batch) || batch < 0 || text(dims) !== text([batch, ...tensor.shape]))
        throw new InputError(`input ${tensor.name}: expected shape ${text(["batch", ...tensor.shape])}, given ${text(dims)}`);
      if (data.length !== batch * tensor.size)
        throw new InputError(
          `input ${tensor.name}: expected as many values as shape ${text(dims)} has, given ${data.length}`,
        );
      if (rows >= 0 && batch !== rows)
        throw new InputError(
          `inputs must have the same number of rows, given ${batch} of ${tensor.name} and ${rows} of ${this.spec.inputs[0].name}`,
        );
      rows = batch;
      refuse(tensor, dims, data, finite, range);
    }
    return rows;
  }
}

function refuse(tensor, dims, data, finite, range) {
  const last = tensor.low.length;
  const infinite = { count: 0, first: 0 };
  const outside = { count: 0, first: 0 };
  for (let i = 0; i < data.length; ++i) {
    const value = data[i];
    let fault;
    if (!Number.isFinite(value)) fault = infinite;
    else if (value < tensor.low[i % last] || value > tensor.high[i % last]) fault = outside;
    else continue;
    if (fault.count++ === 0) fault.first = i;
  }
  if (infinite.count && finite)
    throw new InputError(
      `input ${tensor.name}: ${infinite.count} values are NaN or infinite, the first at ${place(dims, infinite.first)};` +
        " { finite: false } lets them through",
    );
  if (outside.count && range) {
    const i = outside.first;
    const [low, high, given] = [tensor.low[i % last], tensor.high[i % last], data[i]].map((x) => Number(x.toPrecision(6)));
    throw new InputError(
      `input ${tensor.name}: ${outside.count} values lie outside the trained range, the first at ${place(dims, i)}:` +
        ` expected ${low} to ${high} ${tensor.unit}, given ${given}; check the units, or extrapolate with { range: false }`,
    );
  }
}

function place(dims, flat) {
  const at = [...dims];
  for (let axis = dims.length; axis-- > 0; ) {
    at[axis] = flat % dims[axis];
    flat = Math.floor(flat / dims[axis]);
  }
  return text(at);
}

function text(dims) {
  return `(${dims.join(", ")})`;
}

function described(tensors) {
  const shapes = tensors.map(({ name, shape }) => `${name} ${text(["batch", ...shape])}`);
  return shapes.sort().join(" ");
}

function ofGraph(metadata) {
  const shapes = metadata.map(({ name, isTensor, type, shape }) => {
    if (!isTensor || type !== "float32") return `${name} of another type`;
    const [batch, ...rest] = shape; // a free dimension is its name
    return `${name} ${text([typeof batch === "string" ? "batch" : batch, ...rest])}`;
  });
  return shapes.sort().join(" ");
}

function expectSame(file, expected, found) {
  if (found !== expected)
    throw new IntegrityError(`${file}: expected ${expected} as in ${SPEC}, found ${found}: export the model again`);
}

function npyFile(spec, side, tensor) {
  return `cpp/${spec.name}/${side}/${tensor}.npy`;
}

function oneRow(tensors, row) {
  const rows = {};
  for (const [name, { dims, data }] of Object.entries(tensors)) {
    const size = data.length / dims[0];
    rows[name] = { dims: [1, ...dims.slice(1)], data: data.slice(row * size, (row + 1) * size) };
  }
  return rows;
}

async function readBytes(read, file) {
  try {
    return new Uint8Array(await read(file)); // of a Buffer of Node a copy, whose numbers start where a Float32Array can
  } catch (error) {
    const reason = `cannot be read (${error.message}): expected a folder that zoo export wrote, copy it again`;
    throw new IntegrityError(`${file}: ${reason}`, { cause: error });
  }
}

/** The spec, a fact a line. */
function parseSpec(content) {
  const spec = { name: "", revision: "", absolute: 0, relative: 0, endpoints: [] };
  let number = 0;
  let endpoint;
  let tensor;
  const damaged = (expected) => new IntegrityError(`${SPEC}, line ${number}: expected ${expected}: export the model again`);
  const name = (word, letters) => {
    if (!letters.test(word ?? "")) throw damaged("a name"); // it becomes part of a path
    return word;
  };
  const numbers = (words) => words.map((word) => (Number.isFinite(Number(word)) ? Number(word) : fail("numbers")));
  const fail = (expected) => {
    throw damaged(expected);
  };
  const read = {
    model: ([model, revision]) => Object.assign(spec, { name: model ?? fail("a word"), revision: revision ?? fail("a word") }),
    tolerance: (words) => {
      [(tensor ?? spec).absolute, (tensor ?? spec).relative] = words.length === 2 ? numbers(words) : fail("two numbers");
    },
    endpoint: ([word]) => {
      endpoint = { name: name(word, /^[a-z0-9]+([-_.][a-z0-9]+)*$/), inputs: [], outputs: [] };
      spec.endpoints.push(endpoint);
    },
    input: (words) => open(words, endpoint?.inputs),
    output: (words) => open(words, endpoint?.outputs),
    unit: (words) => (tensor.unit = words.join(" ")),
    low: (words) => (tensor.low = Float32Array.from(numbers(words))),
    high: (words) => (tensor.high = Float32Array.from(numbers(words))),
  };
  const open = ([word, ...dims], tensors) => {
    if (!tensors) fail("an endpoint");
    const shape = numbers(dims);
    const size = shape.reduce((product, n) => product * n, 1);
    tensor = { name: name(word, /^[a-zA-Z][a-zA-Z0-9_]*$/), shape, unit: "", low: [], high: [], size, absolute: spec.absolute, relative: spec.relative };
    if (shape.some((n) => !Number.isInteger(n) || n < 1) || size > 2 ** 31) fail(`the shape of ${word}`);
    tensors.push(tensor);
  };
  const lines = content.split("\n");
  for (;;) {
    if (number === lines.length) fail("the line 'end'");
    const [key, ...words] = lines[number++].split(" ").filter(Boolean);
    if (number === 1) {
      if (key !== "physzoo" || words.join() !== "1") fail("'physzoo 1'");
      continue;
    }
    if (key === "end") break;
    if (!Object.hasOwn(read, key)) fail(number === lines.length ? "the line 'end'" : "a known word");
    if (!tensor && ["unit", "low", "high"].includes(key)) fail("a tensor");
    read[key](words);
  }
  if (!spec.endpoints.length) fail("an endpoint");
  for (const { name: of, inputs, outputs } of spec.endpoints) {
    if (!inputs.length || !outputs.length) fail(`inputs and outputs of ${of}`);
    for (const given of [...inputs, ...outputs]) {
      const last = given.shape.at(-1) ?? 1;
      for (const [side, limit] of [["low", -Infinity], ["high", Infinity]]) {
        if (given[side].length <= 1) given[side] = new Float32Array(last).fill(given[side][0] ?? limit);
        if (given[side].length !== last) fail(`the range of ${given.name}`);
      }
    }
  }
  return spec;
}

/** Rows of a tensor from a .npy file as NumPy writes it: version 1.0, float32, C order. */
function parseNpy(bytes, tensor, file) {
  const damaged = (why) => new IntegrityError(`${file}: ${why}: copy the folder again`);
  const latin = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  if (bytes.length < 10 || latin(0, 8) !== "\x93NUMPY\x01\x00") throw damaged("expected a .npy file");
  const start = 10 + bytes[8] + 256 * bytes[9];
  const header = /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(([0-9, ]*)\)/.exec(latin(10, start));
  if (!header) throw damaged("expected float32 in C order");
  const dims = header[1].split(",").filter((word) => word.trim()).map(Number);
  const content = bytes.slice(start);
  const rows = content.length / (4 * tensor.size);
  if (rows < 1 || !Number.isInteger(rows) || text(dims) !== text([rows, ...tensor.shape])) {
    const expected = text(["batch", ...tensor.shape]);
    throw damaged(`expected rows of shape ${expected}, found ${text(dims)} in ${content.length} bytes`);
  }
  return { dims, data: new Float32Array(content.buffer) };
}
