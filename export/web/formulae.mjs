// Formulae for points, by the exported transformer-formulae: beam search and the fit of constants, outside the graph.
//
//     const model = await Model.open(ort, fromUrl("transformer-formulae"));
//     const [best] = await findFormulae(model, x, y); // x: rows of 1 to 4 variables, y: values
//     console.log(best.text, best.r2);
//
// The same search as zoo.interpret.find_formulae; the starts of fits are other random numbers.

import { InputError } from "./spec.mjs";

export const TOKENS = ["begin", "x1", "x2", "x3", "x4", "C", "+", "-", "*", "/", "pow2", "pow3", "sqrt", "exp", "log", "sin", "cos"];
const CONSTANT = 5, PLUS = 6, TIMES = 8; // prettier-ignore
const VARIABLES = 4, NEVER = -1e30, FEWEST = 10, STARTS = 5, STEPS = 100, EXACT = 1e-10, FLOOR = 1e-14;
const SMALLEST = 0.05, LARGEST = 50, SMALLEST_VALUE = 1e-3, LARGEST_VALUE = 1e3; // sizes that the network was trained on
const takes = (token) => (token <= CONSTANT ? 0 : token <= 9 ? 2 : 1);

/** Value and slopes by the constants of each token: [value, derivative by the first argument, by the second]. */
const OPERATIONS = {
  "+": (a, b) => [a + b, 1, 1],
  "-": (a, b) => [a - b, 1, -1],
  "*": (a, b) => [a * b, b, a],
  "/": (a, b) => [a / b, 1 / b, -a / (b * b)],
  pow2: (a) => [a * a, 2 * a],
  pow3: (a) => [a * a * a, 3 * a * a],
  sqrt: (a) => [Math.sqrt(a), 0.5 / Math.sqrt(a)],
  exp: (a) => [Math.exp(a), Math.exp(a)],
  log: (a) => [Math.log(a), 1 / a],
  sin: (a) => [Math.sin(a), Math.cos(a)],
  cos: (a) => [Math.cos(a), -Math.sin(a)],
};

/** Value of a skeleton at a point, and its derivative by each constant. */
export function valueAndSlopes(skeleton, point, constants) {
  const stack = [];
  let place = constants.length;
  for (let i = skeleton.length - 1; i >= 0; --i) {
    const token = skeleton[i];
    const slopes = new Float64Array(constants.length);
    if (token === CONSTANT) {
      slopes[--place] = 1;
      stack.push([constants[place], slopes]);
    } else if (token < CONSTANT) {
      stack.push([point[token - 1], slopes]);
    } else {
      const given = Array.from({ length: takes(token) }, () => stack.pop());
      const [value, ...by] = OPERATIONS[TOKENS[token]](...given.map(([one]) => one));
      given.forEach(([, inner], n) => inner.forEach((slope, k) => slope && (slopes[k] += by[n] * slope)));
      stack.push([value, slopes]);
    }
  }
  return stack[0];
}

/** The text of a skeleton with its constants, in parentheses. */
export function textOf(skeleton, constants, digits = 4) {
  const stack = [];
  let place = constants.length;
  for (const token of [...skeleton].reverse()) {
    const name = TOKENS[token];
    if (token === CONSTANT) stack.push(Number(constants[--place].toPrecision(digits)).toString());
    else if (token < CONSTANT) stack.push(name);
    else if (takes(token) === 2) stack.push(`(${stack.pop()} ${name} ${stack.pop()})`);
    else stack.push(name.startsWith("pow") ? `${stack.pop()}**${name[3]}` : `${name}(${stack.pop()})`);
  }
  return stack[0];
}

