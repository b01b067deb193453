// What the page of maps computes: noise of a seed, a map of parameters and noise, and its colors. It runs in Node too.
// SPDX-License-Identifier: Apache-2.0

import { InputError } from "./spec.mjs";

/** Colors of a perceptual scale (matplotlib's inferno) at equal steps. */
const SCALE = [
  [0, 0, 4],
  [40, 11, 84],
  [101, 21, 110],
  [159, 42, 99],
  [212, 72, 66],
  [245, 125, 21],
  [250, 193, 39],
  [252, 255, 164],
];

/** Makes standard normal numbers of a seed: of any count the first are the same. */
export function normals(seed) {
  return (count) => {
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0; // mulberry32
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
    return Float32Array.from({ length: count }, () => {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform())); // Box and Muller
      return radius * Math.cos(2 * Math.PI * uniform());
    });
  };
}

/** A map of least size: densities over their mean, and the range of its colors, of which a hundredth lies beyond either end. */
export async function draw(model, theta, noise) {
  const sample = model.endpoint("sample");
  const [z, parameters] = sample.spec.inputs;
  const [map] = sample.spec.outputs;
  if (z.axes.length !== 2 || parameters.axes.length !== 1 || map.axes.length !== 2)
    throw new InputError(`${model.spec.name} draws no maps: expected an endpoint sample of noise (y, x) and parameters`);
  const side = z.axes[0].size ?? z.axes[0].least;
  const found = await sample.run({
    [z.name]: { dims: [1, side, side], data: noise(side * side) },
    [parameters.name]: { dims: [1, theta.length], data: Float32Array.from(theta) },
  });
  const pixels = Float64Array.from(found[map.name].data, (overdensity) => 1 + overdensity);
  const ordered = pixels.slice().sort();
  const at = (share) => ordered[Math.round(share * (ordered.length - 1))];
  return { pixels, least: at(0.01), most: at(0.99), side };
}

/** Red, green, blue and opacity of each pixel, by the logarithm of its density. */
export function colors(pixels, least, most) {
  const [low, high] = [Math.log(least + 0.05), Math.log(most + 0.05)];
  const painted = new Uint8ClampedArray(4 * pixels.length);
  pixels.forEach((density, i) => {
    const place = Math.min(Math.max((Math.log(density + 0.05) - low) / (high - low), 0), 1) * (SCALE.length - 1);
    const below = Math.min(Math.floor(place), SCALE.length - 2);
    for (let c = 0; c < 3; ++c)
      painted[4 * i + c] = SCALE[below][c] + (place - below) * (SCALE[below + 1][c] - SCALE[below][c]);
    painted[4 * i + 3] = 255;
  });
  return painted;
}
