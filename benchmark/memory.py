"""Keeping freed memory for the next step instead of handing it back to the system.

A forward pass allocates and frees the same large buffers again and again. By default the C
library returns them to the kernel each time, and every step pays for fresh pages.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory; returns whether it took effect (Linux with glibc only)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, LARGEST))
