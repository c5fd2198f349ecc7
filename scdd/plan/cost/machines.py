"""How fast a machine is: as `scdd measure` found it, or as its data sheet says.

A machine's rates are seconds for each unit of each kind of work. For a GPU of the table they are
made of three numbers of its data sheet, all dense (without sparsity), and of stated efficiencies:

    H100 SXM, H200 SXM   NVIDIA H100 and H200 data sheets: TF32 494.7, bf16 989.4 TFLOP/s; 3.35 and
                         4.8 TB/s; 80 and 141 GB
    A100 SXM 80 GB       NVIDIA A100 data sheet: TF32 156, bf16 312 TFLOP/s; 2.039 TB/s
    RTX 4090             NVIDIA Ada architecture white paper, appendix A: TF32 82.6, bf16 with
                         float32 sums 165.2 TFLOP/s; 1.008 TB/s; 24 GB

float32 means TF32 on a GPU, as the programs set it.
"""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import cast, get_args

from scdd.artifacts.files import damaged, read_json, write_json
from scdd.errors import ScddError, nearest
from scdd.params.base import Precision
from scdd.plan.cost.passes import TRAINING, Job
from scdd.plan.cost.work import Amount, Kind

Key = tuple[Kind, Precision]
ARITHMETIC, BANDWIDTH = 0.35, 0.6  # assumed shares of the peak figures
LAUNCH = 10e-6  # seconds for a kernel, from Python
# of a layer, or a batch of views: kernels, and how often a value is read or written
KERNELS: Mapping[Kind, int] = {
    "train": 10,
    "squeeze": 10,
    "images": 8,
    "forward": 3,
    "crops": 60,
    "views": 20,
}
TOUCHED: Mapping[Kind, int] = {
    "train": 18,
    "squeeze": 18,
    "images": 16,
    "forward": 6,
    "crops": 60,
    "views": 10,
}
STATES = 6  # how often an optimiser reads or writes a weight
START = 10.0  # seconds until a program begins to work
CPU_PIXELS, GPU_PIXELS = 4 * 2**30, 1 / 3  # of images in memory, as in scdd.data.placement
FILLED = 0.8  # of a GPU's memory, by the units of a recovery, as in scdd.recover.engine


@dataclass(frozen=True)
class Begin:
    """What a process takes beside its steps: seconds, of its first passes, and bytes of memory."""

    seconds: float
    memory: float


ON_GPU = Begin(5.0, 500 * 2**20)  # assumed


@dataclass(frozen=True)
class Machine:
    """name: for people. device: a part of its name in the files of costs. rates: seconds for each
    unit. start: seconds until a program begins to work; begin, begin_training: of those that train
    no weights, and of those that do. memory: bytes of a GPU, or None.
    workers: jobs that run at the same time on one. basis: what the rates rest on, in words.
    """

    name: str
    device: str
    threads: int
    rates: Mapping[Key, Amount]
    start: float
    begin: Begin
    begin_training: Begin
    memory: float | None
    workers: int
    basis: str

    @property
    def is_gpu(self) -> bool:
        return self.device != "cpu"

    def seconds(self, job: Job) -> float:
        """From when it has its device until it has written; without its start."""
        total = self._begin(job).seconds if job.work.parts else 0.0
        for key, amount in job.work.parts.items():
            rate = self.rates[key]
            total += amount.flops * rate.flops + amount.values * rate.values
            total += amount.calls / self._together(job) * rate.calls
            total += amount.weights * rate.weights
        return total

    def memory_of(self, job: Job) -> float:
        """Bytes at its peak: of a GPU, or of the process."""
        room = CPU_PIXELS if self.memory is None else GPU_PIXELS * self.memory
        pixels = job.pixels if job.pixels <= room else 0.0
        return self._begin(job).memory + job.memory * self._together(job) + pixels

    def _begin(self, job: Job) -> Begin:
        trains = any(kind in TRAINING for kind, _ in job.work.parts)
        return self.begin_training if trains else self.begin

    def _together(self, job: Job) -> int:
        """How many steps of units a job takes at once."""
        if self.memory is None or not job.memory:
            return 1
        return max(1, min(job.units, int(FILLED * self.memory / job.memory)))


@dataclass(frozen=True)
class Sheet:
    """Of a data sheet: FLOP/s in TF32 and bf16, bytes a second, bytes of memory."""

    device: str
    tf32: float
    bf16: float
    bandwidth: float
    memory: float


