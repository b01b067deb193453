// What demonstrations draw: curves, bars and draws as SVG, images on a canvas.

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [560, 360, 64, 46, 14, 14];
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function extent(values, margin = 0.04) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const pad = (high - low || Math.abs(high) || 1) * margin;
  return [low - pad, high + pad];
}

/** Round numbers between two bounds, about five. */
function ticks([low, high]) {
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((one) => one * power >= raw) ?? 10);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; ++i) found.push(Number((i * step).toPrecision(12)));
  return found;
}

/** Axes with ticks, and what turns numbers into places. */
function axes(x, y, xLabel, yLabel) {
  const at = {
    x: (value) => LEFT + ((value - x[0]) / (x[1] - x[0])) * (WIDTH - LEFT - RIGHT),
    y: (value) => HEIGHT - BOTTOM - ((value - y[0]) / (y[1] - y[0])) * (HEIGHT - BOTTOM - TOP),
  };
  const drawn = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "demo-plot", role: "img", "aria-label": `${yLabel} against ${xLabel}` });
  const text = (words, where) => svg("text", { "text-anchor": "middle", ...where }, words);
  for (const tick of ticks(x)) {
    drawn.append(svg("line", { x1: at.x(tick), x2: at.x(tick), y1: TOP, y2: HEIGHT - BOTTOM, class: "grid" }));
    drawn.append(text(String(tick), { x: at.x(tick), y: HEIGHT - BOTTOM + 16 }));
  }
  for (const tick of ticks(y)) {
    drawn.append(svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: at.y(tick), y2: at.y(tick), class: "grid" }));
    drawn.append(text(String(tick), { x: LEFT - 6, y: at.y(tick) + 4, "text-anchor": "end" }));
  }
  drawn.append(text(xLabel, { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 8, class: "label" }));
  const middle = (TOP + HEIGHT - BOTTOM) / 2;
  drawn.append(text(yLabel, { x: 14, y: middle, transform: `rotate(-90 14 ${middle})`, class: "label" }));
  return { drawn, at };
}

/** A curve, with a band of one standard deviation, or one curve for each group of elements. */
export function curve(x, y, xLabel, yLabel, { spread, groups } = {}) {
  const all = spread ? [...y].flatMap((value, i) => [value - spread[i], value + spread[i]]) : y;
  const parts = Object.entries(groups ?? { "": [0, y.length] });
  if (parts.length > 1) return panels(x, y, xLabel, yLabel, parts);
  const { drawn, at } = axes(extent(x, 0), extent(all), xLabel, yLabel);
  if (spread) {
    const upper = Array.from(x, (value, i) => `${at.x(value)},${at.y(y[i] + spread[i])}`);
    const lower = Array.from(x, (value, i) => `${at.x(value)},${at.y(y[i] - spread[i])}`).reverse();
    drawn.append(svg("polygon", { points: [...upper, ...lower].join(" "), fill: COLORS[0], opacity: 0.2 }));
  }
  drawn.append(line(x, y, at, COLORS[0]));
  return drawn;
}

function panels(x, y, xLabel, yLabel, parts) {
  const together = document.createElement("div");
  parts.forEach(([name, [start, stop]], i) => {
    const { drawn, at } = axes(extent([...x].slice(start, stop), 0), extent([...y].slice(start, stop)), xLabel, `${name} ${yLabel}`);
    drawn.append(line([...x].slice(start, stop), [...y].slice(start, stop), at, COLORS[i % COLORS.length]));
    together.append(drawn);
  });
  return together;
}

function line(x, y, at, color) {
  const points = Array.from(x, (value, i) => `${at.x(value)},${at.y(y[i])}`).join(" ");
  return svg("polyline", { points, fill: "none", stroke: color, "stroke-width": 2 });
}

/** A bar and its number for each element. */
export function bars(values, names, label, range) {
  const [low, high] = range ?? extent([0, ...values], 0.1);
  const place = (value) => 150 + ((value - low) / (high - low)) * (WIDTH - 230);
  const height = 30 * values.length + 40;
  const drawn = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, class: "demo-plot", role: "img", "aria-label": label });
  [...values].forEach((value, i) => {
    const [from, to] = [Math.min(place(0), place(value)), Math.max(place(0), place(value))];
    drawn.append(svg("text", { x: 142, y: 30 * i + 22, "text-anchor": "end" }, names[i] ?? String(i)));
    drawn.append(svg("rect", { x: from, y: 30 * i + 8, width: Math.max(to - from, 1), height: 20, fill: COLORS[0] }));
    drawn.append(svg("text", { x: Math.max(to, place(0)) + 6, y: 30 * i + 22 }, String(Number(value.toPrecision(4)))));
  });
  drawn.append(svg("text", { x: (150 + WIDTH) / 2, y: height - 10, "text-anchor": "middle", class: "label" }, label));
  return drawn;
}

