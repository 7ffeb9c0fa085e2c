"""Memory limit for building untrusted networks."""

import math

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from speechbrain_can.io.files import InputError

LARGEST_TENSOR = 2**32  # bytes
LARGEST_NETWORK = 2**35  # bytes of all tensors created while building


class TooLargeError(InputError):
    """Raised for networks that exceed the memory limit."""


class LimitedMemory(TorchDispatchMode):
    """Context in which tensors over 4 GiB, or 32 GiB in total, are refused.

    The settings of an untrusted model folder determine the size of its network.
    Tensors with an explicit size, such as the parameters of layers, are refused
    before they are allocated; results of operations, such as outer products,
    afterwards.

    Raises
    ------
    TooLargeError
        With the number of bytes.
    """

    def __init__(self):
        super().__init__()
        self.made = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Check the size of each tensor that torch creates."""
        kwargs = kwargs or {}
        sizes = args[0] if args and isinstance(args[0], (list, tuple)) else ()
        if sizes and all(isinstance(size, int) for size in sizes):
            dtype = kwargs.get("dtype") or torch.get_default_dtype()
            if kwargs.get("device") != torch.device("meta"):
                self._check(math.prod(sizes) * dtype.itemsize)
        result = function(*args, **kwargs)
        results = result if isinstance(result, (list, tuple)) else (result,)
        for tensor, returned in zip(results, function._schema.returns):
            new = (
                returned.alias_info is None
            )  # neither a view nor an in-place result
            if new and isinstance(tensor, torch.Tensor) and not tensor.is_meta:
                size = tensor.untyped_storage().nbytes()
                self.made += size
                self._check(size)
        return result

    def _check(self, size):
        if size > LARGEST_TENSOR or self.made > LARGEST_NETWORK:
            raise TooLargeError(
                f"the settings create a tensor of {size} bytes ({self.made} bytes "
                f"in total). The limit is {LARGEST_TENSOR} bytes per tensor and "
                f"{LARGEST_NETWORK} bytes in total"
            )
