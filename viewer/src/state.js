// What the page shows, in the part of its address behind '#': a link restores it.

const KEYS = {p: 'product', l: 'left', r: 'right', b: 'show', o: 'over', d: 'band', q: 'bits', s: 'swipe', g: 'bright', x: 'x', y: 'y', z: 'gsd', at: 'at', box: 'box'};
const FAR = 1e8;
const RANGES = {swipe: [0, 100], bright: [0.3, 3], bits: [0, 0xffff], x: [-FAR, FAR], y: [-FAR, FAR], gsd: [1e-6, 1e4]};

// Numbers that are none are left out, others brought into their range.
export function readHash() {
  const given = new URLSearchParams(location.hash.slice(1));
  const state = {};
  for (const [key, name] of Object.entries(KEYS)) {
    const text = given.get(key);
    if (text === null || !(name in RANGES)) {
      if (text !== null) state[name] = text;
    } else if (text !== '' && Number.isFinite(Number(text))) {
      const [low, high] = RANGES[name];
      state[name] = Math.min(Math.max(Number(text), low), high);
    }
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
