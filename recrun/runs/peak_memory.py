"""Measure the peak memory of this process, on POSIX systems and on Windows."""

from __future__ import annotations

import sys
from importlib import import_module

try:
    import resource
except ImportError:  # Windows

    def peak_memory() -> int:
        """Return the largest working set of this process so far, in bytes; 0 if the system does not report it."""
        # Imported by name: type checkers on other systems do not know the Windows-only names of ctypes.
        ctypes = import_module("ctypes")
        # PROCESS_MEMORY_COUNTERS: two 32-bit numbers, the peak of the working set, and seven more sizes.
        layout = [("cb", ctypes.c_uint32), ("faults", ctypes.c_uint32), ("peak", ctypes.c_size_t)]
        layout.append(("others", ctypes.c_size_t * 7))
        counters = type("MemoryCounters", (ctypes.Structure,), {"_fields_": layout})()
        counters.cb = ctypes.sizeof(counters)
        kernel = ctypes.WinDLL("kernel32")
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        kernel.K32GetProcessMemoryInfo.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32]
        reported = kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
        return int(counters.peak) if reported else 0

else:

    def peak_memory() -> int:
        """Return the largest resident set of this process so far, in bytes."""
        # macOS reports bytes, other systems kilobytes.
        unit = 1 if sys.platform == "darwin" else 1 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
