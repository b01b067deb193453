// Whether jets are such as a model was trained on, as zoo/model/jet_check.py says it. This is a part of physzoo.mjs.
// SPDX-License-Identifier: Apache-2.0

import { InputError } from "./spec.mjs";

/** In radii: no particle of a jet lies farther from its axis, and many jets of which none reaches so far are of smaller ones. */
const REACH = 1.6;
const NARROW = 0.75;
const MANY = 30;

/** PDG codes of hadrons that have an antiparticle, whose code is the negative; so many of them are never all of one sign. */
const SIGNED = new Set([211, 321, 2112, 2212]);
const MANY_CODES = 40;

/** Tells whether the values that a tensor may have are PDG codes, antiparticles among them. */
export const arePdgCodes = (values) => [...SIGNED].every((code) => values.has(code) && values.has(-code));

/** Throws InputError for PDG codes of many hadrons that have all one sign, such as absolute ones. */
export function refuseOneSign({ name }, codes, real) {
  const counts = [0, 0]; // of particles and of antiparticles
  codes.forEach((code, i) => (!real || real[i]) && SIGNED.has(Math.abs(Number(code))) && ++counts[code < 0 ? 1 : 0]);
  if (Math.max(...counts) < MANY_CODES || Math.min(...counts) > 0) return;
  throw new InputError(
    `input ${name}: expected signed PDG codes, such as 211 for a pi+ and -211 for a pi-, given ${Math.max(...counts)} of charged` +
      ` hadrons and neutrons, of which none is ${counts[1] ? "positive" : "negative"}: give each its sign;` +
      " { range: false } takes them all the same",
  );
}

/** Throws InputError for jets that the model was not trained on, where `range` asks for it, and for padding that is real. */
export function refuseJets({ name, jet, mask }, [, count, size], particles, real, range) {
  const where = `input ${name}: `;
  const padding = [];
  real.forEach((here, i) => here && particles[i * size] <= 0 && particles[i * size] > -Infinity && padding.push(i));
  if (padding.length) {
    const at = `(${Math.floor(padding[0] / count)}, ${padding[0] % count})`;
    throw new InputError(
      `${where}${padding.length} elements are real and have no transverse momentum, the first at ${at}: expected above 0 GeV` +
        ` where ${mask} is true, given ${six(particles[padding[0] * size])}; padding is not real`,
    );
  }
  if (!range) return;
  const jets = [];
  for (let row = 0; row * count < real.length; ++row) {
    const numbers = particles.subarray(row * count * size, (row + 1) * count * size);
    const seen = seenJet(numbers, real.subarray(row * count, (row + 1) * count), size);
    if (seen) jets.push({ row, ...seen });
  }
  const [least, most] = jet.pt;
  const lets = "extrapolate with { range: false }";
  const others = jets.filter(({ pt }) => pt < least || pt > most);
  if (others.length)
    throw new InputError(
      `${where}${others.length} jets lie outside the trained range, the first in row ${others[0].row}: expected` +
        ` ${six(least)} to ${six(most)} GeV of transverse momentum, that of the sum of the particles, given ${six(others[0].pt)}` +
        `${asIf(jet.pt, others[0].pt)}; check the units, or ${lets}`,
    );
  const reason = `as of anti-kt jets of radius ${six(jet.radius)}`;
  const wide = jets.filter(({ farthest }) => farthest > REACH * jet.radius);
  if (wide.length)
    throw new InputError(
      `${where}${wide.length} jets reach farther than those of the training, the first in row ${wide[0].row}: expected` +
        ` particles within ${six(REACH * jet.radius)} of the axis, ${reason}, given one at ${six(wide[0].farthest)};` +
        ` cluster with that radius, or ${lets}`,
    );
  const reached = jets.reduce((known, { farthest }) => Math.max(known, farthest), 0);
  if (jets.length >= MANY && reached < NARROW * jet.radius)
    throw new InputError(
      `${where}none of ${jets.length} jets reaches as far as those of the training: expected particles beyond` +
        ` ${six(NARROW * jet.radius)} from the axis, ${reason}, given at most ${six(reached)};` +
        ` cluster with that radius, or ${lets}`,
    );
}

/** Momentum of the sum of the particles, and distance of the farthest from the axis; nothing where there is none, or NaN. */
function seenJet(numbers, real, size) {
  const particles = [];
  real.forEach((here, i) => here && particles.push(numbers.subarray(i * size, i * size + 3)));
  if (!particles.length || !particles.every((one) => one.every(Number.isFinite))) return undefined;
  const total = (of) => particles.reduce((sum, one) => sum + of(one), 0);
  const px = total(([pt, , phi]) => pt * Math.cos(phi));
  const py = total(([pt, , phi]) => pt * Math.sin(phi));
  const rapidity = Math.log(total(([pt, y]) => pt * Math.exp(y)) / total(([pt, y]) => pt * Math.exp(-y))) / 2;
  const azimuth = Math.atan2(py, px);
  const distance = ([, y, phi]) => Math.hypot(y - rapidity, Math.atan2(Math.sin(phi - azimuth), Math.cos(phi - azimuth)));
  return { pt: Math.hypot(px, py), farthest: particles.reduce((most, one) => Math.max(most, distance(one)), 0) };
}

function asIf([least, most], pt) {
  const trained = (one) => one >= least && one <= most;
  return trained(pt * 1000) ? ", as if in TeV or relative to the jet" : trained(pt * 0.001) ? ", as if in MeV" : "";
}

function six(number) {
  return Number(Number(number).toPrecision(6));
}
