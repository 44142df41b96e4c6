// Drawings of readings, each beside a table that says the same.

const SVG = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [340, 190, 34, 26, 18];

export function node(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.append(...children);
  return element;
}

function shape(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function canvas(label) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', label);
  shape(svg, 'path', {class: 'axis', d: `M${LEFT},${TOP}V${HEIGHT - BOTTOM}H${WIDTH - 4}`});
  return svg;
}

export function table(head, rows) {
  const cells = (row) => [node('th', {scope: 'row'}, row[0]), ...row.slice(1).map((text) => node('td', {}, text))];
  return node('table', {}, node('thead', {}, node('tr', {}, ...head.map((text) => node('th', {scope: 'col'}, text)))),
    node('tbody', {}, ...rows.map((row) => node('tr', {}, ...cells(row)))));
}

// series: [{name, kind, values, half}], six values each; null where there is none.
export function spectrum(names, wavelengths, series) {
  const svg = canvas('Reflectance by wavelength; the table below has the values.');
  const tops = series.flatMap((s) => s.values.map((v, k) => (v ?? 0) + (s.half?.[k] ?? 0)));
  const most = Math.max(0.1, Math.ceil(Math.max(...tops) * 10) / 10);
  const x = (k) => LEFT + 14 + ((wavelengths[k] - 0.4) / 1.9) * (WIDTH - LEFT - 30);
  const y = (v) => HEIGHT - BOTTOM - (Math.max(v, 0) / most) * (HEIGHT - BOTTOM - TOP);
  for (const share of [0, 0.5, 1]) shape(svg, 'text', {x: LEFT - 4, y: y(share * most) + 4, 'text-anchor': 'end'}, (share * most).toFixed(2));
  names.forEach((name, k) => shape(svg, 'text', {x: x(k), y: HEIGHT - (k % 2 ? 2 : 13), 'text-anchor': 'middle'}, name));
  series.forEach(({name, kind, values, half}, s) => {
    shape(svg, 'circle', {class: kind, cx: LEFT + 12 + 105 * s, cy: 7, r: 4});
    shape(svg, 'text', {x: LEFT + 20 + 105 * s, y: 11}, name);
    const known = values.flatMap((v, k) => (v === null ? [] : [`${x(k)},${y(v)}`]));
    shape(svg, 'polyline', {class: kind, points: known.join(' '), 'fill-opacity': 0, 'stroke-opacity': 0.5});
    values.forEach((v, k) => {
      if (v === null) return;
      if (half?.[k]) shape(svg, 'path', {class: `${kind} key`, d: `M${x(k)},${y(v - half[k])}V${y(v + half[k])}M${x(k) - 4},${y(v + half[k])}h8M${x(k) - 4},${y(v - half[k])}h8`});
      shape(svg, 'circle', {class: kind, cx: x(k), cy: y(v), r: 3.5});
    });
  });
  return svg;
}

export function bars({low, high, counts}, name) {
  const svg = canvas(`Histogram of ${name}, ${low.toFixed(3)} to ${high.toFixed(3)}`);
  const most = Math.max(...counts, 1);
  const step = (WIDTH - LEFT - 8) / counts.length;
  counts.forEach((count, k) => {
    const tall = (count / most) * (HEIGHT - BOTTOM - TOP);
    shape(svg, 'rect', {class: 'bar', x: LEFT + 2 + k * step, y: HEIGHT - BOTTOM - tall, width: step - 1, height: tall});
  });
  shape(svg, 'text', {x: LEFT, y: HEIGHT - 10}, low.toFixed(3));
  shape(svg, 'text', {x: WIDTH - 4, y: HEIGHT - 10, 'text-anchor': 'end'}, high.toFixed(3));
  shape(svg, 'text', {x: LEFT - 4, y: TOP + 4, 'text-anchor': 'end'}, String(most));
  return svg;
}

// A ramp of [value, colour] with its values below.
export function rampKey(stops, unit) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 340 34');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${unit}: ${stops.map(([value, colour]) => `${value} ${colour}`).join(', ')}`);
  const [low, high] = [stops[0][0], stops.at(-1)[0]];
  const share = (value) => (value - low) / (high - low);
  const gradient = shape(shape(svg, 'defs', {}), 'linearGradient', {id: `ramp-${stops.length}-${low}`});
  stops.forEach(([value, colour]) => shape(gradient, 'stop', {offset: share(value), 'stop-color': colour}));
  shape(svg, 'rect', {x: 16, y: 2, width: 308, height: 12, fill: `url(#ramp-${stops.length}-${low})`, class: 'frame'});
  stops.forEach(([value]) => shape(svg, 'text', {x: 16 + 308 * share(value), y: 28, 'text-anchor': 'middle'}, String(value)));
  return svg;
}
