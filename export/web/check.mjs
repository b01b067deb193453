// node check.mjs FOLDER: does an exported model answer here as it did on the day of its release? Exit status 1 where not.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import * as ort from "onnxruntime-web";

import { Model, ZooError } from "./physzoo.mjs";

if (process.argv.length !== 3) {
  console.error("usage: node check.mjs FOLDER, one that zoo export wrote");
  process.exit(2);
}
ort.env.wasm.numThreads = 1;

try {
  const model = await Model.open(ort, (file) => readFile(join(process.argv[2], file)));
  console.log(`${model.spec.name}@${model.spec.revision}, onnxruntime-web ${ort.env.versions.web}`);
  for (const { endpoint, output, rows, whole, single, ok } of await model.check()) {
    const differences = `${whole.toExponential(1)} in one batch, ${single.toExponential(1)} row by row`;
    console.log(
      `${endpoint} ${output}: ${rows} rows, largest |difference| ${differences}: ${ok ? "ok" : "OUTSIDE THE TOLERANCE"}`,
    );
    if (!ok) process.exitCode = 1;
  }
} catch (error) {
  console.error(error instanceof ZooError ? error.message : error);
  process.exitCode = 1;
}
