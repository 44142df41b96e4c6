// Bundle the page into the Python package: `npm ci --ignore-scripts && node build.mjs [folder]`.

import {createHash} from 'node:crypto';
import {readFileSync, readdirSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {build} from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, '..', 'src', 'l8s2', 'viewer', 'static');

const sources = ['build.mjs', 'package-lock.json', ...readdirSync(join(here, 'src')).sort().map((name) => `src/${name}`)];
const hash = createHash('sha256');
for (const name of sources) hash.update(`${name}\0`).update(readFileSync(join(here, name)));

const {metafile} = await build({
  absWorkingDir: here,
  entryPoints: {viewer: 'src/main.js'},
  outdir: out,
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2022',
  legalComments: 'none',
  metafile: true,
  banner: {js: `/* l8s2 viewer; licences in THIRD_PARTY.txt; sources ${hash.digest('hex')} */`},
});

const css = readFileSync(join(out, 'viewer.css'), 'utf8');
writeFileSync(join(out, 'viewer.css'), css + readFileSync(join(here, 'src', 'page.css'), 'utf8'));
writeFileSync(join(out, 'index.html'), readFileSync(join(here, 'src', 'index.html'), 'utf8'));

const packages = new Set();
for (const input of Object.keys(metafile.inputs)) {
  const found = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
  if (found) packages.add(found[1]);
}
const notices = [...packages].sort().map((name) => {
  const folder = join(here, 'node_modules', name);
  const {version, license} = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim() : `(the package holds no text; ${license} is the one of another package below or above)`;
  return `${name} ${version} (${license})\n\n${text}\n`;
});
const head = 'viewer.js and viewer.css hold code of these packages, under their own licences.\n\n';
writeFileSync(join(out, 'THIRD_PARTY.txt'), head + notices.join(`\n${'-'.repeat(80)}\n\n`));
