"""Makes the vector math of the CPU sound before the first number.

In some processes the first call of a vectorised function by several threads is wrong in the fifth
digit, and every later one is right: seen for `torch.tanh`, which is MKL's, on Intel machines, and
never on one thread. MKL chooses its kernels on first use. So every function is called on one
thread first, then on all of them until two calls agree to the bit.
"""

from functools import cache

import torch

from benchmark.errors import UserError

# What torch leaves to the vector math library, of the functions that models and metrics use.
FUNCTIONS = ("tanh", "erf", "erfc", "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos")
DTYPES = (torch.float32, torch.float64)
# So few numbers are computed by one thread; so many are shared among all.
FEW, MANY = 64, 1 << 17
MOST_CALLS = 5


def sound_vector_math() -> int:
    """Warm the vector math up, once for each number of threads; say how many calls were wrong.

    Raises:
        UserError: a function does not give the same numbers twice on this machine.
    """
    return _sound(torch.get_num_threads())


@cache
def _sound(threads: int) -> int:
    """The sum over functions; `threads` only tells one warm-up from another."""
    return sum(_wrong_calls(name, dtype) for name in FUNCTIONS for dtype in DTYPES)


def _wrong_calls(name: str, dtype: torch.dtype) -> int:
    function, numbers = getattr(torch, name), torch.linspace(0.01, 4, MANY, dtype=dtype)
    function(numbers[:FEW])
    before = function(numbers)
    for wrong in range(MOST_CALLS):
        now = function(numbers)
        if torch.equal(before, now):
            return wrong
        before = now
    raise UserError(
        f"torch.{name} gives other numbers at every call on this machine, so no result could be "
        "trusted; try threads=1, or another build of torch"
    )
