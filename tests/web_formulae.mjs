// node web_formulae.mjs FOLDER CASES.json: what export/web/formulae.mjs makes of points, as JSON; tests/test_web.py says what is
// expected.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import * as ort from "onnxruntime-web";

import { findFormulae, fitted, textOf, valueAndSlopes, written } from "./formulae.mjs";
import { Model } from "./physzoo.mjs";

ort.env.wasm.numThreads = 1;
const [folder, file] = process.argv.slice(2);
const model = await Model.open(ort, (name) => readFile(join(folder, name)));
const answers = [];
for (const { x, y, points, variables, skeleton, constants } of JSON.parse(await readFile(file, "utf8"))) {
  const [best] = await findFormulae(model, x, y, { beams: 8 });
  answers.push({
    written: await written(model, points, variables, 8),
    values: x.map((point) => valueAndSlopes(skeleton, point, constants)[0]),
    slopes: x.map((point) => Array.from(valueAndSlopes(skeleton, point, constants)[1])),
    error: fitted(skeleton, x, y).error,
    text: textOf(skeleton, constants, 17),
    r2: best.r2,
  });
}
const refused = [];
for (const [x, y] of [[[[1]], [1]], [Array.from({ length: 20 }, (_, i) => [i, 1]), Array.from({ length: 20 }, (_, i) => i)]])
  await findFormulae(model, x, y).catch((error) => refused.push(`${error.name}: ${error.message}`));
refused.push(await findFormulae(model, Array.from({ length: 20 }, (_, i) => [1e9 * (i + 1)]), Array.from({ length: 20 }, (_, i) => i)).catch((error) => error.message));
console.log(JSON.stringify({ answers, refused }));
