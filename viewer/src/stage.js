// The map: three images of which two are shown beside each other, two overlays, and the marks of what was read.

import Feature from 'ol/Feature.js';
import Map from 'ol/Map.js';
import View from 'ol/View.js';
import {defaults as defaultControls} from 'ol/control/defaults.js';
import ScaleLine from 'ol/control/ScaleLine.js';
import Point from 'ol/geom/Point.js';
import {fromExtent} from 'ol/geom/Polygon.js';
import DragBox from 'ol/interaction/DragBox.js';
import VectorLayer from 'ol/layer/Vector.js';
import WebGLTileLayer from 'ol/layer/WebGLTile.js';
import {getRenderPixel} from 'ol/render.js';
import VectorSource from 'ol/source/Vector.js';
import {Circle, Fill, Stroke, Style} from 'ol/style.js';
import {intersects} from 'ol/extent.js';

const IMAGES = ['m30', 'm10', 's2'];
const OVERLAYS = ['sigma', 'qa'];
const CACHE = 32; // tiles of 512 x 512 x 7 numbers
const line = [new Stroke({color: '#000', width: 5}), new Stroke({color: '#fff', width: 2})];
const marks = line.map((stroke) => new Style({stroke, image: new Circle({radius: 7, stroke, fill: new Fill({color: '#0000'})})}));

export class Stage {
  constructor({imageStyle, sigmaStyle, bitsStyle}) {
    const layer = (style, zIndex) => new WebGLTileLayer({style, visible: false, cacheSize: CACHE, zIndex});
    this.layers = {
      m30: layer(imageStyle(), 0), m10: layer(imageStyle(), 0), s2: layer(imageStyle(), 0), sigma: layer(sigmaStyle, 1), qa: layer(bitsStyle, 2),
    };
    this.marks = new VectorSource();
    this.sides = {left: 'm30', right: 'm10'};
    this.share = 0.5;
    const layers = [...Object.values(this.layers), new VectorLayer({source: this.marks, style: marks, zIndex: 3})];
    this.map = new Map({target: 'map', layers, controls: defaultControls({rotate: false, attribution: false}).extend([new ScaleLine()])});
    this.box = new DragBox();
    this.box.setActive(false);
    this.map.addInteraction(this.box);
    IMAGES.forEach((name) => this.clip(name, this.layers[name]));
  }

  // Scissors leave each image its own side of the divider.
  clip(name, image) {
    image.on('prerender', (event) => {
      const {left, right} = this.sides;
      const [width, height] = this.map.getSize();
      const from = name === left ? 0 : this.share;
      const to = name === right ? 1 : this.share;
      const [x0, y0] = getRenderPixel(event, [width * from, height]);
      const [x1, y1] = getRenderPixel(event, [width * to, 0]);
      const gl = event.context;
      gl.enable(gl.SCISSOR_TEST);
      gl.scissor(Math.round(x0), Math.round(y0), Math.max(0, Math.round(x1) - Math.round(x0)), Math.round(y1 - y0));
      gl.bindFramebuffer(gl.FRAMEBUFFER, null); // all images share a canvas, which OpenLayers clears before the first alone
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
    });
    image.on('postrender', (event) => event.context.disable(event.context.SCISSOR_TEST));
  }

  setSides(sides, share) {
    this.sides = sides;
    this.share = share;
    for (const name of IMAGES) this.layers[name].setVisible(name === sides.left || name === sides.right);
    this.map.render();
  }

  setSources(sources) {
    for (const [name, source] of Object.entries(sources)) {
      this.layers[name].setSource(source);
      source?.on('tileloaderror', () => this.failed?.());
    }
  }

  showOver(name) {
    for (const key of OVERLAYS) this.layers[key].setVisible(key === name);
  }

  // Keep the view where the next product lies there as well, or go where a link says.
  look(projection, extent, wanted) {
    const before = this.map.getView();
    const same = before.getProjection()?.getCode() === projection.getCode() && before.isDef();
    if (!wanted && same && intersects(before.calculateExtent(), extent)) return;
    const view = new View({projection, center: wanted?.center ?? [0, 0], resolution: wanted?.gsd ?? 10, minResolution: 0.2, maxResolution: 4000, smoothResolutionConstraint: false, enableRotation: false});
    this.map.setView(view);
    if (!wanted) view.fit(extent, {size: this.map.getSize()});
  }

  markPoint(coordinate) {
    this.mark(new Point(coordinate));
  }

  markArea(extent) {
    this.mark(fromExtent(extent));
  }

  mark(geometry) {
    this.marks.clear();
    this.marks.addFeature(new Feature(geometry));
  }

  // Once all that is visible has been drawn.
  drawn() {
    return new Promise((done) => {
      this.map.once('rendercomplete', done);
      this.map.render();
    });
  }
}
