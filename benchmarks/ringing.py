"""How far 10 m pixels leave the range of the input beside outliers, with and without the pipeline's limit.

python benchmarks/ringing.py    prints the numbers of docs/grids.md (Outliers).
"""

import numpy as np
from scipy.ndimage import distance_transform_cdt, gaussian_filter, maximum_filter, minimum_filter

from l8s2.arrays import enlarge
from l8s2.pipeline.limits import REACH, limit_ringing
from l8s2.predictors.load import load_predictor
from l8s2.predictors.options import ModelOptions
from l8s2.predictors.protocol import Predictor
from l8s2.sensors import BANDS
from l8s2.simulate.sensor import Conditions, observe

SIDE = 64
BASE = np.array([0.04, 0.07, 0.06, 0.3, 0.18, 0.1], np.float32)[:, None, None]
HALF, ONE = np.s_[:, :, 32:], np.s_[:, 32, 32]
KINDS = {
    "one pixel of 65535": (1.602, ONE), "one pixel of 65535, red alone": (1.602, np.s_[2, 32, 32]),
    "one pixel of 1": (-0.19997, ONE), "snow": (0.95, HALF), "saturation": (1.602, HALF),
    "glint": (0.5, np.s_[:, 20:40, 32:]),
}  # fmt: skip


def texture(side: int, sigma: float) -> np.ndarray:
    values = gaussian_filter(np.random.default_rng(0).standard_normal((side, side)), sigma)
    return (values / values.std()).astype(np.float32)


def limited(mean: np.ndarray, ms: np.ndarray) -> np.ndarray:
    around = ((0, 0), (REACH, REACH), (REACH, REACH))
    return limit_ringing(mean, np.pad(ms, around, constant_values=np.nan), REACH)


def excursions(kind: str, predictor: Predictor) -> str:
    """Largest share of the step at each distance, per cent, of the network alone and limited."""
    value, where = KINDS[kind]
    rough = texture(2 * SIDE, 3)
    ms, pan = BASE * (1 + 0.1 * rough[::2, ::2]), 0.09 + 0.01 * rough
    if kind == "glint":
        ms, pan = np.full_like(ms, 0.02), np.full_like(pan, 0.05)
    before = ms.copy()
    ms[where] = value
    if where is not ONE and kind in ("snow", "saturation", "glint"):
        rows, columns = where[1:]
        pan[slice(2 * (rows.start or 0), rows.stop and 2 * rows.stop), 2 * columns.start :] = min(value, 1.21)
    odd = (ms != before).any(0)
    outside, inside = (distance_transform_cdt(x, "chessboard") for x in (~odd, odd))
    distance = enlarge(np.where(odd, inside, outside))
    mean = np.asarray(predictor.predict(ms, pan if predictor.uses_pan else None)[0])
    parts = []
    for answer in (mean, limited(mean, ms)):
        over = np.zeros((5,))
        for i, band in enumerate(BANDS):
            a, b = band.band_pass["S2A"]
            step = np.abs(ms[i] - before[i]).max()
            if step < 0.01:
                continue
            low = enlarge(minimum_filter(np.minimum(ms[i], (ms[i] - b) / a), 3))
            high = enlarge(maximum_filter(np.maximum(ms[i], (ms[i] - b) / a), 3))
            past = np.maximum(answer[i] - high, low - answer[i]) / step
            over = np.maximum(over, [past[distance == d].max() for d in range(1, 6)])
        parts.append(" ".join(f"{100 * v:5.1f}" for v in over))
    return f"{parts[0]}  ->  {parts[1]}"


def errors(value: float, ground: float | None, predictor: Predictor) -> str:
    """Share of pixels changed and their error before and after, under the blur of the sensor."""
    side = 3 * 96
    truth = BASE * (1 + 0.12 * texture(side, 1.5)) if ground is None else np.full((6, side, side), ground, np.float32)
    rng, bright = np.random.default_rng(1), np.zeros((side, side), bool)
    for _ in range(25):
        (row, column), (height, width) = rng.integers(15, side - 30, 2), rng.integers(2, 22, 2)
        bright[row : row + height, column : column + width] = True
    truth = np.where(bright, value * (1 + 0.05 * texture(side, 1.5)), truth).astype(np.float32)
    seen = observe(truth, Conditions(), np.random.default_rng(0))
    mean = np.asarray(predictor.predict(seen.ms, seen.pan if predictor.uses_pan else None)[0])
    after = limited(mean, seen.ms)
    changed = after != mean
    before, now = (np.sqrt(((x - truth)[changed] ** 2).mean()) for x in (mean, after))
    return f"{100 * changed.mean():.2f} % changed, error of these {before:.4f} -> {now:.4f}"


if __name__ == "__main__":
    for model, engine in (("compact", "openvino"), ("compact", "torch"), ("compact-nopan", "openvino")):
        predictor = load_predictor(ModelOptions(model=model, engine=engine, threads=1))  # type: ignore[arg-type]
        print(f"{model} ({engine}): % of the step, 1 to 5 MS pixels away, network alone -> product")
        for kind in KINDS:
            print(f"  {kind:30}", excursions(kind, predictor))
        for value, ground in ((0.9, None), (1.5, None), (0.5, 0.02)):
            print(f"  rectangles of {value}:", errors(value, ground, predictor))
