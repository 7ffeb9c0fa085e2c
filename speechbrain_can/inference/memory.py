"""How much memory a network may take as it is built.

Authors
 * The speechbrain-can developers 2026
"""

import math

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from speechbrain_can.files import InputError

LARGEST_TENSOR = 2**32  # bytes
LARGEST_NETWORK = 2**35  # bytes, of all tensors that are made as it is built


class TooLargeError(InputError):
    """A network of more than the memory that it may take."""


class LimitedMemory(TorchDispatchMode):
    """Within it, tensors of more than 4 GiB, or 32 GiB in all, are refused.

    The settings of a stranger's folder say how large a network is. A tensor whose
    size is given, as those of layers, is refused before it is made; what an
    operation comes to, such as an outer product, when it is there.

    Raises
    ------
    TooLargeError
        With the number of bytes.
    """

    def __init__(self):
        super().__init__()
        self.made = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Called for every operation of torch's."""
        kwargs = kwargs or {}
        sizes = args[0] if args and isinstance(args[0], (list, tuple)) else ()
        if sizes and all(isinstance(size, int) for size in sizes):
            dtype = kwargs.get("dtype") or torch.get_default_dtype()
            if kwargs.get("device") != torch.device("meta"):
                self._check(math.prod(sizes) * dtype.itemsize)
        result = function(*args, **kwargs)
        results = result if isinstance(result, (list, tuple)) else (result,)
        for tensor, returned in zip(results, function._schema.returns):
            new = returned.alias_info is None  # no view, nothing done in place
            if new and isinstance(tensor, torch.Tensor) and not tensor.is_meta:
                size = tensor.untyped_storage().nbytes()
                self.made += size
                self._check(size)
        return result

    def _check(self, size):
        if size > LARGEST_TENSOR or self.made > LARGEST_NETWORK:
            raise TooLargeError(
                f"the settings build a tensor of {size} bytes, {self.made} with "
                f"those before it; {LARGEST_TENSOR} are allowed, and "
                f"{LARGEST_NETWORK} in all"
            )
