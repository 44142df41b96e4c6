// Where things lie: coordinate systems, and the blocks of 3 x 3 output pixels that are one Landsat pixel.

import proj4 from 'proj4';
import Projection from 'ol/proj/Projection.js';
import {register} from 'ol/proj/proj4.js';
import {get as getProjection, transform} from 'ol/proj.js';

// Every UTM zone of WGS 84 is known, which is what products and Sentinel-2 come in.
export function registerZones() {
  for (let zone = 1; zone <= 60; zone++) {
    const two = String(zone).padStart(2, '0');
    proj4.defs(`EPSG:326${two}`, `+proj=utm +zone=${zone} +datum=WGS84 +units=m +no_defs`);
    proj4.defs(`EPSG:327${two}`, `+proj=utm +zone=${zone} +south +datum=WGS84 +units=m +no_defs`);
  }
  register(proj4);
}

// Other systems are shown as they are, without longitude and latitude.
export function projectionOf(code) {
  return getProjection(code || '') ?? new Projection({code: code || 'unknown', units: 'm'});
}

const known = (code) => /^EPSG:(326|327)\d\d$|^EPSG:(4326|3857)$/.test(code);

// Whether rasters in these systems can be drawn on one map.
export function comparable(one, other) {
  return one === other || (known(one) && known(other));
}

export function lonLat(coordinate, projection) {
  return known(projection.getCode()) ? transform(coordinate, projection, 'EPSG:4326') : null;
}

// Upper left corner of the block that holds the raster's. Centres of MS pixels are multiples of 30 m in the northern zone,
// and the block reaches from 10 m left of it to 20 m right; southern northings are 10 000 000 m larger.
export function blockCorner({left, top}, projection) {
  const south = /^EPSG:327/.test(projection.getCode()) ? 1e7 : 0;
  const rest = (value, phase) => (((value - phase) % 30) + 30) % 30;
  return [left - rest(left, 20), top + ((30 - rest(top - south, 10)) % 30)];
}
