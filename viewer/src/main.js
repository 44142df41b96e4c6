// The page: controls, what they change, and what is read.

import 'ol/ol.css';
import {blockSource, imageSource, openRaster, stretchOf} from './raster.js';
import {filesOf, productsIn} from './dropped.js';
import {comparable, projectionOf, registerZones} from './lattice.js';
import {MOST_PIXELS, readArea, readOther, readPoint, windowOf} from './readings.js';
import {areaPanel, legendPanel, NAMES, place, pointPanel} from './panels.js';
import {node} from './plots.js';
import {Stage} from './stage.js';
import {numbers, readHash, writeHash} from './state.js';
import {BIT_COLOURS, bitsStyle, imageStyle, imageVariables, SHOWN, sigmaStyle} from './styles.js';
import {transform} from 'ol/proj.js';

const PLAIN = {scale: 1e-4, offset: 0};
const $ = (id) => document.getElementById(id);
const state = {left: 'm30', right: 'm10', show: 'true', over: 'none', band: 'nir08', bits: 0x1fff & ~64 & ~1024, swipe: 50, bright: 1};
let index;
let stage;
let now = null; // the product that is shown, with its rasters
let asked = 0; // products asked for; what arrives for an earlier question is dropped
let reading = 0; // the same of readings

function tell(text) {
  $('status').textContent = text;
}

let working = 0; // what is being read now, the map's tiles as one

function busy(change) {
  working += change;
  $('stage').setAttribute('aria-busy', working > 0);
}

async function attempt(work) {
  busy(1);
  try {
    await work();
  } catch (error) {
    tell(`Not readable: ${error.message ?? error}`);
  } finally {
    busy(-1);
  }
}

const kinds = () => ({
  m30: now?.landsat ? 'Landsat, 30 m' : '30 m (means of 3 × 3 output pixels)',
  m10: '10 m output',
  ...(index.sentinel2 ? {s2: index.sentinel2.name} : {}),
});

function choices(id, titles) {
  $(id).replaceChildren(...Object.entries(titles).map(([value, title]) => node('option', {value}, title)));
}

const dated = (product) => `${product.datetime.slice(0, 10)} ${product.id}`;

async function showProduct(id, wanted) {
  const mine = ++asked;
  tell('');
  const product = index.products.find((one) => one.id === id) ?? index.products[0];
  const sr = await openRaster(product.files.surface_reflectance);
  const input = index.landsat?.find((one) => product.id.startsWith(one.name));
  const [stretch, other, landsat] = await Promise.all([stretchOf(sr), ...[index.sentinel2, input].map((one) => one && openRaster(one.href))]);
  if (mine !== asked) return;
  const projection = projectionOf(product.crs);
  now = {product, sr, stretch, projection, aligned: !product.warped, landsat: usable(landsat, projection), ...compared(other, projection)};
  stage.look(projection, sr.extent, wanted);
  stage.setSources({
    m10: imageSource(sr, projection),
    m30: now.landsat ? imageSource(now.landsat, projectionOf(now.landsat.code)) : now.aligned ? blockSource(sr, projection) : null,
    s2: now.other && imageSource(now.other, now.otherProjection),
    sigma: null,
    qa: null,
  });
  state.product = product.id;
  describe(product);
  apply();
}

// The raster to compare with and its projection, where it can be shown in that of the product.
function compared(other, projection) {
  if (!other) return {other: null};
  const code = other.code ?? projection.getCode();
  const wrong = other.bands < 6 ? `has ${other.bands} bands; six are needed` : comparable(code, projection.getCode()) ? '' : `is in ${code}; warp it to ${projection.getCode()}`;
  if (wrong) tell(`${index.sentinel2.name} ${wrong}.`);
  return wrong ? {other: null} : {other, otherProjection: projectionOf(code)};
}

// The Landsat file lies in the zone of the product, unless that was warped.
const usable = (landsat, projection) => (landsat && comparable(landsat.code, projection.getCode()) ? landsat : null);

const raster = (key) => (now.product.files[key] ? openRaster(now.product.files[key]) : null);

// Overlays are opened when they are first asked for.
async function openOverlay() {
  const here = now;
  const name = state.over;
  if (name === 'none' || stage.layers[name].getSource()) return;
  const opened = await raster(name);
  if (!opened) tell(`This product has no ${name === 'qa' ? 'quality bits' : 'standard errors'}.`);
  else if (here === now) stage.setSources({[name]: imageSource(opened, here.projection)});
}

