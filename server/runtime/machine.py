"""The processor, and the GPUs, as far as the speed of a graph depends on them."""

import platform
from pathlib import Path

# What /proc/cpuinfo calls them on x86 and on Arm; clocks and numbers that differ from core to core stay out.
_FACTS = (
    "vendor_id", "cpu family", "model", "model name", "stepping", "cache size", "flags",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features",
)  # fmt: skip


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Model and abilities of the first core; the architecture alone where the system does not say more."""
    facts = {"architecture": platform.machine()}
    try:
        first = cpuinfo.read_text().partition("\n\n")[0]
    except OSError:
        return facts
    pairs = (line.partition(":") for line in first.splitlines())
    return facts | {name.strip(): value.strip() for name, _, value in pairs if name.strip() in _FACTS}


def gpus(driver: Path = Path("/proc/driver/nvidia/gpus")) -> list[str]:
    """The models of NVIDIA's GPUs, sorted; none where its driver does not say."""
    found = []
    for file in driver.glob("*/information"):
        pairs = (line.partition(":") for line in file.read_text().splitlines())
        found += [value.strip() for name, _, value in pairs if name.strip() == "Model"]
    return sorted(found)
