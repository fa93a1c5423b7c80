"""The structured engine of the update-response probe: gradients of weights are never formed for single samples.

The model's own forward pass is run on `duals.Dual` tensors: a value that all stepped samples share, computed once, and
a tangent for each of them. Every torch function with such an argument follows its rule, so any graph (residual,
attention, functional code) is supported without tracing. Only functions that read a weight need their own
rule; all others are differentiated by torch. Rejected alternatives:

- a walk over modules misses sums in residual blocks and functional code;
- ``torch.fx`` traces no model with control flow that depends on shapes, and needs the same rules afterwards;
- ``vmap(jvp)`` with the gradient as a custom function in parametric modules shares values and weights too, but
  gives no finite differences, and each activation is one more pass over all tangents.

Writes to memory are followed, too (`memory.Memory`): in-place operations, item assignment, ``out=``, and
all other views of that memory. ``detach()`` and similar functions stop the gradient of the step, not the movement. A
call with an argument that a rule does not support uses torch's own derivative. What neither supports is refused
(`duals.Unsupported`): writes to parameters, numbers of Python, observed samples that read a weight in
another way than the stepped ones, autocast, random numbers, and, along finite steps, functions with kinks.

A weight's gradient is stored as its two factors, found by one backward pass of the stepped samples
(`recording.Recording`): the input and the gradient of the output. Other parameters (affine maps of normalisations,
position embeddings, separate biases) are small, and their gradients are stored as they are.
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
