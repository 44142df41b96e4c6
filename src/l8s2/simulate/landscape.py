"""A made-up landscape as Sentinel-2 would see it: central European farmland in May, for demos and tests."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from l8s2.arrays import Float, Mask
from l8s2.sensors import N_BANDS
from l8s2.simulate.canvas import PIXEL, SHADE, SUN_AZIMUTH, SUN_ELEVATION, Canvas, Spectrum, sentinel2_view, share
from l8s2.simulate.drawing import Parcel, Points, distance_to_curve, divide, fractal_noise, meander, moved, smooth_noise

CLOUD_HEIGHT = 700.0
"""Metres above ground."""
CLOUD: Spectrum = (0.72, 0.73, 0.74, 0.76, 0.58, 0.46)
_CROPS = (  # share of the fields, poor end, good end
    (0.30, "loess", "wheat"),
    (0.14, "loam", "barley"),
    (0.12, "alfalfa", "rape in flower"),
    (0.12, "loam", "loess"),
    (0.08, "loess", "loam"),
    (0.08, "meadow", "alfalfa"),
    (0.10, "hay", "meadow"),
    (0.06, "meadow", "hay"),
)


class Landscape(NamedTuple):
    """What ``landscape`` draws. Masks are (3h, 3w), True = is so."""

    truth: Float
    """(6, 3h, 3w) Sentinel-2 surface reflectance at 10 m; nir08, swir16, swir22 hold no detail finer than 20 m."""
    cloud: Mask
    shadow: Mask
    """Ground in the shadow of a cloud and not under one."""
    water: Mask


def landscape(seed: int, size_ms: tuple[int, int]) -> Landscape:
    """Draw a landscape; the same seed and size give the same pixels.

    Args:
        seed: of the random numbers.
        size_ms: (h, w), rows and columns in MS pixels of 30 m; 100 to 200 of each show it best.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas.blank(rng, (3 * size_ms[0], 3 * size_ms[1]))
    mirrored = rng.integers(0, 2, 2)

    def at(x: float, y: float) -> Points:
        """Metres from shares of the canvas, mirrored at random."""
        shares: Points = mirrored + (1 - 2 * mirrored) * (x, y) + rng.uniform(-0.05, 0.05, 2)
        return shares * canvas.extent

    span = canvas.diagonal
    town = at(0.36, 0.40)
    _farmland(canvas)
    _lake(canvas, at(0.80, 0.26), 0.055 * span)
    _river(canvas, meander(rng, at(-0.08, 0.66), math.pi * mirrored[0], 1.9 * span, 1.15, 1300.0))
    _settlement(canvas, town, min(620.0, 0.11 * span), core=True)
    _settlement(canvas, at(0.78, 0.80), min(260.0, 0.05 * span), core=False)
    _roads(canvas, town)
    _industry(canvas, town + rng.choice([-1, 1], 2) * 0.10 * span, min(300.0, 0.05 * span))

    ground = canvas.render()
    opacity, dimmed = _clouds(rng, ground)
    cloud, shadow = share(opacity) > 0.1, share(dimmed) > 0.25
    water = share(canvas.is_water().astype(np.float32)) > 0.5
    return Landscape(sentinel2_view(ground), cloud, shadow & ~cloud, water)