/** Draws in the plane of two of their numbers, which are chosen, or as a histogram of one; with mean and deviation of each. */
export function scatter(values, names) {
  const width = names.length;
  const n = values.length / width;
  const column = (k) => Array.from({ length: n }, (_, i) => values[i * width + k]);
  const together = document.createElement("div");
  const table = document.createElement("table");
  table.innerHTML = "<thead><tr><th></th><th>mean</th><th>deviation</th></tr></thead>";
  names.forEach((name, k) => {
    const of = column(k);
    const mean = of.reduce((sum, value) => sum + value, 0) / n;
    const deviation = Math.sqrt(of.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1));
    const row = table.insertRow();
    for (const cell of [name, mean.toPrecision(5), deviation.toPrecision(3)]) row.insertCell().textContent = cell;
  });
  if (width === 1) together.append(histogram(column(0), names[0]), table);
  else {
    const choices = [0, 1].map((chosen) => {
      const choice = document.createElement("select");
      names.forEach((name, k) => choice.add(new Option(name, k, k === chosen, k === chosen)));
      choice.addEventListener("change", draw);
      return choice;
    });
    const shown = document.createElement("div");
    together.append(...choices, shown, table);
    draw();
    function draw() {
      const [i, j] = choices.map((choice) => Number(choice.value));
      const [x, y] = [column(i), column(j)];
      const { drawn, at } = axes(extent(x), extent(y), names[i], names[j]);
      for (let row = 0; row < n; ++row) drawn.append(svg("circle", { cx: at.x(x[row]), cy: at.y(y[row]), r: 1.5, fill: COLORS[0], opacity: 0.35 }));
      shown.replaceChildren(drawn);
    }
  }
  return together;
}

function histogram(values, label, bins = 40) {
  const [low, high] = extent(values, 0.001);
  const counts = new Array(bins).fill(0);
  for (const value of values) ++counts[Math.min(bins - 1, Math.floor(((value - low) / (high - low)) * bins))];
  const { drawn, at } = axes([low, high], [0, 1.05 * Math.max(...counts)], label, "draws");
  counts.forEach((count, i) => {
    const [from, to] = [i, i + 1].map((edge) => at.x(low + ((high - low) * edge) / bins));
    drawn.append(svg("rect", { x: from, y: at.y(count), width: to - from, height: at.y(0) - at.y(count), fill: COLORS[0] }));
  });
  return drawn;
}

/** The particles of a jet, (pT, y, phi, ...) each, where `real` says so: circles in the plane whose areas are transverse momenta. */
export function particles(values, real, [ptLabel, yLabel, phiLabel]) {
  const width = values.length / real.length;
  const found = Array.from(real, (is, i) => (is ? [...values.slice(width * i, width * i + 3)] : [])).filter((one) => one.length);
  const hardest = found.reduce((one, other) => (other[0] > one[0] ? other : one), [0, 0, 0]);
  const away = (phi) => phi - 2 * Math.PI * Math.round((phi - hardest[2]) / (2 * Math.PI)); // over the seam of the azimuth
  const half = 0.1 + Math.max(0, ...found.map(([, y, phi]) => Math.max(Math.abs(y - hardest[1]), Math.abs(away(phi) - hardest[2]))));
  const wide = (half * (WIDTH - LEFT - RIGHT)) / (HEIGHT - BOTTOM - TOP); // so that a circle about the axis is one
  const { drawn, at } = axes([hardest[1] - wide, hardest[1] + wide], [hardest[2] - half, hardest[2] + half], yLabel, phiLabel);
  for (const [pt, y, phi] of found) {
    const circle = svg("circle", { cx: at.x(y), cy: at.y(away(phi)), r: 22 * Math.sqrt(pt / hardest[0]), fill: COLORS[0], opacity: 0.45 });
    circle.append(svg("title", {}, `${ptLabel} ${Number(pt.toPrecision(4))}`));
    drawn.append(circle);
  }
  return drawn;
}

/** A map, or the first slice of a cube and of its components, in gray from its least to its largest value, by their inverse sinh. */
export function field(values, [height, width, ...rest]) {
  const step = rest.reduce((product, n) => product * n, 1);
  const shown = Array.from({ length: height * width }, (_, i) => Math.asinh(values[i * step]));
  const low = shown.reduce((least, value) => Math.min(least, value));
  const high = shown.reduce((most, value) => Math.max(most, value));
  return picture(shown.map((value) => (value - low) / (high - low || 1)), [height, width, 1]);
}

/** An image with one channel or three, whose values go from 0 to 1. */
export function picture(values, [height, width, channels]) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height, className: "demo-picture" });
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; ++pixel) {
    for (let k = 0; k < 3; ++k) image.data[4 * pixel + k] = 255 * values[channels * pixel + (channels === 3 ? k : 0)];
    image.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
