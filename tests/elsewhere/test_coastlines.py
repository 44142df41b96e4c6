"""The function of docs/elsewhere.md that reads a product for CoastSat and kin."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from l8s2.pipeline.to_product import harmonize_product
from making.scenes import make, ms_grid

PAGE = Path(__file__).parents[2] / "docs" / "elsewhere.md"


@pytest.mark.skipif(not PAGE.exists(), reason="not a clone of the repository")
def test_a_product_as_coastsat_has_an_image(tmp_path: Path) -> None:
    grid = ms_grid()
    qa = np.full(grid.shape, 21824, np.uint16)
    qa[:3], qa[3:6] = 1 << 3 | 0b11 << 8, 1
    folder = harmonize_product(make(tmp_path / "in", grid, qa_pixel=qa), tmp_path / "out")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    page: dict[str, Any] = {}
    exec(code, page)
    im_ms, georef, cloud_mask, im_extra, im_qa, im_nodata = page["read_l8s2"](folder)
    shape = (3 * grid.shape[0], 3 * grid.shape[1])
    assert (im_ms.shape, cloud_mask.shape, im_qa.shape, im_extra) == ((*shape, 5), shape, shape, [])
    with rasterio.open(next(folder.glob("*_SR.tif"))) as source:
        assert georef.tolist() == [source.bounds.left, 10, 0, source.bounds.top, 0, -10]
        assert im_ms[40, 50].tolist() == pytest.approx((source.read()[:5, 40, 50] * 1e-4).tolist())
    assert cloud_mask[:9].all()
    assert np.array_equal(im_nodata, im_qa & 1 > 0)
    assert not cloud_mask[im_qa == 0].any()
