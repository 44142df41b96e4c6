// What a pixel and a rectangle say: samples as stored, with their errors.

import {readWindow} from './raster.js';
import {transform} from 'ol/proj.js';
import {blockCorner} from './lattice.js';

const Z90 = 1.645; // both sides of the mean hold 90 % of a normal distribution
const UNUSABLE = 31; // fill, dilated cloud, cirrus, cloud, shadow
export const MOST_PIXELS = 4e6;
export const BINS = 32;

const inside = (raster, [x, y]) => x >= 0 && y >= 0 && x < raster.width && y < raster.height;
const value = (raster, sample) => (sample === raster.nodata ? null : sample * raster.scale + raster.offset);
const pixelOf = (raster, [x, y]) => [Math.floor((x - raster.left) / raster.dx), Math.floor((y - raster.top) / raster.dy)];

async function bandsAt(raster, [x, y]) {
  if (!raster || !inside(raster, [x, y])) return null;
  const samples = await readWindow(raster, [x, y, x + 1, y + 1]);
  return [...samples].map((band) => value(raster, band[0]));
}

// Six bands of the pixel at a coordinate, half of their 90 % interval, the mean of its block, the quality bits.
export async function readPoint({sr, sigma, qa, landsat, aligned}, projection, coordinate) {
  const pixel = pixelOf(sr, coordinate);
  if (!inside(sr, pixel)) return null;
  const [mean, errors, bits, block] = await Promise.all([
    bandsAt(sr, pixel), bandsAt(sigma, pixel), bandsAt(qa && {...qa, scale: 1, nodata: null}, pixel), coarseAt({sr, landsat, aligned}, projection, pixel, coordinate),
  ]);
  return {pixel, mean, half: errors?.map((error) => error && Z90 * error), qa: bits?.[0] ?? null, block};
}

// Landsat's pixel that owns the block of an output pixel, whose centre lies 5 m right of and below its own; else the block's mean.
async function coarseAt({sr, landsat, aligned}, projection, pixel, [x, y]) {
  if (!landsat) return aligned ? blockAt(sr, projection, pixel) : null;
  const [offset, code] = aligned ? [5, projection] : [0, landsat.code];
  return bandsAt(landsat, pixelOf(landsat, transform([x - offset, y + offset], projection, code)));
}

async function blockAt(raster, projection, [x, y]) {
  const corner = blockCorner(raster, projection);
  const skip = [Math.round((raster.left - corner[0]) / raster.dx), Math.round((raster.top - corner[1]) / raster.dy)];
  const [x0, y0] = [x, y].map((at, k) => Math.floor((at + skip[k]) / 3) * 3 - skip[k]);
  const window = [Math.max(x0, 0), Math.max(y0, 0), Math.min(x0 + 3, raster.width), Math.min(y0 + 3, raster.height)];
  const samples = await readWindow(raster, window);
  return [...samples].map((band) => {
    const known = [...band].filter((sample) => sample !== raster.nodata);
    return known.length ? value(raster, known.reduce((a, b) => a + b, 0) / known.length) : null;
  });
}

export async function readOther(raster, coordinate) {
  return raster && bandsAt(raster, pixelOf(raster, coordinate));
}

export function windowOf(raster, [left, bottom, right, top]) {
  const [x0, y0] = pixelOf(raster, [left, top]);
  const [x1, y1] = pixelOf(raster, [right, bottom]);
  return [Math.max(x0, 0), Math.max(y0, 0), Math.min(x1 + 1, raster.width), Math.min(y1 + 1, raster.height)];
}

// Statistics of the clear pixels of a window, band by band. `said` is l8s2:sigma of the Item.
export async function readArea({sr, sigma, qa}, said, window) {
  const [means, errors, bits] = await Promise.all([readWindow(sr, window), sigma && readWindow(sigma, window), qa && readWindow(qa, window)]);
  const total = means[0].length;
  const clear = new Uint8Array(total);
  let n = 0;
  for (let k = 0; k < total; k++) {
    let good = !bits || (bits[0][k] & UNUSABLE) === 0;
    for (let band = 0; good && band < 6; band++) good = means[band][k] !== sr.nodata;
    clear[k] = good ? 1 : 0;
    n += clear[k];
  }
  const bands = n ? [...means].slice(0, 6).map((band, k) => summary(band, errors?.[k], clear, n, sr, sigma, said, k)) : [];
  return {total, n, bands};
}

function summary(band, errors, clear, n, sr, sigma, said, k) {
  const a = said.level_absolute?.[k] ?? 0;
  const g = said.level_relative?.[k] ?? 0;
  let sum = 0;
  let squares = 0;
  let detail = 0;
  let known = Boolean(errors && said.level_absolute);
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < clear.length; i++) {
    if (!clear[i]) continue;
    const rho = band[i] * sr.scale + sr.offset;
    sum += rho;
    squares += rho * rho;
    low = Math.min(low, rho);
    high = Math.max(high, rho);
    if (known && errors[i] === sigma.nodata) known = false;
    if (known) {
      const error = (errors[i] * sigma.scale) ** 2;
      detail += said.kind === 'detail' ? error : Math.max(error - a * a - (g * rho) ** 2, 0);
    }
  }
  const mean = sum / n;
  return {
    mean,
    spread: Math.sqrt(Math.max(squares / n - mean * mean, 0)),
    // docs/product.md, "Mean of a field": the level does not average out; of the nine pixels of a block one is independent
    error: known ? Math.sqrt(a * a + (g * mean) ** 2 + (detail / (n * n)) * Math.min(9, n)) : null,
    histogram: histogram(band, clear, sr, low, high),
  };
}

function histogram(band, clear, sr, low, high) {
  const counts = new Array(BINS).fill(0);
  const width = Math.max(high - low, 1e-9) / BINS;
  for (let i = 0; i < clear.length; i++) {
    if (clear[i]) counts[Math.min(Math.floor((band[i] * sr.scale + sr.offset - low) / width), BINS - 1)]++;
  }
  return {low, high, counts};
}
