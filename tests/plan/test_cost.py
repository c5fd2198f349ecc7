"""Where the seconds of a cost come from, what they add up to, and how it is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scdd.cli import main
from scdd.jobs.costs import Cost, cost_path, save_cost
from scdd.params.base import Precision
from scdd.plan.cost.estimate import OWN, RATE, STAGE, Expected, StageCost, Total, estimate
from scdd.plan.cost.history import History
from scdd.plan.cost.machines import (
    SHEETS,
    Machine,
    Measured,
    machine,
    measured_path,
    of_sheet,
    save_measured,
)
from scdd.plan.cost.passes import Job
from scdd.plan.cost.table import duration, flops, of_gpus, size, text_of
from scdd.plan.cost.work import Amount, Kind, Work
from scdd.plan.load import plan_of
from scdd.plan.plan import Plan

KINDS: tuple[Kind, ...] = ("train", "squeeze", "images", "forward", "crops", "views")
PRECISIONS: tuple[Precision, ...] = ("float32", "bf16")
# a second for each 10 GFLOP, a millisecond for each layer
RATES = {f"{kind} {each}": {"flops": 1e-10, "calls": 1e-3} for kind in KINDS for each in PRECISIONS}
CPU = Measured(
    host="here",
    date="2026-01-02",
    device="cpu",
    threads=1,
    workers=2,
    memory=None,
    start=3.0,
    begin={"seconds": 0.5, "memory": 5e8},
    begin_training={"seconds": 2.0, "memory": 7e8},
    rates=RATES,
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def digits(**changes: Any) -> Plan:
    config = {"experiment": "e", "dataset": "digits", "methods": ["scdd"], "ipc": [1]}
    return plan_of(config | {"recover": {"block": 10}} | changes)


def job(flops: float, calls: float = 0.0, **more: Any) -> Job:
    return Job("j", Work.of("train", Amount(flops, 0.0, calls)), **more)


def taken(seconds: float, device: str = "cpu", threads: int = 1) -> Cost:
    return Cost(seconds, device, threads, 700.0, 0.0)


def of_stage(total: Total, stage: str) -> StageCost:
    (cost,) = (each for each in total.stages if each.stage == stage)
    return cost


# ---- machines ----------------------------------------------------------------------------------


def test_seconds_are_those_of_the_rates_and_of_the_first_passes() -> None:
    assert CPU.machine().seconds(job(5e10, 200)) == pytest.approx(2.0 + 5.0 + 0.2)
    looking = Job("j", Work.of("forward", Amount(5e10)))
    assert CPU.machine().seconds(looking) == pytest.approx(0.5 + 5.0)
    assert CPU.machine().seconds(Job("nothing", Work())) == 0


def test_a_gpu_of_the_table_works_at_a_share_of_its_peak() -> None:
    """35 % of 494.7 TFLOP/s."""
    h100 = of_sheet(SHEETS["h100"])
    rate = h100.rates["train", "float32"].flops
    assert 1 / rate == pytest.approx(0.35 * 494.7e12)
    assert h100.rates["train", "bf16"].flops == pytest.approx(rate / 2)


def test_units_share_a_pass_where_the_memory_of_a_gpu_holds_them() -> None:
    gpu = replace(CPU.machine(), device="GPU", memory=10e9)
    alone, several = job(0.0, 100, memory=2e9), job(0.0, 100, memory=2e9, units=9)
    assert gpu.seconds(alone) == pytest.approx(2.1)
    assert gpu.seconds(several) == pytest.approx(2.0 + 0.1 / 4)  # 80 % of 10 GB hold four
    assert gpu.memory_of(several) == pytest.approx(7e8 + 8e9)
    assert CPU.machine().seconds(several) == pytest.approx(2.1)


def test_pixels_are_in_memory_where_there_is_room() -> None:
    cpu = CPU.machine()
    assert cpu.memory_of(job(0.0, pixels=1e9)) == pytest.approx(1.7e9)
    assert cpu.memory_of(job(0.0, pixels=8e9)) == pytest.approx(0.7e9)


def test_what_was_measured_here_is_this_machine() -> None:
    path = save_measured(CPU)
    assert path == measured_path(False, 1)
    this = machine("this", 1, "auto")
    assert this == CPU.machine()
    assert this.rates["views", "bf16"] == Amount(flops=1e-10, calls=1e-3)


def test_a_gpu_that_was_measured_comes_before_the_cpu() -> None:
    save_measured(CPU)
    save_measured(replace(CPU, device="NVIDIA X", memory=1e9))
    assert machine("this", 1, "auto").device == "NVIDIA X"
    assert machine("this", 1, "cpu").device == "cpu"


# ---- what earlier jobs say ---------------------------------------------------------------------


def test_the_jobs_that_do_about_the_same_count() -> None:
    history = History()
    for flops_, seconds in ((100.0, 1.0), (100.5, 3.0), (1000.0, 100.0)):
        history.add("validate", job(flops_), taken(seconds))
    assert history.expected("validate", job(200)) == pytest.approx(4 / 200.5 * 200)
    assert history.expected("validate", job(2000)) == pytest.approx(200)
    assert history.expected("relabel", job(200)) is None


def test_jobs_without_arithmetic_take_the_mean() -> None:
    history = History()
    for seconds in (1.0, 2.0):
        history.add("select", Job("j", Work()), taken(seconds))
    assert history.expected("select", Job("k", Work())) == 1.5


def test_the_best_source_is_taken() -> None:
    """A student's own seconds, for the others those of the first, and for labels the rates."""
    plan, cpu = digits(), CPU.machine()
    first = plan.of("validate")[0]
    save_cost(cost_path(first.folder, "validate"), taken(70.0))
    total = estimate(plan, cpu)
    students = of_stage(total, "validate").jobs
    assert [each.source for each in students] == [OWN, STAGE, STAGE]
    assert [each.seconds for each in students] == [pytest.approx(73.0)] * 3  # with their start
    assert [each.is_done for each in students] == [True, False, False]
    assert students[0].memory == 700 * 2**20
    (labels, *_) = of_stage(total, "relabel").jobs
    assert labels.source == RATE
    assert labels.seconds == pytest.approx(3.0 + cpu.seconds(labels.job))


