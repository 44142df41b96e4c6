// Rasters read by window, exactly as stored, and the sources that OpenLayers draws.

import {fromBlob, fromUrl, Pool} from 'geotiff';
import DataTile from 'ol/source/DataTile.js';
import TileGrid from 'ol/tilegrid/TileGrid.js';
import {blockCorner} from './lattice.js';

const SIX = [1, 2, 3, 4, 5, 6];
const TILE = 512; // pixels of the file to the side of a tile
const BLOCKS = 128; // 30 m pixels to the side of one
const TILES = 16; // of 7 MB
const OPENED = 16; // rasters, each with a few megabytes of its file
// The library forgets blocks that are still waited for once a raster's cache is full: 128 MB hold what loads at one time.
const CACHE = {blockSize: 1 << 18, cacheSize: 512};
const pool = new Pool(Math.min(navigator.hardwareConcurrency || 2, 4));
const opened = new Map();
let numbered = 0;

// The images of a file, the largest first, with where they lie. The file: its address, or a File of this machine.
export function openRaster(url) {
  const found = opened.get(url) ?? open(url);
  opened.delete(url);
  opened.set(url, found); // last, so that the first is the one not used for longest
  if (opened.size > OPENED) opened.delete(opened.keys().next().value);
  found.catch(() => opened.delete(url));
  return found;
}

async function open(url) {
  const tiff = await (url instanceof Blob ? fromBlob(url) : fromUrl(url, CACHE));
  const count = await tiff.getImageCount();
  const all = await Promise.all([...Array(count).keys()].map((k) => tiff.getImage(k)));
  const images = all.filter((image) => ((image.fileDirectory.getValue('NewSubfileType') || 0) & 4) === 0);
  images.sort((a, b) => b.getWidth() - a.getWidth());
  const [full] = images;
  const [left, top] = full.getOrigin();
  const [dx, dy] = full.getResolution();
  const width = full.getWidth();
  const height = full.getHeight();
  const said = (await full.getGDALMetadata(0)) || {};
  const {ProjectedCSTypeGeoKey, GeographicTypeGeoKey} = full.getGeoKeys() ?? {};
  const system = ProjectedCSTypeGeoKey ?? GeographicTypeGeoKey;
  return {
    number: ++numbered, images, width, height, left, top, dx, dy,
    extent: [left, top + height * dy, left + width * dx, top],
    code: system && system !== 32767 ? `EPSG:${system}` : null,
    bands: full.getSamplesPerPixel(),
    nodata: full.getGDALNoData(),
    scale: 'SCALE' in said ? Number(said.SCALE) : full.getSampleFormat() === 3 ? 1 : 1e-4,
    offset: 'OFFSET' in said ? Number(said.OFFSET) : 0,
  };
}

// Samples of columns x0..x1 and rows y0..y1 of an image, one array a band; what lies beyond the raster is nodata.
export function readWindow(raster, [x0, y0, x1, y1], level = 0) {
  const samples = raster.bands > 6 ? SIX.map((band) => band - 1) : undefined;
  return raster.images[level].readRasters({window: [x0, y0, x1, y1], samples, interleave: false, pool, fillValue: raster.nodata ?? 0});
}

// A source of what the map draws: tiles by gsd, the coarsest first, with the file's level of each and the pixels that it averages.
function tiledSource(raster, projection, levels) {
  const tileGrid = new TileGrid({
    extent: raster.extent,
    resolutions: levels.map(({gsd}) => gsd),
    origins: levels.map(({corner}) => corner),
    tileSizes: levels.map(({size}) => size),
  });
  const loader = (z, x, y) => tileOf(raster, levels[z], x, y);
  const bandCount = raster.bands > 1 ? SIX.length + 1 : 1;
  const source = new DataTile({loader, projection, tileGrid, bandCount, interpolate: false, transition: 0, wrapX: false});
  source.setTileSizes(levels.map(({size}) => [size, size]));
  return source;
}

const levelsOf = (raster) => raster.images.map((image, level) => ({
  level, gsd: (raster.dx * raster.width) / image.getWidth(), corner: [raster.left, raster.top], size: TILE, times: 1, skip: [0, 0],
})).reverse();

// The raster as it is.
export const imageSource = (raster, projection) => tiledSource(raster, projection, levelsOf(raster));

// The 30 m image: the mean of the 3 x 3 output pixels of each Landsat pixel. Smaller scales show the overviews as they are.
export function blockSource(raster, projection) {
  const corner = blockCorner(raster, projection);
  const skip = [Math.round((raster.left - corner[0]) / raster.dx), Math.round((raster.top - corner[1]) / raster.dy)];
  const coarse = levelsOf(raster).filter(({gsd}) => gsd > 3.5 * raster.dx);
  return tiledSource(raster, projection, [...coarse, {level: 0, gsd: 3 * raster.dx, corner, size: BLOCKS, times: 3, skip}]);
}

// Both images show the same tiles of overviews: what one has asked for the other need not read again.
const tiles = new Map();

function tileOf(raster, {level, size, times, skip}, x, y) {
  const key = [raster.number, level, times, x, y].join();
  const found = tiles.get(key) ?? readTile(raster, level, size, times, [x * size * times - skip[0], y * size * times - skip[1]]);
  tiles.delete(key);
  tiles.set(key, found);
  if (tiles.size > TILES) tiles.delete(tiles.keys().next().value);
  found.catch(() => tiles.delete(key));
  return found;
}

async function readTile(raster, level, size, times, [x0, y0]) {
  const samples = await readWindow(raster, [x0, y0, x0 + size * times, y0 + size * times], level);
  return raster.bands > 1 ? means(samples, size, times, raster.nodata) : Float32Array.from(samples[0]);
}

// Means of times x times pixels of a square, nodata left out, and a seventh band that is 1 where any band is known.
function means(samples, size, times, nodata) {
  const tile = new Float32Array(size * size * 7);
  const sums = new Float64Array(size);
  const counts = new Uint8Array(size);
  for (let band = 0; band < 6; band++) {
    for (let row = 0; row < size; row++) {
      sums.fill(0);
      counts.fill(0);
      for (let line = row * times; line < (row + 1) * times; line++) {
        for (let column = 0, i = line * size * times; column < size; column++) {
          for (let k = 0; k < times; k++, i++) {
            const sample = samples[band][i];
            if (sample === nodata || Number.isNaN(sample)) continue;
            sums[column] += sample;
            counts[column]++;
          }
        }
      }
      for (let column = 0, at = 7 * row * size; column < size; column++, at += 7) {
        if (!counts[column]) continue;
        tile[at + band] = sums[column] / counts[column];
        tile[at + 6] = 1;
      }
    }
  }
  return tile;
}

// [low, high] of each band that leave out the brightest and darkest, from the smallest image of the file, in reflectance.
export async function stretchOf(raster) {
  const level = raster.images.length - 1;
  const image = raster.images[level];
  const samples = await readWindow(raster, [0, 0, image.getWidth(), image.getHeight()], level);
  return [...samples].map((band) => {
    const step = Math.max(1, Math.floor(band.length / 65536));
    const known = band.filter((value, k) => k % step === 0 && value !== raster.nodata).sort();
    const at = (share) => (known.length ? known[Math.floor(share * (known.length - 1))] * raster.scale + raster.offset : share);
    const [low, high] = [at(0.01), at(0.98)];
    return [low - 0.1 * (high - low), high];
  });
}
