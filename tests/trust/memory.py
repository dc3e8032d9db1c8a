"""How much memory this process has taken at most."""

from __future__ import annotations

import resource
from pathlib import Path


def peak() -> int:
    """Bytes. What `getrusage` says of a process that another one started counts the memory of that one too, so the
    kernel's own record of this program comes first, where there is one."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
