"""An evaluation as one web page that needs nothing but itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from l8s2.evaluation import tables
from l8s2.evaluation.evaluate import Scored
from l8s2.evaluation.metric_table import CALIBRATION, GROUPS, MEANING, VISIBLE_GROUP
from l8s2.evaluation.pictures import Shown, calibration_svg
from l8s2.evaluation.tables import Averages, means, shown, site_means
from l8s2.metrics.scores import NOTHING
from l8s2.sensors import BAND_NAMES

_BANDS = (*BAND_NAMES, *GROUPS, VISIBLE_GROUP)
_OPEN = ("psnr_gain", "rmse", "ssim", "coverage", "consistency")
"""Scores whose tables are open when the page is."""
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #1b1f24; }
h1 { font-size: 1.6em; } h2 { font-size: 1.25em; margin-top: 2em; border-bottom: 1px solid #d5d9de; }
h3 { font-size: 1em; margin: 1.6em 0 .3em; }
table { border-collapse: collapse; margin: .6em 0 1em; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #e6e9ed; white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
tr.model td:first-child { font-weight: 600; } td.best { background: #e2f2e2; }
.wide { overflow-x: auto; } .quiet { color: #5b6570; font-size: 13px; }
summary { cursor: pointer; } summary b { font-weight: 600; }
.heads { display: grid; font-size: 12px; color: #5b6570; }
.models img { width: 100%; image-rendering: pixelated; display: block; }
.models { margin: .4em 0 1em; } svg text { font-size: 12px; fill: #1b1f24; }
"""


