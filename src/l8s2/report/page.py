"""The page about one product."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from l8s2.evaluation.pictures import HEAT_COLOURS
from l8s2.masks import QA_BITS
from l8s2.report import origin
from l8s2.report.advice import LEVELS, advice_on
from l8s2.report.finished import Finished, SceneFacts, number
from l8s2.report.markup import figures, histogram, page, table, text
from l8s2.report.pictures import Shown, SigmaMap
from l8s2.report.sample import Sampled
from l8s2.sensors import BAND_NAMES

_MOST = 30
"""Lines of a list from outside."""


def report_page(
    product: Finished,
    numbers: dict[str, Any],
    sampled: Sampled,
    whole: list[list[Shown]],
    close: list[list[Shown]],
    sigma: SigmaMap | None,
) -> str:
    """Return the whole page.

    Args:
        product: what it is about.
        numbers: from ``numbers_of``.
        sampled: what the histograms are drawn from.
        whole: rows of pictures of the whole product.
        close: rows of pictures of the detail.
        sigma: map of the standard error; None where there is none.
    """
    title = product.item.id
    parts = [
        *_head(product, numbers),
        *_pictures(sampled, whole, close, numbers),
        *_histograms(sampled, numbers),
        *_consistency(sampled, numbers),
        *_sigma(numbers, sigma),
        *_quality(numbers),
        *_sensor(product),
        *origin.sections(product),
    ]
    return page(title, parts)


def _head(product: Finished, numbers: dict[str, Any]) -> Iterator[str]:
    item, level = product.item, numbers["verdict"]
    yield f"<h1>{text(item.id)}</h1>"
    yield f"<p>{text(item.text('description'))}</p>"
    known = level if level in LEVELS else ""
    yield f'<div class="verdict {known}"><p><b>{text(level)}</b> {LEVELS.get(known, "The Item has no verdict.")}</p>'
    if reasons := numbers["reasons"][:_MOST]:
        yield "<dl>"
        for reason in reasons:
            advice = advice_on(reason)
            yield f"<dt>{text(reason)}</dt><dd>{text(advice.meaning)} <b>To do:</b> {text(advice.remedy)}</dd>"
        yield "</dl>"
    yield "</div>"
    yield '<dl class="facts">'
    for name, value in origin.facts(product):
        yield f"<dt>{name}</dt><dd>{value}</dd>"
    yield f"<dt>Clear</dt><dd>{clear_words(numbers)}</dd></dl>"
    if warnings := item.texts("l8s2:warnings")[:_MOST]:
        yield "<h2>Warnings when it was made</h2><ul>"
        yield "".join(f"<li>{text(line)}</li>" for line in warnings) + "</ul>"


def _pictures(
    sampled: Sampled, whole: list[list[Shown]], close: list[list[Shown]], numbers: dict[str, Any]
) -> Iterator[str]:
    yield "<h2>Before and after</h2>"
    yield (
        '<p class="quiet">True colour is red, green, blue; false colour is nir08, red, green, which shows plants red. '
        "Grey is no data. Where the product has more pixels than the picture, means are shown.</p>"
    )
    yield from (figures(row) for row in whole if row)
    yield "<h3>A detail, pixel by pixel</h3>"
    if not close or sampled.best is None:
        yield "<p>No clear ground was found for a detail.</p>"
        return
    rows, columns = sampled.best
    yield (
        f'<p class="quiet">Rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1} of the '
        "product: the square of 1.8 km with the strongest contours (the weaker of red and swir16, up to "
        f"0.02), in {_share_of_blocks(numbers)}. Cloud, shadow, fill, pixels not to be trusted and all that is "
        "brighter than 0.3 in red count against a square. Input and output have one stretch.</p>"
    )
    yield from (figures(row, pixels=True) for row in close)
    if not sampled.has_input:
        yield f"<p>The 30 m input and pan are not shown: {text(numbers['why_not_compared'])}. {_give_it(numbers)}</p>"


def _give_it(numbers: dict[str, Any]) -> str:
    one = len(numbers["scenes"]) == 1
    return "Give the input: <code>l8s2 report PRODUCT `landsat` INPUT</code>." if one else ""


def _histograms(sampled: Sampled, numbers: dict[str, Any]) -> Iterator[str]:
    yield "<h2>Reflectance</h2>"
    if not sampled.output.n:
        yield "<p>Not counted: no pixel that was looked at is clear.</p>"
        return
    has_input = sampled.has_input
    line = "line: the 30 m input of the same pixels" if has_input else "the input is not at hand"
    yield (
        f'<p class="quiet">Filled: the 10 m output; {line}. {numbers["clear_pixels_counted"]:,} clear pixels of '
        f"{_share_of_blocks(numbers)}. The output has Sentinel-2A's bands: expect a small shift against Landsat.</p>"
    )
    yield '<div class="charts">'
    yield from (histogram(name, i, sampled.output, sampled.input) for i, name in enumerate(BAND_NAMES))
    yield "</div>"
    names = ("mean", "std", "p5", "median", "p95")
    heads = ["Band", *(f"Output, {name}" for name in names), *(f"Input, {name}" for name in names if has_input)]
    rows = []
    for name, band in numbers["bands"].items():
        sides = [band["output"], band["input"]] if has_input else [band["output"]]
        rows.append([name, *(_reflectance((side or {}).get(n)) for side in sides for n in names)])
    yield table(heads, rows)


def _consistency(sampled: Sampled, numbers: dict[str, Any]) -> Iterator[str]:
    yield "<h2>Consistency at 30 m</h2>"
    if not numbers["ms_pixels_compared"]:
        why = numbers["why_not_compared"] or "no clear Landsat pixel is far enough from cloud, fill and border"
        yield f"<p>It was not computed: {text(why)}. {'' if sampled.has_input else _give_it(numbers)}</p>"
        return
    yield (
        '<p class="quiet">The output averaged to 30 m as Landsat would see it (band-pass and point spread function of '
        f"OLI), less the input; reflectance of {numbers['ms_pixels_compared']:,} clear Landsat pixels. On eight real "
        "scenes the RMS was at most 0.0037; much more means that the output is not of this input, or is damaged.</p>"
    )
    rows = [
        [name, *(_reflectance(band["consistency"][n], 5) for n in ("rms", "bias"))]
        for name, band in numbers["bands"].items()
    ]
    yield table(["Band", "RMS", "Bias"], rows)


def _sigma(numbers: dict[str, Any], sigma: SigmaMap | None) -> Iterator[str]:
    yield "<h2>Standard error</h2>"
    if sigma is None:
        yield "<p>The product has no standard errors: it was made without, or by a model that gives none.</p>"
        return
    kind = "detail and level" if numbers["sigma"] == "total" else "the detail alone"
    colours = ", ".join(f"rgb({','.join(str(int(c)) for c in colour)})" for colour in HEAT_COLOURS)
    yield f"<p>The file SIGMA holds {text(kind)}. The map is the root mean square over the six bands.</p>"
    yield (
        f'<figure class="sigma"><img src="{sigma.picture.uri}" alt="{text(sigma.picture.alt)}">'
        f'<figcaption><i style="background: linear-gradient(to right, {colours})"></i><span><b>0</b>'
        f"<b>{sigma.scale / 2:.4g}</b><b>{sigma.scale:.4g} and more</b></span></figcaption></figure>"
    )
    heads, rows = ["Band"], []
    parts = [part for part in ("total", "detail", "level") if any(b["sigma"][part] for b in numbers["bands"].values())]
    heads += [f"{part.capitalize()}, {what}" for part in parts for what in ("median", "90th percentile")]
    for name, band in numbers["bands"].items():
        rows.append([name, *(_reflectance(band["sigma"][part].get(n)) for part in parts for n in ("median", "p90"))])
    yield table(heads, rows)
    yield (
        '<p class="quiet"><b>Detail</b>: what the network knows of its own error; it averages out over a field. '
        "<b>Level</b>: how far two sensors disagree over a whole scene; it does not. Total is the root of the sum of "
        "both squares; +-1.645 times it is meant to hold 90 % of what Sentinel-2 would measure. Counted over the clear "
        f"pixels of {_share_of_blocks(numbers)}.</p>"
    )


def _quality(numbers: dict[str, Any]) -> Iterator[str]:
    percent = numbers["qa_percent"]
    yield "<h2>Quality bits</h2>"
    yield '<p class="quiet">Every pixel is counted; one may have several bits. Fill is a share of all pixels, the rest '
    yield "are shares of those with data.</p>"
    rows = [
        [bit.name, str(bit.bit), str(1 << bit.bit), _percent(percent[bit.name]), bit.description] for bit in QA_BITS
    ]
    rows += [
        ["clean", "", "0", _percent(percent["clean"]), "no bit is set"],
        [
            "clear",
            "",
            "",
            clear_words(numbers),
            "(qa &amp; 31) == 0: no fill, cloud, its surroundings, cirrus, shadow",
        ],
    ]
    yield table(["Name", "Bit", "Value", "Pixels", "Meaning"], rows, words=True)


_MEASURES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "pan_shift": ("Pan against the 30 m bands", (("length_m", "off by {} m"), ("correlation", "correlation {}"))),
    "sharpness": (
        "Sharpness of the visible bands",
        (
            ("blur_m", "blurred by {} m against pan"),
            ("nominal_blur_m", "nominal {} m"),
            ("mtf_nyquist", "MTF {} at Nyquist"),
        ),
    ),
}


def _sensor(product: Finished) -> Iterator[str]:
    yield "<h2>What the scene tells of its sensor</h2>"
    scenes = product.item.scenes
    for scene in scenes:
        if len(scenes) > 1:
            yield f"<h3>{text(scene.name and scene.name.id)}</h3>"
        yield _measures(scene)


def _measures(scene: SceneFacts) -> str:
    rows = []
    for name, (title, fields) in _MEASURES.items():
        found = scene.facts(f"l8s2:{name}")
        said = [form.format(f"{value:g}") for key, form in fields if (value := number(found.get(key))) is not None]
        rows.append([title, text(found.get("verdict", "no pan")), text(found.get("reason") or ", ".join(said))])
    noise = scene.facts("l8s2:noise")
    bands = noise.get("bands")
    ratios = [
        f"{text(name)} {snr:.0f} ({documented:.0f})"
        for name, band in (list(bands.items())[:_MOST] if isinstance(bands, dict) else [])
        if isinstance(band, dict)
        and (snr := number(band.get("snr"))) is not None
        and (documented := number(band.get("documented_snr"))) is not None
    ]
    words = f"signal-to-noise ratio (documented): {', '.join(ratios)}" if ratios else text(noise.get("reason"))
    rows.append(["Noise", text(noise.get("verdict")), words])
    return table(["Measure", "Verdict", "Found"], [[c or "" for c in row] for row in rows], words=True)


def clear_words(numbers: Mapping[str, Any]) -> str:
    """Say in markup how much is clear, or that nobody knows."""
    clear = numbers["qa_percent"]["clear"]
    return "not known: no QA_PIXEL" if clear is None else _percent(clear)


def _share_of_blocks(numbers: dict[str, Any]) -> str:
    some, every = numbers["blocks"], numbers["blocks_in_all"]
    return "the whole product" if some == every else f"{some} of {every} blocks of 512 x 512 pixels, evenly spread"


def _reflectance(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:z.{digits}f}"


def _percent(value: float) -> str:
    return ("0" if value == 0 else "&lt;&nbsp;0.01" if value < 0.01 else f"{value:.2f}") + "&nbsp;%"
