"""Return the most main memory that this process has held, on POSIX systems and on Windows."""

from __future__ import annotations

import sys
from importlib import import_module

try:
    import resource
except ImportError:  # Windows

    def peak_memory() -> int:
        """Return the largest working set of this process so far, in bytes; 0 when the system does not tell."""
        # The names of Windows exist nowhere else, so a type checker elsewhere must not look for them.
        ctypes = import_module("ctypes")
        # PROCESS_MEMORY_COUNTERS: two 32-bit numbers, the peak of the working set, and seven more sizes.
        layout = [("cb", ctypes.c_uint32), ("faults", ctypes.c_uint32), ("peak", ctypes.c_size_t)]
        layout.append(("others", ctypes.c_size_t * 7))
        counters = type("MemoryCounters", (ctypes.Structure,), {"_fields_": layout})()
        counters.cb = ctypes.sizeof(counters)
        kernel = ctypes.WinDLL("kernel32")
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        kernel.K32GetProcessMemoryInfo.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32]
        told = kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
        return int(counters.peak) if told else 0

else:

    def peak_memory() -> int:
        """Return the largest resident set of this process so far, in bytes."""
        # macOS counts bytes, the others kilobytes.
        unit = 1 if sys.platform == "darwin" else 1 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