def _farmland(canvas: Canvas) -> None:
    """Fields, woods and hedges in parcels, lanes and tracks between them."""
    rng = canvas.rng
    width, height = canvas.extent
    turn, reach = rng.uniform(0, math.pi), 0.5 * canvas.diagonal + 100
    corners = [(math.cos(turn + i * math.pi / 2), math.sin(turn + i * math.pi / 2)) for i in range(4)]
    land = Parcel(np.array(corners) * reach * math.sqrt(2) + np.array([width, height]) / 2, np.zeros(4))
    lane, track, grass = (
        canvas.cover(a, b) for a, b in (("asphalt", "gravel"), ("gravel", "meadow"), ("hay", "meadow"))
    )
    tree = canvas.cover("conifer", "broadleaf", mix=(0.4, 1.0))
    canvas.paint(np.ones(canvas.shape, dtype=bool), grass, 0.5 + 0.2 * canvas.grain)
    wooded = [smooth_noise(rng, (64, 64), 13.0), smooth_noise(rng, (64, 64), 13.0)]
    for parcel in divide(rng, land, 52_000, (4.0, 4.0, 4.0, 2.5, 2.5, 2.5, 2.5, 1.2)):
        (left, top), (right, bottom) = parcel.corners.min(0), parcel.corners.max(0)
        part = canvas.window(left, right, top, bottom)
        if part is None:
            continue
        x, y = np.clip(parcel.centre / max(width, height), 0, 1) * 63
        wood, kind = (layer[int(y), int(x)] for layer in wooded)
        normals, offsets, lengths = parcel.edges()
        distances = [
            np.float32(n[0]) * part.x + np.float32(n[1]) * part.y - np.float32(c)
            for n, c in zip(normals, offsets, strict=True)
        ]
        nearest = np.min(distances, axis=0)
        inside = nearest > 0
        free = np.min([d - np.float32(v) for d, v in zip(distances, parcel.verges, strict=True)], axis=0)
        verge = float(parcel.verges.max())
        part.paint(inside & (free <= 0), lane if verge > 3 else track if verge > 2 else grass, 0.5 + 0.2 * part.grain)
        if wood > 0.75:
            _stand(part, inside & (free > 2), float(kind))
        else:
            along = int(np.argmax(lengths))
            ends = [d for d, n in zip(distances, normals, strict=True) if abs(n @ normals[along]) < 0.7]
            headland = np.min(ends, axis=0) if ends else nearest
            _field(part, inside & (free > 1), distances[along], headland)
            if rng.random() < 0.14:  # a hedge along one edge, with gaps
                hedge = distances[int(rng.integers(len(distances)))] + 1.5 * part.grain
                part.paint(
                    inside & (hedge < 7) & (part.soil + part.grain * 0.6 > -0.3), tree, 0.7 + 0.2 * part.grain, 6.0
                )


def _field(part: Canvas, where: Mask, across: Float, headland: Float) -> None:
    """One crop: soil patches, sowing strips and tramlines along ``across``, headlands at the ends; both in metres."""
    rng = part.rng
    poor, good = rng.choice(np.array([crop[1:] for crop in _CROPS]), p=np.array([crop[0] for crop in _CROPS]))
    start = rng.uniform(0.35, 0.75) if good in ("wheat", "barley", "rape in flower") else 0.0
    crop = part.cover(str(poor), str(good), mix=(start, 1.0), spread=0.09)
    work, strip = rng.choice([18.0, 24.0, 36.0]), rng.normal(0, 0.16, 256)
    strips = np.repeat(strip, 3) + rng.normal(0, 0.05, 768)
    lines = np.where((np.arange(768) * 3.0 % work) < 3.0, -0.28, 0.0)
    turning = headland < work
    step = np.where(turning, headland + 211.0, across) / np.float32(3.0)
    rows = (strips + lines).astype(np.float32)[np.clip(step, 0, 767).astype(np.int16)]
    contrast = np.float32(rng.uniform(0.5, 1.2))
    vigour = 0.55 + 0.17 * contrast * part.soil + contrast * rows + 0.06 * part.grain - 0.1 * turning
    part.paint(where, crop, np.clip(vigour, -0.1, 1.15), 0.0)


def _stand(part: Canvas, where: Mask, kind: float) -> None:
    """Forest: ``kind`` > 0 broadleaf, < 0 conifer, mixed about 0."""
    share = float(np.clip(0.5 + 0.8 * kind, 0.05, 0.95))
    label = part.cover("conifer", "broadleaf", mix=(share - 0.25, share + 0.25), spread=0.07)
    gap = part.soil + 0.5 * part.grain > 2.0
    vigour = 0.5 + 0.35 * part.grain + 0.2 * part.soil
    part.paint(where & ~gap, label, vigour, 17.0 + 3.5 * part.grain + part.rng.normal(0, 2))


def _lake(canvas: Canvas, centre: Points, radius: float) -> None:
    part = canvas.around(centre, 2 * radius)
    if part is None:
        return
    lake, rim, reed = canvas.cover("shallows", "lake"), canvas.cover("gravel", "hay"), canvas.cover("hay", "meadow")
    canvas.water.append(lake)
    turn = canvas.rng.uniform(0, math.pi)
    x, y = part.x - np.float32(centre[0]), part.y - np.float32(centre[1])
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    shore = (1 - np.hypot(u / 1.3, v / 0.8) / radius) * radius + 0.16 * radius * part.soil  # metres from the shore
    wood = (shore > -60) & (part.soil + 0.3 * part.grain > 0.2)
    part.paint((shore > -45), reed, 0.5 + 0.25 * part.grain)
    _stand(part, wood & (shore < -12), 0.6)
    part.paint((shore > -8) & (part.soil < 0.3), rim, 0.4 + 0.2 * part.grain)
    part.paint(shore > 0, lake, np.clip(shore / 60, 0, 1) * 0.9 + 0.03 * part.soil)


