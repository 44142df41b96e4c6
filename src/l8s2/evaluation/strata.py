"""What is known of an image beside its pixels, by which scores are split further."""

from __future__ import annotations

import re
from typing import Any

_QUARTERS = ("December-February", "March-May", "June-August", "September-November")


def strata_from_meta(meta: dict[str, Any], index: int, count: int) -> dict[str, str]:
    """Return what the ``meta`` of an archive tells of image ``index`` of ``count``: level, season, continent, cover.

    Dates, continent and cover may be one for all images or a list with one for each. Seasons are quarters of the year.
    """
    found: dict[str, str] = {}
    level = re.search(r"L[12][AC]", str(meta.get("level", "")))
    if level:
        found["level"] = level[0]
    dates = meta.get("dates", meta.get("date", ""))
    words = re.split(r"[\s,;]+", " ".join(map(str, dates)) if isinstance(dates, list) else str(dates))
    months = [re.fullmatch(r"\d{4}-?(0[1-9]|1[0-2])(-?\d\d)?", word) for word in words]
    quarters = [quarter(int(month[1])) for month in months if month]
    if len(quarters) < len(words):  # a range, or words: nothing certain
        quarters = []
    if len(quarters) == count:
        found["season"] = quarters[index]
    elif len(set(quarters)) == 1:
        found["season"] = quarters[0]
    for key in ("continent", "cover"):
        value = meta.get(key)
        if isinstance(value, list) and len(value) == count:
            value = value[index]
        if isinstance(value, str):
            found[key] = value
    return found


def season_of(date: str) -> dict[str, str]:
    """Return the season of a date in ISO 8601; nothing where it is ''."""
    return {"season": quarter(int(date[5:7]))} if date else {}


def quarter(month: int) -> str:
    """Return the quarter of the year by name."""
    return _QUARTERS[month % 12 // 3]
