"""Sentinel-2 Level-2A products in SAFE format, made: the layout and the metadata that are read, of any baseline."""

from __future__ import annotations

import re
import zipfile
from datetime import timedelta
from pathlib import Path

import rasterio

from l8s2.catalogs.items import SceneItem
from l8s2.sensors import BANDS

BAND_IDS = {1: "B2", 2: "B3", 3: "B4", 8: "B8A", 11: "B11", 12: "B12"}


def product_xml(item: SceneItem, offsets: dict[int, int] | None) -> str:
    """MTD_MSIL2A.xml with what is read and some of what is not."""
    start = f"{item.acquired - timedelta(minutes=8):%Y-%m-%dT%H:%M:%S}.024Z"
    listed = "".join(f'<BOA_ADD_OFFSET band_id="{n}">{value}</BOA_ADD_OFFSET>' for n, value in (offsets or {}).items())
    add = f"<BOA_ADD_OFFSET_VALUES_LIST>{listed}</BOA_ADD_OFFSET_VALUES_LIST>" if offsets else ""
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
<n1:General_Info>
<Product_Info>
<PRODUCT_START_TIME>{start}</PRODUCT_START_TIME>
<PRODUCT_URI>{item.product}.SAFE</PRODUCT_URI>
<PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL>
<PROCESSING_BASELINE>{item.baseline or "99.99"}</PROCESSING_BASELINE>
<GENERATION_TIME>2023-05-20T16:00:00.000000Z</GENERATION_TIME>
<Datatake datatakeIdentifier="GS2A"><SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
<SENSING_ORBIT_NUMBER>22</SENSING_ORBIT_NUMBER></Datatake>
</Product_Info>
<Product_Image_Characteristics>
<QUANTIFICATION_VALUES_LIST><BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>
{add}
</Product_Image_Characteristics>
</n1:General_Info>
<n1:Quality_Indicators_Info><Cloud_Coverage_Assessment>2.0</Cloud_Coverage_Assessment></n1:Quality_Indicators_Info>
</n1:Level-2A_User_Product>
"""


def tile_xml(item: SceneItem) -> str:
    """MTD_TL.xml; the view of band n is 4 degrees and n hundredths, north by n - 6 degrees."""
    sun = 90 - (item.sun_elevation or 0.0)
    views = "\n".join(
        f'<Mean_Viewing_Incidence_Angle bandId="{n}"><ZENITH_ANGLE unit="deg">{4 + n / 100}</ZENITH_ANGLE>'
        f'<AZIMUTH_ANGLE unit="deg">{(n - 6) % 360}</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>'
        for n in range(13)
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">
<n1:General_Info>
<TILE_ID metadataLevel="Brief">S2A_OPER_MSI_L2A_TL_2APS_A000001_T{item.location}_N05.09</TILE_ID>
<DATASTRIP_ID metadataLevel="Standard">S2A_OPER_MSI_L2A_DS_2APS_20230520T160000_S20230520T101027_N05.09</DATASTRIP_ID>
<SENSING_TIME metadataLevel="Standard">{item.acquired:%Y-%m-%dT%H:%M:%S}.578328Z</SENSING_TIME>
</n1:General_Info>
<n1:Geometric_Info><Tile_Angles metadataLevel="Standard">
<Sun_Angles_Grid><Zenith><Values_List><VALUES>30.1 30.2 NaN</VALUES></Values_List></Zenith></Sun_Angles_Grid>
<Mean_Sun_Angle><ZENITH_ANGLE unit="deg">{sun}</ZENITH_ANGLE>
<AZIMUTH_ANGLE unit="deg">{item.sun_azimuth}</AZIMUTH_ANGLE></Mean_Sun_Angle>
<Mean_Viewing_Incidence_Angle_List>
{views}
</Mean_Viewing_Incidence_Angle_List>
</Tile_Angles></n1:Geometric_Info>
</n1:Level-2A_Tile_ID>
"""


def as_before_0210(xml: str) -> str:
    """The spelling of baselines 02.04 to 02.09."""
    for name in ("Product_Info", "Product_Image_Characteristics", "BOA_QUANTIFICATION_VALUE"):
        xml = re.sub(rf"(</?){name}\b", rf"\1L2A_{name}", xml)
    for name in ("PRODUCT_URI", "TILE_ID", "DATASTRIP_ID"):
        xml = re.sub(rf"(</?){name}\b", rf"\1{name}_2A", xml)
    return xml


def as_safe(fetched: Path, item: SceneItem, folder: Path, *, offsets: dict[int, int] | None = None) -> Path:
    """The same pixels as a folder of ``write_sentinel2``, as Copernicus delivers them; returns the .SAFE folder."""
    safe = folder / f"{item.product}.SAFE"
    granule = safe / "GRANULE" / f"L2A_T{item.location}_A041826_20230520T101027"
    early = item.baseline is not None and item.baseline < "02.10"
    before = "L2A_" if early else ""
    for band, gsd in [*((band.sentinel2, band.sentinel2_gsd) for band in BANDS), ("SCL", 20)]:
        place = granule / "IMG_DATA" / f"R{gsd}m"
        place.mkdir(parents=True, exist_ok=True)
        name = f"{before}T{item.location}_{item.acquired:%Y%m%d}T101031_{band}_{gsd}m.jp2"
        with rasterio.open(fetched / f"{band}.tif") as source:
            profile = {
                "driver": "JP2OpenJPEG", "quality": "100", "reversible": "yes", "count": 1, "dtype": source.dtypes[0],
                "height": source.height, "width": source.width, "crs": source.crs, "transform": source.transform,
            }  # fmt: skip
            with rasterio.open(place / name, "w", **profile) as target:
                target.write(source.read())
    (granule / "IMG_DATA" / "R20m" / "T33UVS_20230520T101031_TCI_20m.jp2").write_bytes(b"not looked at")
    if offsets is None and (item.baseline or "") >= "04.00":
        offsets = dict.fromkeys(range(13), -1000)
    spelled = as_before_0210 if early else str
    (safe / "MTD_MSIL2A.xml").write_text(spelled(product_xml(item, offsets)), encoding="utf-8")
    (granule / "MTD_TL.xml").write_text(spelled(tile_xml(item)), encoding="utf-8")
    return safe


def zipped(safe: Path, target: Path, how: int = zipfile.ZIP_DEFLATED) -> Path:
    """The .zip of a SAFE folder."""
    with zipfile.ZipFile(target, "w", how) as archive:
        for path in sorted(safe.rglob("*")):
            archive.write(path, path.relative_to(safe.parent))
    return target
