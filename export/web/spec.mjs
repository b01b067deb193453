// Reads what `clients/model.json` of an exported folder says of a model, and its test tensors. This is a part of physzoo.mjs.
// SPDX-License-Identifier: Apache-2.0

/** This is the base of all that is thrown here. */
export class ZooError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/**
 * This is thrown for an endpoint or a tensor of the wrong name, dtype, shape or range, with NaN or infinity in it, or with a
 * position too far.
 */
export class InputError extends ZooError {}

/** This is thrown for a file that is missing, damaged or not the one of this model. */
export class IntegrityError extends ZooError {}

export const SPEC = "clients/model.json";

/** Each dtype has the array that holds it, as onnxruntime-web has it, and its name in a .npy file. */
export const DTYPES = {
  float32: { array: Float32Array, npy: "<f4" },
  float64: { array: Float64Array, npy: "<f8" },
  int32: { array: Int32Array, npy: "<i4" },
  int64: { array: BigInt64Array, npy: "<i8" },
  bool: { array: Uint8Array, npy: "|b1" },
};

/** Describes the shape that is expected of a tensor, such as (batch, particle 1-128, 4). */
export function expectedShape({ axes }) {
  return text(["batch", ...axes.map(({ name, size, least, most }) => size ?? `${name} ${least}-${most}`)]);
}

export function text(dims) {
  return `(${dims.join(", ")})`;
}

/** Tells whether a tensor may have these dims, the first of them the batch. */
export function fits([batch, ...sizes], { axes }) {
  if (sizes.length !== axes.length || ![batch, ...sizes].every(Number.isInteger) || batch < 0) return false;
  return axes.every(({ size, least, most }, i) => (size ?? least) <= sizes[i] && sizes[i] <= (size ?? most));
}

export async function readBytes(read, file) {
  try {
    return new Uint8Array(await read(file)); // of a Buffer of Node a copy, whose numbers start where a typed array can
  } catch (error) {
    const expected = "expected a folder that zoo export of this physzoo wrote, export or copy it again";
    throw new IntegrityError(`${file}: cannot be read (${error.message}): ${expected}`, { cause: error });
  }
}

/** Gives the spec as it is in the file; its endpoints become a list, and a tensor has the tolerance that holds for it. */
export async function readSpec(read) {
  const content = new TextDecoder().decode(await readBytes(read, SPEC));
  try {
    const { format, name, revision, tolerance, endpoints } = JSON.parse(content);
    if (format !== 2) throw damaged(`format 2, found ${format}`, "export the model again with the physzoo of this module");
    expect(typeof name === "string" && typeof revision === "string", "name and revision of the model");
    const withTolerance = (tensor) => ({ ...tensor, tolerance: tensor.tolerance ?? tolerance });
    const all = Object.entries(endpoints).map(([endpoint, { description, inputs, outputs }]) => {
      expect(inputs.length && outputs.length, `inputs and outputs of ${endpoint}`);
      return { name: endpoint, description, inputs: inputs.map(withTolerance), outputs: outputs.map(withTolerance) };
    });
    expect(all.length, "an endpoint");
    all.forEach(checkEndpoint);
    return { name, revision, endpoints: all };
  } catch (error) {
    if (error instanceof ZooError) throw error;
    const reason = `not the whole spec of a model (${error.message}): copy the exported folder again`;
    throw new IntegrityError(`${SPEC}: ${reason}`, { cause: error });
  }
}

function damaged(expected, todo = "copy the exported folder again") {
  return new IntegrityError(`${SPEC}: expected ${expected}: ${todo}`);
}

function expect(fulfilled, expected) {
  if (!fulfilled) throw damaged(expected);
}

