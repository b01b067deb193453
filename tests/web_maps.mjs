// node web_maps.mjs FOLDER: a map that export/web/painting.mjs draws, as JSON; tests/test_web.py says what is expected.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import * as ort from "onnxruntime-web";

import { colors, draw, normals } from "./painting.mjs";
import { Model } from "./physzoo.mjs";

ort.env.wasm.numThreads = 1;
const folder = process.argv[2];
const model = await Model.open(ort, (name) => readFile(join(folder, name)));
const { pixels, least, most, side } = await draw(model, [0.3, 0.8], normals(7));
const painted = colors(pixels, least, most);
console.log(JSON.stringify({ side, least, most, noise: [...normals(7)(side * side)], pixels: [...pixels], painted: [...painted] }));
