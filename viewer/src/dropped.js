// Products in a folder that is dropped into the page, or chosen: read from the disk by the browser, sent nowhere.

const RASTERS = ['surface_reflectance', 'sigma', 'qa'];
const LARGEST_ITEM = 1 << 20; // bytes

// The products among files, each as the index of the server tells it, with File objects in place of addresses.
export async function productsIn(files) {
  const items = files.filter((file) => file.name.endsWith('.json') && file.size <= LARGEST_ITEM);
  const found = await Promise.all(items.map(async (file) => entry(await parsed(file), files)));
  return found.filter(Boolean);
}

// The files of a drop, also those in folders.
export async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  return (await Promise.all(entries.map(filesIn))).flat();
}

async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail)); // at most a hundred at a time
    if (!some.length) return found.flat();
    found.push(...(await Promise.all(some.map(filesIn))));
  }
}

async function parsed(file) {
  try {
    return JSON.parse(await file.text());
  } catch {
    return null;
  }
}

function entry(item, files) {
  const said = item?.properties;
  if (typeof said?.['l8s2:model'] !== 'string' || typeof item.assets !== 'object') return null;
  const named = RASTERS.map((key) => [key, files.find((file) => file.name === String(item.assets[key]?.href).split('/').pop())]);
  const rasters = Object.fromEntries(named.filter(([, file]) => file));
  if (!rasters.surface_reflectance) return null;
  const {reasons = [], bands = []} = {reasons: said['l8s2:verdict_reasons'], bands: item.assets.surface_reflectance.bands};
  return {
    id: String(item.id),
    datetime: String(said.datetime ?? ''),
    platform: String(said.platform ?? ''),
    crs: said['proj:code'],
    warped: Boolean(said['l8s2:warped']),
    model: said['l8s2:model'],
    verdict: said['l8s2:verdict'],
    reasons: [].concat(reasons).map(String),
    clear_percent: said['l8s2:clear_percent'],
    sigma: said['l8s2:sigma'] ?? {},
    wavelengths: [].concat(bands).map((band) => band?.['eo:center_wavelength']),
    files: rasters,
  };
}