def test_what_another_machine_took_says_nothing() -> None:
    plan = digits()
    save_cost(cost_path(plan.of("validate")[0].folder, "validate"), taken(70.0, "NVIDIA H100 80GB"))
    save_cost(cost_path(plan.of("validate")[1].folder, "validate"), taken(70.0, threads=2))
    students = of_stage(estimate(plan, CPU.machine()), "validate").jobs
    assert {each.source for each in students} == {RATE}
    on_h100 = of_stage(estimate(plan, of_sheet(SHEETS["h100"])), "validate").jobs
    assert [each.source for each in on_h100] == [OWN, STAGE, STAGE]


def test_finished_jobs_of_earlier_plans_count_too() -> None:
    earlier, plan = digits(), digits(seeds=[7])
    save_cost(cost_path(earlier.of("validate")[0].folder, "validate"), taken(70.0))
    (student,) = of_stage(estimate(plan, CPU.machine(), [earlier]), "validate").jobs
    assert (student.source, student.seconds) == (STAGE, pytest.approx(73.0))


# ---- sums --------------------------------------------------------------------------------------


def test_stages_add_up_their_jobs() -> None:
    def expected(seconds: float, is_done: bool) -> Expected:
        return Expected(job(10.0), seconds, RATE, 1e6 * seconds, is_done)

    stage = StageCost("validate", [expected(60, True), expected(30, False)])
    small = StageCost("imageset", [expected(10, False)])
    assert (stage.flops, stage.seconds, stage.left, stage.memory) == (20, 90, 30, 60e6)
    total = Total([stage, small], chain=70)
    assert total.seconds == 100
    assert (total.wall(1), total.wall(4)) == (100, 70)


def test_the_longest_chain_bounds_the_wall_clock() -> None:
    """Each stage of `scdd` waits for the one before: with any number of machines it takes the sum
    of one job of each."""
    plan = digits(seeds=[0])
    total = estimate(plan, CPU.machine())
    one_each = sum(max(each.seconds for each in stage.jobs) for stage in total.stages)
    assert total.chain == pytest.approx(one_each)
    assert total.wall(1000) == total.chain


def test_disk_is_what_the_artifacts_hold() -> None:
    """A hundred images of 16 pixels at IPC 10; three epochs' labels in one file of three."""
    protocol = {"scdd-paper": {"epochs": 3, "epochs_per_shard": 3}}
    plan = digits(ipc=[10], protocol=protocol)
    total = estimate(plan, CPU.machine())
    assert of_stage(total, "recover").bytes == 100 * 3 * 16 * 16
    assert of_stage(total, "relabel").bytes == 3 * 100 * (25 + 2 * 10)
    # the set of ten classes in two ranges, their checksums apart, config.json, logs and costs
    assert of_stage(total, "recover").files == 2 * 10 + 1 + 2 * 2


