// What the page shows, in the part of its address behind '#': a link restores it.

const KEYS = {p: 'product', l: 'left', r: 'right', b: 'show', o: 'over', d: 'band', q: 'bits', s: 'swipe', g: 'bright', x: 'x', y: 'y', z: 'gsd', at: 'at', box: 'box'};
const NUMBERS = new Set(['swipe', 'bright', 'bits', 'x', 'y', 'gsd']);

export function readHash() {
  const given = new URLSearchParams(location.hash.slice(1));
  const state = {};
  for (const [key, name] of Object.entries(KEYS)) {
    const text = given.get(key);
    if (text === null) continue;
    if (!NUMBERS.has(name)) state[name] = text;
    else if (text !== '' && Number.isFinite(Number(text))) state[name] = Number(text);
  }
  return state;
}

export function writeHash(state) {
  const said = new URLSearchParams();
  for (const [key, name] of Object.entries(KEYS)) {
    if (state[name] !== undefined && state[name] !== null && state[name] !== '') said.set(key, state[name]);
  }
  history.replaceState(null, '', `#${said}`);
}

export function numbers(text, count) {
  const values = (text ?? '').split(',').map(Number);
  return values.length === count && values.every(Number.isFinite) ? values : null;
}