/** Skeletons that the network writes for points (rows of variables, zeros up to four, and the value), most probable first. */
export async function written(model, points, variables, beams = 32) {
  const [pointTensor, real] = model.endpoint("encode").spec.inputs;
  const [memoryTensor, tokenTensor, knownTensor] = model.endpoint("next_token").spec.inputs;
  const longest = tokenTensor.axes[0].most ?? tokenTensor.axes[0].size;
  const given = {
    [pointTensor.name]: { dims: [1, points.length, VARIABLES + 1], data: Float32Array.from(points.flat()) },
    [real.name]: { dims: [1, points.length], data: new Uint8Array(points.length).fill(1) },
  };
  const [{ dims, data }] = Object.values(await model.endpoint("encode").run(given, { range: false }));
  const memory = { dims: [beams, ...dims.slice(1)], data: new Float32Array(beams * data.length) };
  for (let beam = 0; beam < beams; ++beam) memory.data.set(data, beam * data.length);
  let tokens = new Int32Array(beams * longest);
  let score = new Float64Array(beams).fill(NEVER);
  let missing = new Int32Array(beams).fill(1);
  score[0] = 0;
  let finished = [];
  for (let length = 0; length < longest; ++length) {
    const known = Uint8Array.from({ length: beams * longest }, (_, i) => (i % longest <= length ? 1 : 0));
    const asked = {
      [memoryTensor.name]: memory,
      [tokenTensor.name]: { dims: [beams, longest], data: tokens },
      [knownTensor.name]: { dims: [beams, longest], data: known },
    };
    const [logits] = Object.values(await model.endpoint("next_token").run(asked, { range: false }));
    const open = [];
    for (let beam = 0; beam < beams; ++beam) {
      const row = Array.from(logits.data.subarray(beam * TOKENS.length, (beam + 1) * TOKENS.length));
      const most = Math.max(...row);
      const total = Math.log(row.reduce((sum, one) => sum + Math.exp(one - most), 0));
      row.forEach((logit, token) => {
        const after = missing[beam] - 1 + takes(token);
        const allowed = token !== 0 && (token <= variables || token >= CONSTANT) && length + 1 + after <= longest;
        if (allowed && score[beam] > NEVER / 2) open.push({ beam, token, after, score: score[beam] + logit - most - total });
      });
    }
    open.sort((a, b) => b.score - a.score);
    const kept = [];
    for (const one of open.slice(0, 2 * beams)) {
      const before = Array.from(tokens.subarray(one.beam * longest + 1, one.beam * longest + length + 1));
      if (one.after === 0) finished.push({ score: one.score, skeleton: [...before, one.token] });
      else if (kept.length < beams) kept.push(one);
    }
    finished = finished.sort((a, b) => b.score - a.score).slice(0, beams);
    if (!kept.length || length + 1 === longest) break;
    if (finished.length === beams && kept[0].score < finished[beams - 1].score) break;
    const next = new Int32Array(tokens.length);
    kept.forEach(({ beam, token }, place) => {
      next.set(tokens.subarray(beam * longest, (beam + 1) * longest), place * longest);
      next[place * longest + length + 1] = token;
    });
    tokens = next;
    score = Float64Array.from({ length: beams }, (_, place) => kept[place]?.score ?? NEVER);
    missing = Int32Array.from({ length: beams }, (_, place) => kept[place]?.after ?? 1);
  }
  return finished.map((one) => one.skeleton);
}

/** Constants of a skeleton with the least squared error, by Levenberg and Marquardt's rule, and that error over the spread. */
export function fitted(skeleton, x, y, random = Math.random) {
  const count = skeleton.filter((token) => token === CONSTANT).length;
  const spread = deviation(y);
  const judged = (constants) => {
    const normal = Array.from({ length: count }, () => new Float64Array(count + 1));
    let error = 0;
    for (let row = 0; row < y.length; ++row) {
      const [value, slopes] = valueAndSlopes(skeleton, x[row], constants);
      const left = (y[row] - value) / spread;
      error += left * left;
      for (let i = 0; i < count; ++i) {
        for (let j = 0; j < count; ++j) normal[i][j] += (slopes[i] * slopes[j]) / spread ** 2;
        normal[i][count] += (slopes[i] * left) / spread;
      }
    }
    return { error: Number.isFinite(error) ? error : Infinity, normal };
  };
  let best = { constants: new Array(count).fill(1), error: Infinity };
  for (let start = 0; start < (count ? STARTS : 1); ++start) {
    let constants = Array.from({ length: count }, () => (start ? (random() < 2 / 3 ? 1 : -1) * Math.exp(2 * random() - 1) : 1));
    let now = judged(constants);
    for (let step = 0, damping = 1e-3; step < STEPS && count && damping < 1e12; ++step) {
      const change = solved(now.normal.map((row, i) => row.map((one, j) => (i === j ? one * (1 + damping) + 1e-300 : one))));
      const tried = constants.map((one, i) => one + change[i]);
      const then = judged(tried);
      if (then.error < now.error) {
        const gained = now.error - then.error;
        [constants, now, damping] = [tried, then, damping / 10];
        if (gained <= 1e-15 * now.error) break;
      } else damping *= 10;
    }
    if (now.error < best.error) best = { constants, error: now.error };
    if (Math.sqrt(best.error / y.length) < EXACT) break;
  }
  return { constants: best.constants, error: Math.sqrt(best.error / y.length) };
}