SHEETS = {
    "h100": Sheet("H100", 494.7e12, 989.4e12, 3.35e12, 80e9),
    "h200": Sheet("H200", 494.7e12, 989.4e12, 4.8e12, 141e9),
    "a100": Sheet("A100", 156e12, 312e12, 2.039e12, 80e9),
    "4090": Sheet("RTX 4090", 82.6e12, 165.2e12, 1.008e12, 24e9),
}
THIS = "this"


def machine(name: str, threads: int, device: str) -> Machine:
    """The machine of that name. threads, device: as the configuration's `machine` has them.

    Raises ScddError for an unknown name, and for 'this' where nothing was measured here.
    """
    if name == THIS:
        return measured(threads, device)
    if name not in SHEETS:
        raise ScddError(f"--machine: unknown {name!r}. {nearest(name, [*SHEETS, THIS])}")
    return of_sheet(SHEETS[name])


def of_sheet(sheet: Sheet) -> Machine:
    """Rates from peak figures and the assumed efficiencies."""
    peaks: dict[Precision, float] = {"float32": sheet.tf32, "bf16": sheet.bf16}
    width: dict[Precision, int] = {"float32": 4, "bf16": 2}
    bandwidth = BANDWIDTH * sheet.bandwidth
    rates = {
        (kind, precision): Amount(
            1 / (ARITHMETIC * peaks[precision]),
            TOUCHED[kind] * width[precision] / bandwidth,
            KERNELS[kind] * LAUNCH,
            STATES * 4 / bandwidth,
        )
        for kind in get_args(Kind)
        for precision in peaks
    }
    basis = (
        f"assumed to be {ARITHMETIC:.0%} of the {sheet.device}'s peak of "
        f"{sheet.tf32 / 1e12:.0f} (TF32) and {sheet.bf16 / 1e12:.0f} TFLOP/s (bf16), "
        f"{BANDWIDTH:.0%} of its {sheet.bandwidth / 1e12:.2f} TB/s, {LAUNCH * 1e6:.0f} us a kernel"
    )
    return Machine(
        sheet.device, sheet.device, 0, rates, START, ON_GPU, ON_GPU, sheet.memory, 1, basis
    )


# ---- what `scdd measure` leaves ----------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """A file of the user's cache. rates: by 'kind precision', seconds for each unit."""

    host: str
    date: str
    device: str
    threads: int
    workers: int
    memory: float | None
    start: float
    begin: dict[str, float]
    begin_training: dict[str, float]
    rates: dict[str, dict[str, float]]

    def machine(self) -> Machine:
        where = "one GPU" if self.device != "cpu" else f"{self.workers} jobs at once"
        threads = f", {self.threads} thread{'s' * (self.threads != 1)} a job"
        name = self.device if self.device != "cpu" else f"{self.host}, CPU{threads}"
        rates = {_key(text): Amount(**amount) for text, amount in self.rates.items()}
        basis = f"measured here on {self.date} with {where}{threads}"
        return Machine(
            name,
            self.device,
            self.threads,
            rates,
            self.start,
            Begin(**self.begin),
            Begin(**self.begin_training),
            self.memory,
            self.workers,
            basis,
        )


def _key(text: str) -> Key:
    """Of a file's text. Raises ValueError where it is not one."""
    kind, precision = text.split()
    for key in product(get_args(Kind), get_args(Precision)):
        if key == (kind, precision):
            return cast(Key, key)
    raise ValueError(text)


def measured_path(is_gpu: bool, threads: int) -> Path:
    """The file of this host in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    what = "gpu" if is_gpu else f"cpu-{threads}"
    return cache / "scdd" / f"{platform.node() or 'localhost'}-{what}.json"


def save_measured(content: Measured) -> Path:
    """Returns the file."""
    path = measured_path(content.device != "cpu", content.threads)
    write_json(path, asdict(content))
    return path


def measured(threads: int, device: str) -> Machine:
    """This machine, as it was measured: its GPU, unless `device` is 'cpu' or none was measured.

    Raises ScddError if it was not.
    """
    places = [measured_path(True, threads)] if device != "cpu" else []
    places += [measured_path(False, threads)] if not device.startswith("cuda") else []
    for path in places:
        if path.exists():
            content = read_json(path)
            try:
                return Measured(**content).machine()
            except (TypeError, ValueError):
                raise damaged(path, "is not what `scdd measure` writes") from None
    option = f" --threads {threads}" if threads != 1 else ""
    raise ScddError(
        f"--machine this: this machine was not measured with {threads} "
        f"thread{'s' * (threads != 1)} a job. Run `scdd measure{option}` here; it takes a minute."
    )