# ---- what people see ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "-"), (7.2e9, "7.2 GFLOP"), (1.5e15, "1.5 PFLOP"), (2.1e19, "21 EFLOP")],
)
def test_arithmetic_has_a_prefix(count: float, text: str) -> None:
    assert flops(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.2, "3.2 s"), (80, "80 s"), (300, "5.0 min"), (7200, "2.0 h"), (864_000, "10 days")],
)
def test_a_duration_is_in_the_unit_that_a_person_reads(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_bytes_have_a_prefix() -> None:
    assert [size(count) for count in (0, 12, 1.5e6, 4.4e11)] == ["-", "12 B", "1.5 MB", "440 GB"]


def test_the_table_says_all_and_what_it_rests_on() -> None:
    total = estimate(digits(), CPU.machine())
    lines = text_of(total, CPU.machine(), 1).split("\n")
    table, prose = lines[1 : 2 + len(total.stages)], " ".join(lines[2 + len(total.stages) :])
    assert lines[0] == "Cost on here, CPU, 1 thread a job"
    assert table[0].split()[:3] == ["stage", "jobs", "done"]
    assert [line.split()[0] for line in table[1:]] == [stage.stage for stage in total.stages]
    assert len({len(line) for line in table}) == 1  # aligned
    assert prose.startswith("In all: ") and "with 2 jobs at once" in prose
    assert "rates, measured here on 2026-01-02 with 2 jobs at once" in prose
    assert "Not counted: " in prose


def test_shares_of_the_time_are_told_by_their_source() -> None:
    """A quarter was taken, the rest is expected."""
    done = Expected(job(1.0), 10.0, OWN, 0.0, True)
    stage = StageCost("validate", [done, replace(done, source=RATE, seconds=30.0, is_done=False)])
    text = text_of(Total([stage], 0.0), CPU.machine(), 1)
    assert "25% on what finished jobs took; 75% on the machine's rates" in text.replace("\n", " ")
    assert "40 s of jobs, of which 30 s are left" in text


def test_of_a_gpu_only_jobs_that_need_one_are_counted() -> None:
    done = Expected(job(1.0), 10.0, OWN, 0.0, True)
    stages = [
        StageCost("validate", [done, replace(done, seconds=30.0, is_done=False)]),
        StageCost("tables", [replace(done, seconds=100.0, is_done=False)]),
    ]
    text = text_of(Total(stages, 0.0), of_sheet(SHEETS["h100"]), 1)
    assert "40 s of a GPU, of which 30 s are left" in text
    assert of_gpus(7200 * 3600) == "7,200 GPU hours"


def test_what_is_not_known_is_said() -> None:
    stage = StageCost("validate", unknown=["the arithmetic of timm:x"])
    text = text_of(Total([stage], 0.0), CPU.machine(), 1)
    assert "validate: not all is counted, since the arithmetic of timm:x is not known." in text


def show(*words: str) -> int:
    return main(["plan", "--configfile", "e.yaml", "--cost", *words])


def test_the_command_shows_the_cost_without_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    content = "{experiment: e, dataset: {name: cifar100, root: nowhere}, methods: [scdd], ipc: [1]}"
    Path("e.yaml").write_text(content)
    assert show("--machine", "h100", "--gpus", "4") == 0
    shown = capsys.readouterr().out
    assert "squeeze" in shown and "with 4 GPUs" in shown and "TF32" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--machine", "h10"], "unknown 'h10'. Did you mean 'h100'?"),
        ([], "this machine was not measured with 1 thread a job. Run `scdd measure` here"),
    ],
)
def test_a_machine_that_is_not_known_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("e.yaml").write_text("{experiment: e, dataset: digits, methods: [whole], ipc: [1]}")
    assert show(*words) == 1
    assert message in capsys.readouterr().err


def test_a_damaged_measurement_is_told() -> None:
    path = save_measured(CPU)
    path.write_text("{}")
    with pytest.raises(Exception, match="not what `scdd measure` writes"):
        machine("this", 1, "auto")


def test_other_threads_are_another_measurement() -> None:
    save_measured(CPU)
    with pytest.raises(Exception, match="Run `scdd measure --threads 2` here"):
        machine("this", 2, "auto")


def test_a_machine_is_a_cpu_or_a_gpu() -> None:
    assert not CPU.machine().is_gpu
    assert isinstance(of_sheet(SHEETS["4090"]), Machine)
    assert of_sheet(SHEETS["4090"]).is_gpu
