"""Functions that torch keeps out of compiled code, called without loading the compiler.

Torch marks an optimizer's bookkeeping and the dispatch of modes as not to be compiled. The first call of a marked
function loads ``torch._dynamo``, which takes longer than to train some of the networks here. While the compiler is not
loaded nothing is compiled, and there is nothing to keep out of it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

Owner = TypeVar("Owner", bound=type)

#: Set in the processes that elastic starts itself. In those of others, elastic changes nothing in torch's modules.
OWN_PROCESS = "ELASTIC_OWN_PROCESS"

#: Where torch keeps a marked function's form for the compiler, and the module of the compiler.
_KEPT, _COMPILER = "__dynamo_disable", "torch._dynamo"


def without_compiler(marked: Callable[..., Any]) -> None:
    """Let a function that torch has marked be called directly for as long as the compiler is not loaded.

    Other functions are left as they are; so is a marked one as soon as the compiler is there.
    """
    function: Any = getattr(marked, "__wrapped__", None)
    if function is None or getattr(marked, "__globals__", {}).get("__name__") != "torch._compile":
        return
    if hasattr(function, _KEPT):
        return

    def called(*arguments: Any, **options: Any) -> Any:
        if _COMPILER not in sys.modules:
            return function(*arguments, **options)
        if getattr(function, _KEPT, None) is called:
            delattr(function, _KEPT)  # torch puts its own there
        return marked(*arguments, **options)

    setattr(function, _KEPT, called)


def compiler_not_loaded_by(owner: Owner) -> Owner:
    """Return a class after `without_compiler` of all its methods: a decorator."""
    for method in list(vars(owner).values()):
        if callable(method):
            without_compiler(method)
    return owner


class CompilerNotLoaded(ModuleType):
    """Stands for ``torch._dynamo`` until something needs it.

    ``torch.func`` asks it to leave a gradient uncompiled, and would load it for that. All else that is asked of it
    loads it, and is passed on.
    """

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the compiler."""
        if name == "compiled_autograd" and _COMPILER not in sys.modules:
            return SimpleNamespace(_disable=_disabled)
        return getattr(importlib.import_module(_COMPILER), name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the compiler."""
        setattr(importlib.import_module(_COMPILER), name, value)


def _disabled() -> AbstractContextManager[None]:
    return nullcontext()


def stand_in_for_compiler(torch: ModuleType) -> None:
    """Let ``torch.func`` compute without loading the compiler; importing that puts it in its place.

    Only in a process of elastic's own (`OWN_PROCESS`): in a user's program torch stays as it is. There the methods of
    an optimizer load no compiler (`compiler_not_loaded_by`), nor does then, in a process of its own, a gradient.

    >>> import subprocess
    >>> code = "import os, sys, torch, elastic.optimizers; w = [torch.nn.Parameter(torch.zeros(1))]; "
    >>> code += "torch.optim.SGD(w, lr=1.0).zero_grad(); print('torch._dynamo' in sys.modules); "
    >>> code += "os.environ['ELASTIC_OWN_PROCESS'] = '1'; import elastic.probes.engine_selection; "
    >>> code += "torch.func.grad(lambda x: x * x)(torch.ones(())); "
    >>> code += "print('torch._dynamo' in sys.modules, torch._dynamo.config.__name__, 'torch._dynamo' in sys.modules)"
    >>> done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    >>> print(done.stdout + done.stderr)
    False
    False torch._dynamo.config True
    <BLANKLINE>
    """
    if os.environ.get(OWN_PROCESS) and _COMPILER not in sys.modules:
        vars(torch)["_dynamo"] = CompilerNotLoaded(_COMPILER)
