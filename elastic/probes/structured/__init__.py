"""The structured engine of the update-response probe: no gradient of a weight is ever written out sample by sample.

The model's own forward pass is run on `duals.Dual` tensors: a value that all stepped samples share, computed once, and
a tangent for each of them. Every torch function that meets one follows its rule, so any graph (residual,
attention, functional code) is followed without being traced. Only functions that read a weight need a rule of
their own; all others are differentiated by torch. What was tried before it was chosen:

- a walk over modules sees no sums of a residual block and no functional code;
- ``torch.fx`` traces no model with control flow that depends on shapes, and needs the same rules afterwards;
- ``vmap(jvp)`` with the gradient as a custom function in parametric modules shares values and weights too, but
  gives no finite differences, and each activation is one more pass over all tangents.

What a model does to memory is followed too (`memory.Memory`): operations in place, items that are set, ``out=``, and
whatever else looks at that memory. ``detach()`` and its like stop the gradient of the step, not the movement. A call
with an argument that a rule does not know goes to torch's own derivative. What neither follows is refused
(`duals.Unsupported`): parameters that are written into, numbers of Python, observed samples that read a weight in
another way than the stepped ones, autocast, random numbers, and, along finite steps, functions with kinks.

A weight's gradient is kept as its two factors, found by one backward pass of the stepped samples
(`recording.Recording`): what entered and what came back. Other parameters (affine maps of normalisations, position
embeddings, biases on their own) are small, and their gradients are kept as they are.
"""

from elastic.probes.structured import (
    arithmetic,
    attention,
    convolution,
    elementwise,
    embedding,
    linear,
    normalization,
    pooling,
)
from elastic.probes.structured.duals import Unsupported
from elastic.probes.structured.engine import Structured

__all__ = [
    "Structured",
    "Unsupported",
    "arithmetic",
    "attention",
    "convolution",
    "elementwise",
    "embedding",
    "linear",
    "normalization",
    "pooling",
]
