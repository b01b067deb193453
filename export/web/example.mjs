// node example.mjs FOLDER: the latents of two pendulums of one's own, by the exported ive-pendulum.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import * as ort from "onnxruntime-web";

import { Model } from "./physzoo.mjs";

const folder = process.argv[2];
ort.env.wasm.numThreads = 1; // small models gain nothing from more
const model = await Model.open(ort, (file) => readFile(join(folder, file)));
const encode = model.endpoint("encode");

const trajectory = { dims: [2, 50], data: new Float32Array(2 * 50) }; // x(t) in m at 50 times from 0 to 5 s, released at 1 m
[2.5, 3.0].forEach((frequency, row) => {
  for (let i = 0; i < 50; ++i) {
    const t = (5 * i) / 49;
    trajectory.data[50 * row + i] = Math.exp(-0.3 * t) * Math.cos(frequency * t);
  }
});

const { mean } = await encode.run({ trajectory }); // dims (2, 3), data in C order
for (const row of [0, 1]) {
  const latents = mean.data.slice(3 * row, 3 * row + 3);
  console.log(`pendulum ${row}: latents ${Array.from(latents, (value) => value.toFixed(4)).join(" ")}`);
}