/** Formulae for values y at points x, the best first: the shortest of those that no other is surely better than. */
export async function findFormulae(model, x, y, { beams = 32, random = Math.random } = {}) {
  expectPoints(x, y);
  const order = y.map((_, i) => i);
  for (let i = order.length - 1; i > 0; --i) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  const held = order.slice(0, Math.max(2, Math.round(y.length / 4)));
  const used = order.slice(held.length);
  const most = model.endpoint("encode").spec.inputs[0].axes[0].most ?? used.length;
  const points = used.slice(0, most).map((i) => [...x[i], ...new Array(VARIABLES - x[i].length).fill(0), y[i]]);
  const skeletons = new Map();
  for (const one of await written(model, points, x[0].length, beams))
    for (const skeleton of [one, [PLUS, TIMES, CONSTANT, ...one, CONSTANT]]) skeletons.set(skeleton.join(), skeleton);
  const variance = deviation(held.map((i) => y[i])) ** 2;
  const at = (rows, of) => rows.map((i) => of[i]);
  const found = [];
  for (const skeleton of skeletons.values()) {
    const { constants } = fitted(skeleton, at(used, x), at(used, y), random);
    const errors = held.map((i) => (valueAndSlopes(skeleton, x[i], constants)[0] - y[i]) ** 2 / variance);
    const r2 = 1 - mean(errors);
    if (Number.isFinite(r2)) found.push({ skeleton, constants, r2, errors, text: textOf(skeleton, constants) });
  }
  const best = found.reduce((a, b) => (b.r2 > (a?.r2 ?? -Infinity) ? b : a), undefined);
  for (const one of found) {
    const behind = one.errors.map((error, i) => error - best.errors[i]);
    one.asGood = mean(behind) <= Math.max(FLOOR, deviation(behind) / Math.sqrt(behind.length));
  }
  const place = (one) => [one.asGood ? 0 : 1, one.asGood ? one.skeleton.length : 0, -one.r2];
  return found.sort((a, b) => place(a).reduce((order, one, i) => order || one - place(b)[i], 0));
}

function expectPoints(x, y) {
  const variables = x[0]?.length ?? 0;
  if (x.length !== y.length || y.length < FEWEST || x.some((row) => row.length !== variables))
    throw new InputError(`expected at least ${FEWEST} points, all of as many variables, and a value of each`);
  if (variables < 1 || variables > VARIABLES) throw new InputError(`x: expected 1 to ${VARIABLES} variables, given ${variables}`);
  for (const [name, column, least, most] of [
    ...x[0].map((_, k) => [TOKENS[1 + k], x.map((row) => row[k]), SMALLEST, LARGEST]),
    ["y", y, SMALLEST_VALUE, LARGEST_VALUE],
  ]) {
    if (!column.every(Number.isFinite)) throw new InputError(`${name}: expected finite numbers`);
    if (column.every((one) => one === column[0])) throw new InputError(`${name}: expected numbers that differ, given ${column[0]}`);
    const size = Math.max(...column.map(Math.abs));
    if (size < least || size > most)
      throw new InputError(`${name}: expected a largest size of ${least} to ${most}, given ${size}: use another unit`);
  }
}

/** The solution of linear equations, rows of coefficients with the right side behind them; zeros where there is none. */
function solved(rows) {
  const n = rows.length;
  for (let i = 0; i < n; ++i) {
    const pivot = rows.slice(i).reduce((best, row, k) => (Math.abs(row[i]) > Math.abs(rows[best][i]) ? i + k : best), i);
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    for (let k = i + 1; k < n; ++k) {
      const share = rows[k][i] / rows[i][i];
      for (let j = i; j <= n; ++j) rows[k][j] -= share * rows[i][j];
    }
  }
  const answer = new Array(n).fill(0);
  for (let i = n - 1; i >= 0; --i) {
    answer[i] = (rows[i][n] - rows[i].slice(i + 1, n).reduce((sum, one, k) => sum + one * answer[i + 1 + k], 0)) / rows[i][i];
  }
  return answer.map((one) => (Number.isFinite(one) ? one : 0));
}

const mean = (numbers) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
const deviation = (numbers) => {
  const center = mean(numbers);
  return Math.sqrt(mean(numbers.map((one) => (one - center) ** 2)));
};
