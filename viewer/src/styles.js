// What the graphics card computes from the bands: colours, indices, sigma and quality bits. No request is needed for a change.

const BANDS = {blue: 1, green: 2, red: 3, nir08: 4, swir16: 5, swir22: 6};
const VALID = 7; // the band that OpenLayers adds: 0 where there is no data

export const SHOWN = {
  true: {title: 'true colour', bands: ['red', 'green', 'blue']},
  infrared: {title: 'colour infrared', bands: ['nir08', 'red', 'green']},
  swir: {title: 'short-wave infrared', bands: ['swir22', 'nir08', 'red']},
  ndvi: {title: 'NDVI (nir08, red)', ratio: ['nir08', 'red']},
  ndwi: {title: 'NDWI (green, nir08)', ratio: ['green', 'nir08']},
  nbr: {title: 'NBR (nir08, swir22)', ratio: ['nir08', 'swir22']},
};

// ColorBrewer's BrBG and YlOrRd, which most colour-blind people can read.
export const INDEX_RAMP = [[-1, '#543005'], [-0.5, '#bf812d'], [-0.1, '#f6e8c3'], [0.1, '#f5f5f5'], [0.3, '#c7eae5'], [0.6, '#35978f'], [1, '#003c30']];
export const SIGMA_RAMP = [[0, '#ffffcc'], [0.01, '#fed976'], [0.02, '#fd8d3c'], [0.04, '#e31a1c'], [0.08, '#67001f']];
export const BIT_COLOURS = ['#000000', '#a6cee3', '#cab2d6', '#ffffff', '#6a3d9a', '#00ffff', '#1f78b4', '#ff00ff', '#ff7f00', '#b15928', '#999999', '#666600', '#e31a1c'];

const reflectance = (band) => ['+', ['*', ['band', band], ['var', 'scale']], ['var', 'offset']];
const chosen = (name) => reflectance(['var', name]);
const stretched = (band, k) => [
  '^', ['clamp', ['/', ['-', chosen(band), ['var', `low${k}`]], ['-', ['var', `high${k}`], ['var', `low${k}`]]], 0, 1], 1 / 1.4,
];
const ramp = (stops, value) => ['interpolate', ['linear'], value, ...stops.flat()];

export function imageStyle(variables) {
  const index = ['/', ['-', chosen('band0'), chosen('band1')], ['+', chosen('band0'), chosen('band1'), 1e-6]];
  return {
    variables,
    color: [
      'case',
      ['<=', ['band', VALID], 0], [0, 0, 0, 0],
      ['==', ['var', 'index'], 1], ramp(INDEX_RAMP, index),
      ['array', stretched('band0', 0), stretched('band1', 1), stretched('band2', 2), 1],
    ],
  };
}

// Variables of a choice of bands. stretch: [low, high] of each band; bright: a factor.
export function imageVariables(show, stretch, bright, {scale, offset}) {
  const {bands, ratio} = SHOWN[show];
  const names = bands ?? [...ratio, ratio[1]];
  const variables = {index: ratio ? 1 : 0, scale, offset};
  names.forEach((name, k) => {
    const [low, high] = stretch[BANDS[name] - 1];
    variables[`band${k}`] = BANDS[name];
    variables[`low${k}`] = low;
    variables[`high${k}`] = low + Math.max(high - low, 1e-4) / bright;
  });
  return variables;
}

export function sigmaStyle(variables) {
  return {variables, color: ['case', ['<=', ['band', VALID], 0], [0, 0, 0, 0], ramp(SIGMA_RAMP, ['*', ['band', ['var', 'band']], 1e-4])]};
}

// Expressions have no bit operations: a bit is the remainder of a whole quotient.
export function bitsStyle(bits, variables) {
  const cases = bits.toReversed().flatMap((bit) => [
    ['all', ['==', ['var', bit.name], 1], ['==', ['%', ['floor', ['/', ['band', 1], bit.value]], 2], 1]],
    bit.colour,
  ]);
  return {variables, color: ['case', ...cases, [0, 0, 0, 0]]};
}
