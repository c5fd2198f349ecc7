"""What is left of a run, by a clock that the tests set."""

from pathlib import Path

import pytest

from scdd.console.run import Left, Run
from scdd.plan.pace import START, Pace

LOG = Path("none.log")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def alike(count: int) -> list[float]:
    """Sizes of jobs."""
    return [1.0] * count


def do(run: Run, clock: Clock, stage: str, seconds: float, size: float = 1.0) -> float:
    """A job from its start to its end."""
    run.start(1, stage, stage, LOG, size)
    clock.now += seconds
    return run.end(1)[1]


def test_a_job_takes_the_time_between_its_start_and_its_end(clock: Clock) -> None:
    run = Run({"recover": alike(3)}, {}, clock)
    assert do(run, clock, "recover", 17.0) == 17.0
    assert (run.done, run.total, run.elapsed) == (1, 3, 17.0)


def test_nothing_is_known_at_first(clock: Clock) -> None:
    assert Run({"recover": alike(3)}, {}, clock).left() is None


def test_jobs_that_wait_take_the_mean_of_those_that_have_ended(clock: Clock) -> None:
    run = Run({"recover": alike(5)}, {"recover": Pace(1000.0, 0.0)}, clock)
    do(run, clock, "recover", 10.0)
    do(run, clock, "recover", 20.0)
    assert run.left() == Left(3 * 15.0, is_all=True)


def test_in_proportion_to_their_sizes(clock: Clock) -> None:
    run = Run({"validate": [100.0, 10.0, 10.0]}, {}, clock)
    do(run, clock, "validate", START + 50.0, size=100.0)
    assert run.left() == Left(2 * (START + 5.0), is_all=True)


def test_or_of_those_of_earlier_runs(clock: Clock) -> None:
    run = Run(
        {"recover": alike(2), "relabel": alike(3)},
        {"recover": Pace(40.0, 0.0), "relabel": Pace(5.0, 0.0)},
        clock,
    )
    assert run.left() == Left(2 * 40.0 + 3 * 5.0, is_all=True)


@pytest.mark.parametrize(("unknown", "left"), [(1, Left(80.0, is_all=False)), (2, None)])
def test_a_stage_of_which_nothing_is_known_makes_it_a_least(
    unknown: int, left: Left | None, clock: Clock
) -> None:
    run = Run({"recover": alike(2), "relabel": alike(unknown)}, {"recover": Pace(40.0, 0.0)}, clock)
    assert run.left() == left


def test_at_its_end_nothing_is_left(clock: Clock) -> None:
    run = Run({"recover": alike(1)}, {}, clock)
    do(run, clock, "recover", 5.0)
    assert run.left() is None


def test_as_many_jobs_run_at_once_as_before(clock: Clock) -> None:
    run = Run({"validate": alike(6)}, {}, clock)
    run.start(1, "validate", "a", LOG, 1.0)
    run.start(2, "validate", "b", LOG, 1.0)
    clock.now += 10
    run.end(1)
    run.end(2)
    assert run.left() == Left(4 * 10.0 / 2, is_all=True)


def test_a_running_job_is_credited_with_what_it_took_so_far(clock: Clock) -> None:
    run = Run({"squeeze": alike(1)}, {"squeeze": Pace(60.0, 0.0)}, clock)
    run.start(1, "squeeze", "a", LOG, 1.0)
    clock.now += 45
    assert run.left() == Left(15.0, is_all=True)
    clock.now += 45
    assert run.left() == Left(0.0, is_all=True)


def test_its_log_knows_better(clock: Clock, tmp_path: Path) -> None:
    log = tmp_path / "squeeze.log"
    log.write_text("12:00:00 squeeze: 100/400, 2/s, 150 s left\n")
    run = Run({"squeeze": alike(1)}, {"squeeze": Pace(60.0, 0.0)}, clock)
    run.start(1, "squeeze", "a", log, 1.0)
    assert run.left() == Left(150.0, is_all=True)


def test_the_run_does_not_end_before_its_longest_job(clock: Clock, tmp_path: Path) -> None:
    log = tmp_path / "squeeze.log"
    log.write_text("12:00:00 squeeze: 100/400, 1/s, 300 s left\n")
    run = Run({"squeeze": alike(1), "probe": alike(1)}, {"probe": Pace(20.0, 0.0)}, clock)
    run.start(1, "squeeze", "a", log, 1.0)
    run.start(2, "probe", "b", LOG, 1.0)
    clock.now += 10  # two at once: 310 s of work in 155
    assert run.left() == Left(300.0, is_all=True)


def test_a_failed_job_is_still_to_do_and_starts_again(clock: Clock) -> None:
    run = Run({"recover": alike(1)}, {}, clock)
    run.start(7, "recover", "a", LOG, 1.0)
    clock.now += 3
    assert run.fail(7)[1] == 3.0
    assert list(run.failed) == [7]
    assert run.done == 0
    assert run.start(7, "recover", "a", LOG, 1.0).is_again
    assert not run.failed
    run.end(7)
    assert run.done == 1
