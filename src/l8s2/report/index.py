"""The page that lists the reports of many products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from l8s2.report.checks import clear_words, clouds_flagged
from l8s2.report.markup import page, percent, table, text


def index_page(name: str, found: Sequence[Mapping[str, Any]]) -> str:
    """Return a page with a row for each product.

    Args:
        name: of the folder.
        found: what ``make_reports`` returns of each; products that cannot be read have ``error``.
    """
    good = sorted((one for one in found if "error" not in one), key=lambda one: (str(one["datetime"]), one["id"]))
    bad = [one for one in found if "error" in one]
    levels = [str(one["verdict"]) for one in good]
    counted = ", ".join(f"{levels.count(level)} {text(level)}" for level in dict.fromkeys(sorted(levels)))
    number = f"{len(found)} product{'s'[: len(found) != 1]}"
    parts = [f"<h1>Products in {text(name)}</h1>", f"<p>{number}: {counted or 'none can be read'}.</p>"]
    if good:
        heads = ["Product", "Observed", "Verdict", "Clear", "Not to be trusted", "Largest RMS at 30 m", "Reasons"]
        parts.append(table(heads, [_row(one) for one in good], words=True))
    if bad:
        parts.append("<h2>Products that cannot be read</h2>")
        parts.append(table(["Product", "Why"], [[text(one["id"]), text(one["error"])] for one in bad], words=True))
    return page(f"l8s2: products in {name}", parts)


def _row(one: Mapping[str, Any]) -> list[str]:
    address = quote(Path(one["report"]).name, errors="replace")
    differences = [band["rms"] for scene in one["scenes"] for band in (scene["consistency"] or {}).values()]
    return [
        f'<a href="./{address}">{text(one["id"])}</a>',
        text(str(one["datetime"])[:16].replace("T", " ")).replace(" ", "&nbsp;").replace("-", "&#8209;"),
        f'<span class="{text(one["verdict"])}"><b>{text(one["verdict"])}</b></span>',
        clear_words(one) if clouds_flagged(one) else "not known",
        "unknown" if one["untrusted_percent"] is None else percent(one["untrusted_percent"]),
        f"{max(differences):.4f}" if differences else "not computed",
        text("; ".join(one["reasons"])),
    ]
