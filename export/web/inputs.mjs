// Checks what is handed to an endpoint, and what it answers. This is a part of physzoo.mjs. SPDX-License-Identifier: Apache-2.0

import { arePdgCodes, refuseJets, refuseOneSign } from "./jets.mjs";
import { DTYPES, expectedShape, fits, InputError, text } from "./spec.mjs";

/** Checks the inputs of one endpoint. It is made once, since ranges are copied. */
export class InputCheck {
  #spec;
  #ranges;

  constructor(spec) {
    this.#spec = spec;
    this.#ranges = new Map(spec.inputs.map((tensor) => [tensor.name, rangeOf(tensor)]));
  }

  /** Gives the length of each axis, the batch included. Throws InputError. */
  lengths(inputs, finite, range) {
    const { name: endpoint, inputs: expected } = this.#spec;
    const names = expected.map(({ name }) => name).sort().join(" ");
    const given = Object.keys(inputs ?? {}).sort().join(" ");
    if (names !== given) throw new InputError(`endpoint ${endpoint}: expected the inputs ${names}, given ${given || "none"}`);
    const lengths = new Map();
    for (const tensor of expected) {
      const { dims } = checked(tensor, inputs[tensor.name]);
      const rows = inputs[expected[0].name].dims[0];
      if (dims[0] !== rows)
        throw new InputError(
          `inputs must have the same number of rows, given ${dims[0]} of ${tensor.name} and ${rows} of ${expected[0].name}`,
        );
      lengths.set("batch", rows);
      agree(tensor, dims, lengths, this.#spec);
    }
    for (const { axes } of this.#spec.outputs) for (const { name, size } of axes) if (size) lengths.set(name, size);
    for (const tensor of expected) this.#values(tensor, inputs, lengths, finite, range);
    return lengths;
  }

  #values(tensor, inputs, lengths, finite, range) {
    const { dims, data } = inputs[tensor.name];
    const mask = tensor.mask && inputs[tensor.mask].data;
    if (tensor.dtype === "bool") within(tensor, dims, data, 2, "0 and 1");
    else refuse(tensor, this.#ranges.get(tensor.name), [...dims], data, mask, finite, range);
    if (range && tensor.whole) refuseFractions(tensor, [...dims], data);
    if (tensor.jet) refuseJets(tensor, dims, data, mask, range);
    if (range && this.#ranges.get(tensor.name).codes) refuseOneSign(tensor, data, mask);
    if (tensor.index_of === undefined) return;
    const length = lengths.get(tensor.index_of);
    within(tensor, dims, data, length, `positions from 0 to ${length - 1} along the axis ${tensor.index_of}`);
  }
}

/** Checks the answers that guard: inputs that are each in its range may be together unlike any that was trained. */
export class OutputCheck {
  #guards;

  constructor({ outputs }) {
    const guards = outputs.filter(({ guards, low, high }) => guards && (low !== undefined || high !== undefined));
    this.#guards = guards.map((tensor) => [tensor, rangeOf(tensor)]);
  }

  /** Throws InputError. */
  refuse(outputs, finite) {
    for (const [tensor, { low, high, size }] of this.#guards) {
      const { dims, data } = outputs[tensor.name];
      const outside = (value, i) => !(value >= low[i % size] && value <= high[i % size]) && (finite || Number.isFinite(value));
      const i = data.findIndex(outside);
      if (i < 0) continue;
      const at = position(dims, i);
      const [lowest, highest, found] = [low[i % size], high[i % size], data[i]].map((x) => Number(x.toPrecision(6)));
      throw new InputError(
        `output ${tensor.name}: ${data.filter(outside).length} values lie outside the trained range, the first at ${text(at)}:` +
          ` expected ${lowest} to ${highest}${unitOf(tensor, at)}, found ${found}, since the inputs of row ${at[0]} are` +
          " together unlike any that was trained; give others, or extrapolate with { range: false }",
      );
    }
  }
}

function checked(tensor, given) {
  const dims = [...(given?.dims ?? [])];
  const { array } = DTYPES[tensor.dtype];
  if (!(given?.data instanceof array)) {
    const found = Object.keys(DTYPES).find((dtype) => given?.data instanceof DTYPES[dtype].array);
    throw new InputError(
      `input ${tensor.name}: expected { dims, data } with a ${array.name} as data, for dtype ${tensor.dtype}` +
        (found ? `, given ${found}` : ""),
    );
  }
  if (!fits(dims, tensor))
    throw new InputError(`input ${tensor.name}: expected shape ${expectedShape(tensor)}, given ${text(dims)}`);
  if (given.data.length !== dims.reduce((product, n) => product * n, 1))
    throw new InputError(
      `input ${tensor.name}: expected as many values as shape ${text(dims)} has, given ${given.data.length}`,
    );
  return { dims };
}

function agree(tensor, dims, lengths, { inputs }) {
  tensor.axes.forEach(({ name }, i) => {
    const known = lengths.get(name) ?? dims[i + 1];
    if (dims[i + 1] !== known) {
      const first = inputs.find(({ axes }) => axes.some((axis) => axis.name === name));
      throw new InputError(
        `input ${tensor.name}: expected ${known} along the axis ${name}, as in input ${first.name}, given ${dims[i + 1]}`,
      );
    }
    lengths.set(name, known);
  });
}

/** Holds the trained range in the dtype of the tensor: one number, or one for each element of the last axis; or listed values. */
function rangeOf({ dtype, low, high, values }) {
  const round = dtype === "float32" ? Math.fround : Number; // once, as in Python
  const lows = [low ?? -Infinity].flat().map(round);
  const highs = [high ?? Infinity].flat().map(round);
  const size = Math.max(lows.length, highs.length);
  const spread = (bound) => (bound.length === size ? bound : Array(size).fill(bound[0]));
  const bounded = dtype.startsWith("float") || low !== undefined || high !== undefined || values !== undefined;
  const known = values && new Set(values);
  const codes = known !== undefined && arePdgCodes(known);
  return { low: Float64Array.from(spread(lows)), high: Float64Array.from(spread(highs)), size, bounded, known, codes };
}

/** This holds for padding too, where a graph would read past the end of an array. */
function within(tensor, dims, data, length, expected) {
  const wrong = data.findIndex((value) => value < 0 || value >= length);
  if (wrong < 0) return;
  throw new InputError(`input ${tensor.name}: expected ${expected}, given ${data[wrong]} at ${text(position(dims, wrong))}`);
}

function refuse(tensor, { low, high, size, bounded, known }, dims, data, mask, checkFinite, checkRange) {
  if (!bounded) return;
  const each = mask ? data.length / mask.length : 1; // elements of the tensor to one of its mask
  const real = (i) => !mask || mask[Math.floor(i / each)];
  const infinite = { count: 0, first: 0 };
  const outside = { count: 0, first: 0 };
  for (let i = 0; i < data.length; ++i) {
    const value = data[i];
    let fault;
    if (typeof value === "number" && !Number.isFinite(value)) fault = infinite;
    else if ((known ? !known.has(Number(value)) : value < low[i % size] || value > high[i % size]) && real(i)) fault = outside;
    else continue;
    if (fault.count++ === 0) fault.first = i;
  }
  if (infinite.count && checkFinite) {
    const padding = real(infinite.first) ? "" : "; fill the padding with zeros";
    throw new InputError(
      `input ${tensor.name}: ${infinite.count} values are NaN or infinite, the first at` +
        ` ${text(position(dims, infinite.first))}${padding}; { finite: false } lets them through`,
    );
  }
  if (outside.count && checkRange && known) {
    throw new InputError(
      `input ${tensor.name}: ${outside.count} values are none of those that are known, the first at` +
        ` ${text(position(dims, outside.first))}: expected one of ${[...known].sort((a, b) => a - b).join(", ")},` +
        ` given ${data[outside.first]}; check the codes, or answer as for something unknown with { range: false }`,
    );
  }
  if (outside.count && checkRange) {
    const i = outside.first;
    const at = position(dims, i);
    const [lowest, highest, given] = [low[i % size], high[i % size], data[i]].map((x) => Number(Number(x).toPrecision(6)));
    throw new InputError(
      `input ${tensor.name}: ${outside.count} values lie outside the trained range, the first at ${text(at)}:` +
        ` expected ${lowest} to ${highest}${unitOf(tensor, at)}, given ${given};` +
        " check the units, or extrapolate with { range: false }",
    );
  }
}

/** Refuses a fraction where the training had whole numbers: of a count, it has no probability. */
function refuseFractions({ name, whole }, dims, data) {
  const width = dims.at(-1);
  for (const element of whole) {
    const i = data.findIndex((value, at) => at % width === element && Number.isFinite(value) && !Number.isInteger(value));
    if (i < 0) continue;
    throw new InputError(
      `input ${name}: expected whole numbers, as in the simulations, given ${Number(data[i].toPrecision(6))} at` +
        ` ${text(position(dims, i))}: give the counts themselves, not a rate or what is left after a background is subtracted,` +
        " or let it through with { range: false }",
    );
  }
}

/** A blank and the unit of an element, or nothing where it has none. */
function unitOf({ axes, unit }, [, ...at]) {
  const axis = axes.findIndex(({ units }) => units);
  const found = axis < 0 ? unit : axes[axis].units[at[axis]];
  return found === "" || found === "1" ? "" : ` ${found}`;
}

function position(dims, flat) {
  const at = [...dims];
  for (let axis = dims.length; axis-- > 0; ) {
    at[axis] = flat % dims[axis];
    flat = Math.floor(flat / dims[axis]);
  }
  return at;
}