function describe(product) {
  $('title').textContent = product.id;
  document.title = `${product.id}, l8s2 view`;
  const verdict = product.verdict ? `verdict ${product.verdict}${product.reasons.length ? `: ${product.reasons.join('; ')}` : ''}` : '';
  const clear = typeof product.clear_percent === 'number' ? `${product.clear_percent} % clear` : 'clouds not flagged';
  $('facts').textContent = [product.platform, product.datetime, product.crs, `model ${product.model}`, clear, verdict].filter(Boolean).join(' · ');
  $('input').textContent = now.landsat ? '' : 'The 30 m image is made from the output, not read from the Landsat file: each pixel is the mean of the 3 × 3 output pixels under it, sharper than Landsat saw it. With --landsat INPUT the file itself is shown.';
  $('time').value = index.products.indexOf(product);
  $('time').setAttribute('aria-valuetext', dated(product));
  $('product').value = product.id;
  for (const id of ['left', 'right']) {
    const blocks = $(id).querySelector('[value=m30]');
    blocks.textContent = kinds().m30;
    blocks.disabled = !now.aligned && !now.landsat;
    if (blocks.disabled && state[id] === 'm30') state[id] = 'm10';
  }
}

// Bring map and controls to the state. Changes of bands and overlays need no request.
function apply() {
  if (!now) return;
  for (const id of ['left', 'right', 'show', 'over', 'band', 'swipe', 'bright']) $(id).value = state[id];
  $('swipe').setAttribute('aria-valuetext', `${state.swipe} percent`);
  $('divider').style.left = `${state.swipe}%`;
  $('divider').hidden = state.left === state.right;
  const titles = kinds();
  $('tag-left').textContent = titles[state.left];
  $('tag-right').textContent = state.left === state.right ? '' : titles[state.right];
  $('tag-right').hidden = state.left === state.right;
  for (const name of ['m30', 'm10', 's2']) {
    stage.layers[name].updateStyleVariables(imageVariables(state.show, now.stretch, state.bright, (name === 's2' && now.other) || PLAIN));
  }
  stage.layers.sigma.updateStyleVariables({band: NAMES.indexOf(state.band) + 1});
  stage.layers.qa.updateStyleVariables(bitVariables());
  stage.setSides({left: state.left, right: state.right}, state.swipe / 100);
  stage.showOver(state.over);
  attempt(openOverlay);
  $('bits').hidden = state.over !== 'qa';
  for (const box of $('bits').querySelectorAll('input')) box.checked = (state.bits & Number(box.value)) !== 0;
  $('legend').replaceChildren(...legendPanel(state));
  remember();
}

const bitVariables = () => Object.fromEntries(index.bits.map((bit) => [bit.name, state.bits & bit.value ? 1 : 0]));

function remember() {
  const view = stage.map.getView();
  const [x, y] = view.getCenter() ?? [];
  writeHash({...state, x: x && x.toFixed(1), y: y && y.toFixed(1), gsd: view.getResolution()?.toPrecision(5)});
}

async function point(coordinate) {
  if (!now) return;
  const [here, mine] = [now, ++reading];
  tell('');
  const {projection, other, otherProjection} = here;
  state.at = coordinate.map((v) => v.toFixed(1)).join(',');
  state.box = null;
  stage.markPoint(coordinate);
  remember();
  const [sigma, qa] = await Promise.all([raster('sigma'), raster('qa')]);
  const found = await readPoint({...here, sigma, qa}, projection, coordinate);
  const theirs = other && (await readOther(other, transform(coordinate, projection, otherProjection)));
  if (here !== now || mine !== reading) return;
  if (!found) {
    $('reading').replaceChildren(node('p', {}, 'No pixel of the product here.'));
    return;
  }
  $('reading').replaceChildren(...pointPanel(now, found, theirs, place(coordinate, projection), index.bits));
}

async function area(extent) {
  if (!now) return;
  const [here, mine] = [now, ++reading];
  tell('');
  const [x0, y0, x1, y1] = windowOf(now.sr, extent);
  const size = Math.max(x1 - x0, 0) * Math.max(y1 - y0, 0);
  state.box = extent.map((v) => v.toFixed(1)).join(',');
  state.at = null;
  stage.markArea(extent);
  remember();
  if (size === 0 || size > MOST_PIXELS) {
    const why = size ? `${(size / 1e6).toFixed(1)} million pixels; at most ${MOST_PIXELS / 1e6} million are read at once.` : 'No pixel of the product here.';
    $('reading').replaceChildren(node('p', {}, why));
    return;
  }
  const [sigma, qa] = await Promise.all([raster('sigma'), raster('qa')]);
  const found = await readArea({sr: here.sr, sigma, qa}, here.product.sigma, [x0, y0, x1, y1]);
  if (here !== now || mine !== reading) return;
  now.area = found;
  $('reading').replaceChildren(...areaPanel(now.area, state.band));
}

function change(id, name, convert = String) {
  $(id).addEventListener('input', () => {
    state[name] = convert($(id).value);
    apply();
    if (name === 'band' && state.box && now.area) $('reading').replaceChildren(...areaPanel(now.area, state.band));
  });
}