def report(scored: Sequence[Scored], facts: Mapping[str, Any], pictures: Sequence[Shown]) -> str:
    """Return the whole page.

    Args:
        scored: from ``evaluate``.
        facts: of the run: ``mode``, ``l8s2``, ``disturbed``, ``models`` (name -> sha256), ``warnings``.
        pictures: worst first.
    """
    records = tables.all_records(scored)
    averages = means(records)
    models = set(facts["models"])
    parts = [
        _head(scored, facts),
        "<h2>Summary</h2>",
        f'<p class="quiet">Mean over the images of each site, then over sites. {_headings(facts["mode"])}</p>',
        _summary(averages, models, facts["mode"]),
        *_calibration(averages),
        *_by_site(scored, records, models, facts["mode"]),
        *_worst(scored, pictures, facts["mode"]),
        "<h2>Every score by band</h2>",
        '<p class="quiet">Groups are means over their bands; SAM and ERGAS take the bands of a group together. '
        "The best value of each column is marked.</p>",
        *_by_band(averages, models),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>l8s2 evaluation</title>'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _head(scored: Sequence[Scored], facts: Mapping[str, Any]) -> str:
    what = {
        "simulated": "Landsat simulated from Sentinel-2 images, with the nominal sensor and noise"
        + (" and disturbed radiometry" if facts["disturbed"] else ""),
        "pair": "A real Landsat scene against a Sentinel-2 image of the same ground",
        "no-reference": "Real Landsat scenes, without any truth",
    }[facts["mode"]]
    counted = "MS pixels" if facts["mode"] == "no-reference" else "values (pixels times bands)"
    sites = len({s.site for s in scored})
    models = ", ".join(f"{escape(name)} (sha256 {escape(sha[:12])})" for name, sha in facts["models"].items())
    warnings = "".join(f"<li>{escape(line)}</li>" for line in facts["warnings"])
    return (
        f"<h1>l8s2 evaluation</h1><p>{what}. {len(scored)} image{'s'[: len(scored) != 1]} of {sites} "
        f"site{'s'[: sites != 1]}, {sum(s.pixels for s in scored):,} {counted} counted; "
        "every model and baseline on the same ones."
        f' Reflectance throughout.</p><p class="quiet">Models: {models}. l8s2 {escape(facts["l8s2"])}.</p>'
        + (f"<ul>{warnings}</ul>" if warnings else "")
    )


def _headings(mode: str) -> str:
    names = dict.fromkeys(metric for _, metric in tables.columns(mode).values())
    return " ".join(f"<b>{name}</b>: {escape(MEANING[name][1])}." for name in names)


def _summary(averages: Averages, models: set[str], mode: str) -> str:
    heads = tables.columns(mode)
    rows = {name: [found.get(key, NOTHING).value for key in heads.values()] for name, found in averages.items()}
    return _table(list(heads), [metric for _, metric in heads.values()], rows, models)


def _by_band(averages: Averages, models: set[str]) -> Iterable[str]:
    for metric, (_, meaning) in MEANING.items():
        bands = [band for band in _BANDS if any((band, metric) in found for found in averages.values())]
        if not bands:
            continue
        rows = {
            name: [found.get((band, metric), NOTHING).value for band in bands]
            for name, found in averages.items()
            if any((band, metric) in found for band in bands)
        }
        n = max(found[band, metric].n for found in averages.values() for band in bands if (band, metric) in found)
        table = _table(bands, [metric] * len(bands), rows, models)
        state = " open" if metric in _OPEN else ""
        yield (
            f"<details{state}><summary><b>{metric}</b> <span class='quiet'>{escape(meaning)}; "
            f"n up to {n:,}</span></summary>"
            f"{table}</details>"
        )


def _by_site(scored: Sequence[Scored], records: Any, models: set[str], mode: str) -> Iterable[str]:
    metric = "consistency" if mode == "no-reference" else "psnr_gain"
    parts: dict[str, dict[str, Averages]] = {"site": site_means(records)}
    for kind, values in tables.strata(scored).items():
        parts[kind] = {value: means(tables.all_records(some)) for value, some in sorted(values.items())}
    for kind, found in parts.items():
        columns = [(value, group) for value in found for group in ("10 m", "20 m")]
        names = dict.fromkeys(name for averages in found.values() for name in averages)
        rows = {
            name: [found[value].get(name, {}).get((group, metric), NOTHING).value for value, group in columns]
            for name in names
        }
        yield f"<h2>{metric} by {escape(kind)}</h2>"
        yield _table([f"{value}, {group}" for value, group in columns], [metric] * len(columns), rows, models)


def _calibration(averages: Averages) -> Iterable[str]:
    curves = {}
    for name, found in averages.items():
        groups = {
            group: [(level, found[group, metric].value) for metric, level in CALIBRATION.items()]
            for group in ("10 m", "20 m")
            if (group, next(iter(CALIBRATION))) in found
        }
        known = {g: points for g, points in groups.items() if all(math.isfinite(y) for _, y in points)}
        if known:
            curves[name] = known
    if curves:
        yield "<h2>Calibration of sigma</h2>"
        yield (
            '<p class="quiet">Share of true values inside central intervals; below the diagonal sigma is too small.</p>'
        )
        yield calibration_svg(curves)


def _worst(scored: Sequence[Scored], pictures: Sequence[Shown], mode: str) -> Iterable[str]:
    if not pictures:
        return
    yield "<h2>Worst cases first</h2>"
    yield (
        f'<p class="quiet">{len(pictures)} of {len(scored)} images; the part of each with the largest errors '
        "of the first "
        "model (of sigma, without truth). Above red, green, blue; below nir08, swir16, swir22. Error and sigma "
        "share one scale, black is 0. Grey does not count.</p>"
    )
    for item in pictures:
        rows, columns = (f"{a} to {b}" for a, b in (item.window[:2], item.window[2:]))
        how = (
            f"consistency {item.badness:.5f}" if mode == "no-reference" else f"gain {-item.badness:+.2f} dB, all bands"
        )
        yield (
            f"<h3>{escape(item.name)}: {how}</h3>"
            f"<p class='quiet'>site {escape(item.site)}, rows {rows}, columns {columns}</p>"
        )
        for row in item.model_rows:
            heads = "".join(f"<span>{escape(head)}</span>" for head in row.headings)
            n = len(row.headings)
            yield (
                f'<div class="models"><b>{escape(row.model)}</b> '
                f'<span class="quiet">yellow: {row.scale:.4f} and more</span>'
                f'<div class="heads" style="grid-template-columns: repeat({n}, 1fr)">{heads}</div>'
                f'<img alt="{escape(row.model)} on {escape(item.name)}" src="{row.uri}"></div>'
            )


def _table(heads: Sequence[str], metrics: Sequence[str], rows: Mapping[str, Sequence[float]], models: set[str]) -> str:
    """``metrics``: what each column holds; the best value of each is marked."""
    best = [_best(metric, [row[i] for row in rows.values()]) for i, metric in enumerate(metrics)]
    lines = [
        "<tr><th></th>" + "".join(f"<th>{escape(head).replace('0 m', '0&nbsp;m')}</th>" for head in heads) + "</tr>"
    ]
    for name, row in rows.items():
        cells = "".join(
            f"<td{' class=best' if value == top else ''}>{shown(metric, value)}</td>"
            for metric, value, top in zip(metrics, row, best, strict=True)
        )
        lines.append(f"<tr{' class=model' if name in models else ''}><td>{escape(name)}</td>{cells}</tr>")
    return '<div class="wide"><table>' + "".join(lines) + "</table></div>"


def _best(metric: str, values: Sequence[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    if len(known) < 2:
        return None
    ideal = MEANING[metric][0]
    if math.isinf(ideal):
        return max(known) if ideal > 0 else min(known)
    return min(known, key=lambda value: abs(value - ideal))
