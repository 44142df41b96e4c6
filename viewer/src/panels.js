// What is said of a pixel and of a rectangle.

import {lonLat} from './lattice.js';
import {bars, node, rampKey, spectrum, table} from './plots.js';
import {INDEX_RAMP, SHOWN, SIGMA_RAMP} from './styles.js';

export const NAMES = ['blue', 'green', 'red', 'nir08', 'swir16', 'swir22'];
const shown = (value) => (value === null || value === undefined ? '–' : value.toFixed(4));

// Of a pixel: what readPoint found, and the bands of Sentinel-2 there.
export function pointPanel({product, landsat}, found, theirs, where, bits) {
  const series = [{name: '10 m ± 90 %', kind: 'fine', values: found.mean, half: found.half}];
  if (found.block) series.push({name: landsat ? 'Landsat' : '30 m mean', kind: 'coarse', values: found.block});
  if (theirs) series.push({name: 'Sentinel-2', kind: 'other', values: theirs});
  return [
    node('h2', {}, 'Pixel'), node('p', {class: 'quiet'}, where),
    spectrum(NAMES, wavelengthsOf(product), series), pointTable(landsat, found, theirs), node('p', {id: 'flags'}, `Quality: ${flags(found.qa, bits)}`),
  ];
}

function wavelengthsOf(product) {
  const said = product.wavelengths;
  return said.length === 6 && said.every(Number.isFinite) ? said : [0.4927, 0.5598, 0.6646, 0.8647, 1.6137, 2.2024];
}

function pointTable(landsat, found, theirs) {
  const head = ['band', '10 m', '± 90 %', ...(found.block ? [landsat ? 'Landsat' : '30 m'] : []), ...(theirs ? ['Sentinel-2'] : [])];
  const rows = NAMES.map((name, k) => [name, shown(found.mean[k]), shown(found.half?.[k]), ...(found.block ? [shown(found.block[k])] : []), ...(theirs ? [shown(theirs[k])] : [])]);
  return table(head, rows);
}

function flags(qa, bits) {
  if (qa === null) return 'unknown';
  const set = bits.filter((bit) => qa & bit.value).map((bit) => `${bit.name} (${bit.description})`);
  return set.length ? set.join('; ') : 'clean';
}

export function place(coordinate, projection) {
  const degrees = lonLat(coordinate, projection);
  const metres = `${coordinate[0].toFixed(0)}, ${coordinate[1].toFixed(0)} (${projection.getCode()})`;
  return degrees ? `${metres} · longitude ${degrees[0].toFixed(5)}, latitude ${degrees[1].toFixed(5)}` : metres;
}

// Of a rectangle: what readArea found; the histogram is that of one band.
export function areaPanel({n, total, bands}, name) {
  const k = NAMES.indexOf(name);
  const rows = bands.map((band, i) => [NAMES[i], shown(band.mean), shown(band.error), shown(band.spread)]);
  const picture = n ? [table(['band', 'mean', 'σ of mean', 'spread'], rows), node('h2', {}, `Histogram of ${name}`), bars(bands[k].histogram, name)] : [];
  return [
    node('h2', {}, 'Rectangle'), node('p', {class: 'quiet'}, `${n} clear of ${total} pixels`), ...picture,
    node('p', {class: 'quiet'}, 'σ of mean: the standard error of the mean of the field. The level, which the whole scene shares, does not average out. Spread: standard deviation of the pixels.'),
  ];
}

export function legendPanel({show, over, band}) {
  const {title, ratio} = SHOWN[show];
  const index = ratio ? [node('p', {}, title), rampKey(INDEX_RAMP, title)] : [];
  const sigma = over === 'sigma' ? [node('p', {}, `Sigma of ${band}, reflectance`), rampKey(SIGMA_RAMP, 'Standard error')] : [];
  return [...index, ...sigma];
}
