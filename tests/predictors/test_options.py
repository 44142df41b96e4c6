"""How a model is run: values that cannot be are refused before any model is looked for."""

from typing import Any

import pytest

from l8s2.errors import InputError, L8S2Error
from l8s2.predictors.load import load_model
from l8s2.predictors.options import ModelOptions


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "tensorflow"}, r"^`engine` tensorflow: unknown; choose openvino or torch$"),
        ({"threads": 0}, r"^`threads` 0: at least one is needed; give 1 or more$"),
        ({"mc_dropout": 1}, r"^`mc_dropout` 1: only two predictions or more differ; take 10$"),
    ],
    ids=str,
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ModelOptions(**options)
    with pytest.raises(L8S2Error, match=said):
        load_model("no such model", **options)