function checkEndpoint({ name, inputs, outputs }) {
  expect(/^[a-z0-9]+([-_.][a-z0-9]+)*$/.test(name), "a plain name"); // it becomes part of a path
  const known = new Map();
  for (const tensor of [...inputs, ...outputs]) {
    checkTensor(tensor);
    for (const axis of tensor.axes) {
      const { size, least, most } = known.get(axis.name) ?? axis;
      expect(size === axis.size && least === axis.least && most === axis.most, `one length of ${axis.name}`);
      expect(known.has(axis.name) || axis.size || inputs.includes(tensor), `an input with the axis ${axis.name}`);
      known.set(axis.name, axis);
    }
  }
  for (const tensor of [...inputs, ...outputs]) {
    if (tensor.mask === undefined) continue;
    const mask = inputs.find((input) => input.name === tensor.mask);
    const axesOf = ({ axes }, count) => text(axes.slice(0, count).map((axis) => axis.name));
    const masks = mask?.dtype === "bool" && axesOf(mask) === axesOf(tensor, mask.axes.length);
    expect(masks && (!tensor.jet || mask.axes.length === 1), `a bool input as the mask of ${tensor.name}`);
  }
  for (const { name: input, dtype, index_of: along } of inputs) {
    const whole = ["int32", "int64"].includes(dtype);
    expect(along === undefined || (known.has(along) && whole), `whole numbers along an axis as ${input}`);
  }
}

function checkTensor({ name, dtype, axes, unit, low, high, values, mask, whole, guards, jet, tolerance }) {
  expect(/^[a-zA-Z][a-zA-Z0-9_]*$/.test(name), "a plain name");
  expect(Object.hasOwn(DTYPES, dtype), `${Object.keys(DTYPES).join(", ")} as dtype`);
  expect(typeof unit === "string", `the unit of ${name}`);
  const length = (n) => Number.isInteger(n) && n > 0;
  for (const { name: axis, size, least, most, units } of axes) {
    expect(typeof axis === "string", `names of the axes of ${name}`);
    const sized = size === undefined ? length(least) && length(most) && least <= most : length(size);
    expect(sized, `whole numbers above zero as length of ${axis}`);
    expect(units === undefined || units.length === size, `a unit for each element of ${axis}`);
  }
  expect(axes.reduce((product, { size, most }) => product * (size ?? most), 1) <= 2 ** 31, `the shape of ${name}`);
  const numbers = (given) => [given].flat().every(Number.isFinite) && !(Array.isArray(given) && given.length !== axes.at(-1)?.size);
  for (const bound of [low, high]) expect(numbers(bound ?? []) || bound == null, `the range of ${name}`);
  const codes = values === undefined || (["int32", "int64"].includes(dtype) && values.length && values.every(Number.isInteger));
  expect(codes, `whole numbers as the values of ${name}`);
  const element = (k) => Number.isInteger(k) && k >= 0 && k < axes.at(-1)?.size;
  const counts = whole === undefined || (dtype.startsWith("float") && Array.isArray(whole) && whole.every(element));
  expect(counts, `elements of the last axis as the whole numbers of ${name}`);
  expect(!guards || (dtype.startsWith("float") && !mask), `numbers without a mask as what guards, ${name}`);
  if (jet) {
    const { radius, pt } = jet;
    const window = Array.isArray(pt) && pt.length === 2 && pt.every(Number.isFinite) && pt[0] < pt[1];
    expect(window && Number.isFinite(radius) && radius > 0, `radius and transverse momenta of the jets of ${name}`);
    expect(dtype === "float32" && mask && axes.length === 2 && axes[1].size >= 3, `particles with a mask as ${name}`);
  }
  expect(numbers(tolerance?.absolute) && numbers(tolerance?.relative), `the tolerance of ${name}`);
}

/** Reads a tensor from a .npy file as NumPy writes it: version 1.0, C order, little-endian. */
export async function readNpy(read, file, tensor) {
  const bytes = await readBytes(read, file);
  const wrong = (why) => new IntegrityError(`${file}: ${why}: copy the exported folder again`);
  const latin = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  if (bytes.length < 10 || latin(0, 8) !== "\x93NUMPY\x01\x00") throw wrong("expected a .npy file");
  const { array, npy } = DTYPES[tensor.dtype];
  const start = 10 + bytes[8] + 256 * bytes[9];
  const header = /^\{'descr': '(...)', 'fortran_order': False, 'shape': \(([0-9, ]*)\)/.exec(latin(10, start));
  if (header?.[1] !== npy) throw wrong(`expected ${tensor.dtype} in C order`);
  const dims = header[2].split(",").filter((word) => word.trim()).map(Number);
  const content = bytes.slice(start);
  const whole = content.length === dims.reduce((product, n) => product * n, array.BYTES_PER_ELEMENT);
  if (!fits(dims, tensor) || dims[0] === 0 || !whole)
    throw wrong(`expected rows of shape ${expectedShape(tensor)}, found ${text(dims)} in ${content.length} bytes`);
  return { dims, data: new array(content.buffer) };
}