function wire() {
  for (const id of ['left', 'right', 'show', 'over', 'band']) change(id, id);
  change('swipe', 'swipe', Number);
  change('bright', 'bright', Number);
  let waiting;
  $('time').addEventListener('input', () => {
    $('product').value = index.products[$('time').value].id;
    clearTimeout(waiting);
    waiting = setTimeout(() => go($('product').value), 120);
  });
  $('product').addEventListener('input', () => go($('product').value));
  $('middle').addEventListener('click', () => attempt(() => point(stage.map.getView().getCenter())));
  $('visible').addEventListener('click', () => attempt(() => area(stage.map.getView().calculateExtent())));
  $('fit').addEventListener('click', () => now && stage.map.getView().fit(now.sr.extent));
  $('link').addEventListener('click', () => attempt(copyLink));
  $('map').addEventListener('keydown', (event) => event.key === 'Enter' && attempt(() => point(stage.map.getView().getCenter())));
  document.querySelectorAll('[name=tool]').forEach((radio) => radio.addEventListener('change', () => stage.box.setActive(tool() === 'area')));
  stage.map.on('singleclick', (event) => tool() === 'point' && attempt(() => point(event.coordinate)));
  stage.box.on('boxend', () => attempt(() => area(stage.box.getGeometry().getExtent())));
  stage.map.on('moveend', remember);
  stage.map.on('loadstart', () => busy(1));
  stage.map.on('loadend', () => busy(-1));
  $('folder').addEventListener('change', () => attempt(() => add([...$('folder').files])));
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    attempt(async () => add(await filesOf(event.dataTransfer)));
  });
  window.addEventListener('hashchange', () => attempt(restore));
}

const tool = () => document.querySelector('[name=tool]:checked').value;

async function go(id) {
  await attempt(async () => {
    await showProduct(id);
    await readAgain();
  });
}

async function readAgain() {
  const at = numbers(state.at, 2);
  const box = numbers(state.box, 4);
  if (at) await point(at);
  else if (box) await area(box);
}

async function copyLink() {
  remember();
  await navigator.clipboard.writeText(location.href);
  $('link').textContent = 'Copied';
  setTimeout(() => ($('link').textContent = 'Copy link'), 1500);
}

// Go where the address says; what it says of things that are not there is left out.
async function restore() {
  const {x, y, gsd, ...said} = readHash();
  const known = {left: kinds(), right: kinds(), show: SHOWN, over: {none: 1, sigma: 1, qa: 1}, band: Object.fromEntries(NAMES.map((name) => [name, 1]))};
  for (const [name, value] of Object.entries(said)) {
    if (!(name in known) || Object.hasOwn(known[name], value)) state[name] = value;
  }
  const wanted = x !== undefined && y !== undefined && gsd !== undefined ? {center: [x, y], gsd} : null;
  await showProduct(state.product, wanted);
  await readAgain();
}

function listProducts() {
  choices('product', Object.fromEntries(index.products.map((product) => [product.id, dated(product)])));
  $('time').max = index.products.length - 1;
  $('times').hidden = index.products.length < 2;
}

// Add the products of a folder of this machine to those of the server, and show the first of them.
async function add(files) {
  const found = await productsIn(files);
  if (!found.length) return tell('No product of l8s2 among these files: an Item (.json) and the rasters that it names.');
  const ids = new Set(found.map((product) => product.id));
  index.products = [...index.products.filter((product) => !ids.has(product.id)), ...found].sort((a, b) => a.datetime.localeCompare(b.datetime));
  listProducts();
  await go(found[0].id);
}

async function start() {
  registerZones();
  index = await (await fetch('products.json')).json();
  index.bits = index.bits.map((bit, k) => ({...bit, colour: BIT_COLOURS[k]}));
  if (!index.products.length) return tell('There is no product any more.');
  choices('left', kinds());
  choices('right', kinds());
  choices('show', Object.fromEntries(Object.entries(SHOWN).map(([key, {title}]) => [key, title])));
  choices('band', Object.fromEntries(NAMES.map((name) => [name, name])));
  listProducts();
  $('bits').append(...index.bits.map((bit) => {
    const swatch = node('span', {class: 'swatch'});
    swatch.style.background = bit.colour;
    const box = node('input', {type: 'checkbox', value: String(bit.value)});
    box.addEventListener('change', () => {
      state.bits = box.checked ? state.bits | bit.value : state.bits & ~bit.value;
      apply();
    });
    return node('label', {title: bit.description}, box, swatch, `${Math.log2(bit.value)} ${bit.name}`);
  }));
  const flat = [...Array(6)].map(() => [0, 1]);
  stage = new Stage({
    imageStyle: () => imageStyle(imageVariables(state.show, flat, 1, PLAIN)),
    sigmaStyle: sigmaStyle({band: 4}),
    bitsStyle: bitsStyle(index.bits, bitVariables()),
  });
  stage.failed = () => tell('A part of the image could not be read; move the map to try again.');
  wire();
  await restore();
  await stage.drawn();
  document.body.dataset.ready = 'yes';
}

if (document.createElement('canvas').getContext('webgl2') || document.createElement('canvas').getContext('webgl')) attempt(start);
else tell('This browser has no WebGL; a newer one, or one with graphics acceleration switched on, shows the map.');
