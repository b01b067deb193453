// node web_refusals.mjs FOLDER...: what the module says of each of many folders that are damaged, as JSON. One process, since
// WebAssembly takes longer to start than a folder to be refused.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import * as ort from "onnxruntime-web";

import { Model, ZooError } from "./physzoo.mjs";

ort.env.wasm.numThreads = 1;

async function sayOf(folder) {
  try {
    const model = await Model.open(ort, (file) => readFile(join(folder, file)));
    const bad = (await model.check()).filter(({ ok }) => !ok);
    await model.release();
    const line = ({ endpoint, output, rows, whole }) => `${endpoint} ${output}: ${rows} rows, largest |difference| ${whole}`;
    return bad.map((one) => `${line(one)} OUTSIDE THE TOLERANCE`).join("\n");
  } catch (error) {
    return `${error instanceof ZooError ? error.name : `NOT OURS ${error.name}`} ${error.message}`;
  }
}

const said = [];
for (const folder of process.argv.slice(2)) said.push(await sayOf(folder));
console.log(JSON.stringify(said));
