"""The device of a job, and how it is prepared."""

import ctypes
import subprocess
import sys

import pytest

# the pages that ten tensors of 64 MiB get from the system, one after the other
PAGES = """
import resource, torch
from scdd.jobs.devices import pick_device

def faults(times):
    for _ in range(times):
        torch.ones(64 * 2**20, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

pick_device("cpu")
print(-faults(20) + faults(10))  # the first ones look for their place
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_the_memory_of_a_freed_tensor_is_used_again() -> None:
    pages = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, check=True).stdout
    assert int(pages) < 64 * 2**20 / 4096  # those of a single tensor
