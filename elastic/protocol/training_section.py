"""The section `training` of a protocol: epochs, batches, device and precision."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from elastic.protocol.strict import Strict
from elastic.protocol.validators import Count, Positive
from elastic.releases import Added


def _device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda|cuda:[0-9]{1,3}|mps", device):
        raise ValueError("be auto, cpu, cuda, cuda:N or mps")
    return device


class Training(Strict):
    """Epochs, batches, device and precision of training."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000, description="Number of epochs.", examples=[200])]
    batch_size: Annotated[
        Count | None, Field(description="Samples per training step; null: all train samples.", examples=[64])
    ] = 64
    dtype: Annotated[Literal["float32", "float64"], Field(description="Precision of training and of the probes.")] = (
        "float32"
    )
    device: Annotated[
        str,
        Field(description="Device: auto (a GPU if there is one), cpu, cuda, cuda:N or mps.", examples=["auto"]),
        AfterValidator(_device),
    ] = "auto"
    deterministic: Annotated[
        bool,
        Field(description="Whether torch uses only deterministic algorithms, so that runs can be reproduced exactly."),
    ] = True
    threads: Annotated[
        int | None,
        Added("0.1.0", before=None),
        Field(
            ge=1,
            le=256,
            description="CPU threads per run; null: all of the machine, whose number changes the last bits of results.",
            examples=[1],
        ),
    ] = 1
    evaluate: Annotated[
        Literal["every", "probed"] | Annotated[int, Field(ge=1, le=1_000_000)],
        Added("0.1.0", before="every"),
        Field(
            description="After which epochs loss and accuracy are evaluated: every one, those that are probed, or each "
            "n-th; epoch 0 and the last always are.",
            examples=["probed", 10],
        ),
    ] = "every"
    tf32: Annotated[
        Literal["never", "training", "everywhere"],
        Added("0.1.0", before="never"),
        Field(
            description="Where a GPU rounds the factors of products to TF32: nowhere, in training and evaluation, or "
            "in probes too.",
        ),
    ] = "never"
    init_scale: Annotated[Positive, Field(description="Factor on the initial weights, except biases and gains.")] = 1.0
    penalties: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=1e30)]],
        Field(
            description="Coefficient λ of the penalty (λ/2)‖·‖² by layer, its .weights or .biases, or on all weights, "
            "biases or features.",
            examples=[{"logits": 5e-4}],
        ),
    ] = {}  # noqa: RUF012 (pydantic copies it)
    classifier: Annotated[
        Literal["learned", "etf"], Field(description="Whether the last layer is learned or fixed to a simplex ETF.")
    ] = "learned"