def _river(canvas: Canvas, course: Points) -> None:
    """Draw a river of some 45 m with meadows and trees along it."""
    distance = distance_to_curve(canvas.shape, course / PIXEL, 110 / PIXEL) * np.float32(PIXEL)
    width = 22 + 3 * canvas.soil
    meadow, water, bar = (
        canvas.cover(a, b) for a, b in (("hay", "meadow"), ("shallows", "river"), ("gravel", "loess"))
    )
    canvas.water.append(water)
    canvas.paint(distance < 75 + 20 * canvas.soil, meadow, 0.6 + 0.15 * canvas.soil + 0.12 * canvas.grain)
    bank = distance - width
    _stand(canvas, (bank < 14 + 9 * canvas.soil) & (canvas.soil + 0.5 * canvas.grain > -0.5), 0.5)
    canvas.paint((bank < 5) & (canvas.soil > 0.9), bar, 0.5 + 0.3 * canvas.grain)
    canvas.paint(bank < 0, water, np.clip(-bank / 14, 0, 1))


def _roads(canvas: Canvas, town: Points) -> None:
    """Two main roads through the town and out of the scene."""
    rng = canvas.rng
    road, verge = canvas.cover("asphalt", "concrete", mix=(0.0, 0.35)), canvas.cover("hay", "meadow")
    length = 2.2 * canvas.diagonal
    heading = rng.uniform(0, math.pi)
    for turn, half in ((heading, 5.5), (heading + rng.uniform(1.0, 1.9), 4.0)):
        course = meander(rng, np.zeros(2), turn, length, 0.30, 2600.0)
        course += town - course[len(course) // 2]
        distance = distance_to_curve(canvas.shape, course / PIXEL, 16 / PIXEL) * np.float32(PIXEL)
        on_land = ~canvas.is_water()
        canvas.paint((distance < half + 5) & on_land, verge, 0.6 + 0.2 * canvas.grain)
        canvas.paint(distance < half, road, 0.5 + 0.2 * canvas.grain)


def _settlement(canvas: Canvas, centre: Points, radius: float, *, core: bool) -> None:
    """Streets, houses and gardens; with ``core`` also a dense old town."""
    part = canvas.around(centre, 1.5 * radius)
    if part is None:
        return
    rng = canvas.rng
    x, y = part.x - np.float32(centre[0]), part.y - np.float32(centre[1])
    out = np.hypot(x, y) / np.float32(radius) + 0.22 * part.soil
    seeds, headings = rng.uniform(-0.8, 0.8, (5, 2)) * radius, rng.uniform(0, math.pi / 2, 5)
    quarter = np.argmin([np.hypot(x - np.float32(sx), y - np.float32(sy)) for sx, sy in seeds], axis=0)
    cos, sin = (f(headings).astype(np.float32)[quarter] for f in (np.cos, np.sin))
    u, v = x * cos + y * sin + 5000, y * cos - x * sin + 5000
    row, v_in = np.divmod(v, np.float32(62))  # a block is 62 m deep: street, lots, lots
    plot, u_in = np.divmod(u, np.float32(19))
    back = v_in > 35
    depth = np.where(back, 62 - v_in, v_in - 8)  # from the street, metres
    number = (plot * 73 + row * 179 + back * 997 + quarter * 2399).astype(np.int32) % 4093
    dice = rng.random((4, 4093)).astype(np.float32)[:, number]
    dense = core & (out < 0.34)
    half_u, half_v = np.where(dense, 8.8, 4.2 + 2.5 * dice[0]), np.where(dense, 7 + 4 * dice[1], 4 + 2 * dice[1])
    house = (
        (np.abs(u_in - 9.5) < half_u) & (np.abs(depth - 4 - half_v) < half_v) & (dice[2] < np.where(dense, 0.95, 0.8))
    )
    street = (v_in < 8) | ((u % np.float32(19 * 7)) < 7)
    built = (out < 1) & ~part.is_water()
    garden, paved, yard = (
        canvas.cover(a, b) for a, b in (("hay", "meadow"), ("asphalt", "gravel"), ("gravel", "concrete"))
    )
    tree = canvas.cover("conifer", "broadleaf", mix=(0.4, 1.0))
    part.paint(built, garden, np.clip(0.55 + 0.35 * part.grain + 0.3 * (dice[3] - 0.5), 0, 1))
    part.paint(built & dense, yard, 0.4 + 0.3 * part.grain)
    part.paint(built & (part.grain + 0.5 * part.soil > np.where(dense, 2.2, 1.0)), tree, 0.6 + 0.1 * part.grain, 7.0)
    part.paint(built & street, paved, 0.35 + 0.2 * part.grain)
    for roof, low, high in (("red tiles", 0.0, 0.64), ("slate", 0.64, 0.95), ("metal roof", 0.95, 1.0)):
        chosen = built & house & ~street & (dice[3] >= low) & (dice[3] < high)
        part.paint(chosen, canvas.cover("slate", roof), 0.6 + 0.4 * dice[0], np.where(dense, 12.0, 6.5))


def _industry(canvas: Canvas, centre: Points, radius: float) -> None:
    """Halls with large roofs on sealed ground."""
    part = canvas.around(centre, 1.3 * radius)
    if part is None:
        return
    rng = canvas.rng
    turn = rng.uniform(0, math.pi)
    x, y = part.x - np.float32(centre[0]), part.y - np.float32(centre[1])
    u, v = x * math.cos(turn) + y * math.sin(turn) + 5000, y * math.cos(turn) - x * math.sin(turn) + 5000
    built = (np.abs(u - 5000) < radius) & (np.abs(v - 5000) < 0.6 * radius) & ~part.is_water()
    lot_u, u_in = np.divmod(u, np.float32(104))
    lot_v, v_in = np.divmod(v, np.float32(82))
    dice = rng.random((4, 509)).astype(np.float32)[:, (lot_u * 31 + lot_v * 57).astype(np.int32) % 509]
    hall = (np.abs(u_in - 54) < 20 + 24 * dice[0]) & (np.abs(v_in - 44) < 14 + 18 * dice[1]) & (dice[2] < 0.85)
    sealed, green = canvas.cover("asphalt", "concrete", mix=(0.0, 0.7)), canvas.cover("hay", "meadow")
    part.paint(built, sealed, np.clip(0.2 + 0.8 * dice[0] + 0.15 * part.grain, 0, 1))
    part.paint(built & (dice[1] < 0.4) & (u_in > 80), green, 0.5 + 0.2 * part.grain)
    for roof, low, high in (("white roof", 0.0, 0.35), ("metal roof", 0.35, 0.75), ("slate", 0.75, 1.0)):
        chosen = built & hall & (dice[3] >= low) & (dice[3] < high)
        part.paint(chosen, canvas.cover("slate", roof), 0.7 + 0.3 * dice[2], 10.0)


def _clouds(rng: np.random.Generator, ground: Float) -> tuple[Float, Float]:
    """Draw small clouds and their shadows into ``ground``; return how opaque and how shaded it is, 0 to 1."""
    shape = ground.shape[1:]
    lobes = np.zeros(shape, dtype=np.float32)
    y, x = (np.arange(n, dtype=np.float32) * np.float32(PIXEL) for n in shape)
    square_km = shape[0] * shape[1] * PIXEL**2 / 1e6
    for _ in range(max(1, round(0.2 * square_km))):
        centre, size = rng.uniform(0, 1, 2) * shape * PIXEL, rng.uniform(45, 120)
        for lobe in range(6):
            cy, cx = centre + (rng.normal(0, 1.1 * size, 2) if lobe else 0)
            radius = size * rng.uniform(0.6, 1.3)
            lobes += np.exp(-(((y - cy) / radius) ** 2))[:, None] * np.exp(-(((x - cx) / radius) ** 2))
    rough = fractal_noise(rng, shape, 90 / PIXEL, octaves=3)
    thickness = np.clip(lobes - 0.42 + 0.3 * rough * np.minimum(lobes, 1) ** 0.3, 0, None)
    opacity = 1 - np.exp(-2.2 * thickness)
    run = CLOUD_HEIGHT / math.tan(math.radians(SUN_ELEVATION)) / PIXEL
    azimuth = math.radians(SUN_AZIMUTH)
    dimmed = moved(opacity, round(run * math.cos(azimuth)), round(-run * math.sin(azimuth)))
    lit = 0.68 + 0.28 * opacity + 0.05 * rough
    for band in range(N_BANDS):
        ground[band] *= 1 - dimmed * (1 - SHADE[band])
        ground[band] += opacity * (CLOUD[band] * lit - ground[band])
    return opacity, dimmed
