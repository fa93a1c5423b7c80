"""Queries: torch functions that read a tensor and return no tensor."""

from __future__ import annotations

_SHAPES = (
    "shape size dim ndim ndimension numel nelement stride storage_offset element_size itemsize nbytes dtype "
    "device layout is_contiguous is_floating_point is_complex is_signed is_cuda is_cpu is_mps is_meta "
    "is_quantized is_sparse is_conj is_neg is_inference is_leaf is_pinned is_same_size is_set_to requires_grad "
    "grad_fn output_nr _version __len__ __hash__ get_device names has_names is_nested"
)
_CONSTANTS = "zeros_like ones_like empty_like new_zeros new_ones new_empty"
_NUMBERS = (
    "item tolist numpy __float__ __int__ __index__ __complex__ __array__ __dlpack__ __cuda_array_interface__ "
    "data_ptr storage untyped_storage _typed_storage __reduce_ex__ __reduce__ __deepcopy__"
)
#: Independent of a tensor's numbers.
SHAPES = set(_SHAPES.split())
#: Create a tensor from a tensor's shape.
CONSTANTS = set(_CONSTANTS.split())
#: Depend on the numbers, but not on small changes of them.
BRANCHES = {"__bool__", "is_nonzero", "equal", "allclose", "__contains__"}
#: Read by people only.
TEXTS = {"__repr__", "__str__", "__format__"}
#: Numbers, arrays or memory outside torch.
NUMBERS = set(_NUMBERS.split())
