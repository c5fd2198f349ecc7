"""The logger plugin: what Snakemake tells it, and what people read then. Without Snakemake."""

import io
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from rich.console import Console as Rich
from snakemake.settings.types import OutputSettings
from snakemake_interface_logger_plugins.common import LogEvent

from scdd.console.console import stage_of
from scdd.plan.load import VARIABLE, freeze, plan_of, plan_of_file
from scdd.plan.plan import Plan
from snakemake_logger_plugin_scdd import LogHandler, LogHandlerSettings

STATS = {"all": 1, "recover": 2, "validate": 1, "tables": 1, "total": 5}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The plan of the default experiment, as the driver froze it."""
    monkeypatch.chdir(tmp_path)
    plan = plan_of_file(ROOT / "config.yaml")
    monkeypatch.setenv(VARIABLE, str(freeze(plan).resolve()))
    return plan


class Snakemake:
    """Tells the handler what happens, as Snakemake does."""

    def __init__(self, **settings: Any) -> None:
        own_lines = settings.pop("own_lines", False)
        common = OutputSettings(**settings)
        self.handler = LogHandler(common, LogHandlerSettings(own_lines=own_lines))
        self.handler.setFormatter(logging.Formatter("%(message)s"))

    def tell(self, text: str, level: int = logging.INFO, **fields: Any) -> None:
        record = logging.LogRecord("snakemake", level, "", 0, text, None, None)
        record.__dict__.update(fields)
        self.handler.emit(record)

    def begin(self, **stats: int) -> None:
        self.tell("Building DAG of jobs...")
        self.tell("Using shell: /usr/bin/bash")
        self.tell("Provided cores: 2", event=LogEvent.RESOURCES_INFO, cores=2)
        self.tell("Job stats: …", event=LogEvent.RUN_INFO, stats=stats or STATS)

    def start(self, number: int, rule: str, log: str) -> None:
        self.tell("Execute 1 jobs...", event=LogEvent.JOB_STARTED, jobs=[number])
        self.tell(rule, event=LogEvent.JOB_INFO, jobid=number, rule_name=rule, log=[log])
        self.tell("Shell command: …", event=LogEvent.SHELLCMD)

    def end(self, number: int) -> None:
        self.tell("Finished jobid", event=LogEvent.JOB_FINISHED, job_id=number)
        self.tell("None", event=LogEvent.PROGRESS, done=1, total=9)

    def fail(self, number: int, rule: str, *logs: str, message: str | None = None) -> None:
        fields = {"jobid": number, "rule_name": rule, "log": list(logs), "rule_msg": message}
        self.tell("Error in rule", logging.ERROR, event=LogEvent.JOB_ERROR, **fields)


@pytest.fixture
def snakemake(plan: Plan) -> Snakemake:
    return Snakemake()


def log_of(plan: Plan, stage: str, name: str) -> str:
    return f"logs/{plan.of(stage)[0].key}/{name}.log"


def without_time(printed: str) -> list[str]:
    """Lines without the time of day, and with 0 s for what the tests took."""
    lines = [line[9:] if line[2:3] == ":" else line for line in printed.splitlines()]
    return [re.sub(r"(·|after) \d+ s", r"\1 0 s", line) for line in lines]


def test_jobs_are_told_in_words_as_they_start_and_end(
    snakemake: Snakemake, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    snakemake.begin()
    snakemake.start(4, "recover", log_of(plan, "recover", "slots_0001-0009_classes_0000-0009"))
    snakemake.end(4)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert without_time(printed.err) == [
        "digits: 4 jobs to do",
        "starts: recover SC-DD, digits, images 1–9",
        "done: recover SC-DD, digits, images 1–9 · 0 s · 1 of 4",
    ]


def test_that_a_short_job_starts_is_not_said_once_its_stage_is_known(
    snakemake: Snakemake, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    snakemake.begin()
    for number in (4, 5):
        snakemake.start(number, "recover", log_of(plan, "recover", f"slots_000{number}-0009"))
        snakemake.end(number)
    assert capsys.readouterr().err.count("starts: ") == 1


def test_the_run_is_over_when_its_last_job_is_done_whatever_the_targets_do(
    snakemake: Snakemake, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    snakemake.begin(all=1, tables=1, total=2)
    snakemake.start(1, "tables", log_of(plan, "tables", "tables"))
    snakemake.end(1)
    assert without_time(capsys.readouterr().err)[-2:] == [
        "done: draw tables and figures of digits · 0 s · 1 of 1",
        "All jobs are done · 0 s",
    ]
    snakemake.start(0, "all", "logs/all.log")
    snakemake.end(0)
    snakemake.handler.close()
    assert capsys.readouterr().err == ""


def test_a_failed_job_shows_the_end_of_its_log(
    snakemake: Snakemake, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Path(log_of(plan, "recover", "slots_0000-0000"))
    log.parent.mkdir(parents=True)
    log.write_text("12:00:00 begins at step 0\nerror: the teacher is damaged.\n")
    snakemake.begin()
    snakemake.start(4, "recover", str(log))
    snakemake.tell("RuleException:\nCalledProcessError in file", 40, event=LogEvent.ERROR)
    snakemake.fail(4, "recover", str(log), "logs/none.log", message="Slurm: TIMEOUT")
    snakemake.start(4, "recover", str(log))
    snakemake.fail(4, "recover", str(log))
    snakemake.tell("Complete log(s): /here/x.snakemake.log")
    snakemake.tell("WorkflowError:\nAt least one job did not complete successfully.", 40)
    snakemake.handler.close()
    end = [f"  the end of {log}:", "    12:00:00 begins at step 0"]
    end += ["    error: the teacher is damaged."]
    assert without_time(capsys.readouterr().err)[2:] == [
        "FAILED after 0 s: recover SC-DD, digits, image 0",
        "Slurm: TIMEOUT",
        *end,
        "starts again: recover SC-DD, digits, image 0",
        "FAILED after 0 s: recover SC-DD, digits, image 0",
        *end,
        "Not finished: 0 of 4 jobs done · 1 failed · 0 s",
        f"  failed: recover SC-DD, digits, image 0 ({log})",
        "Snakemake's own account: /here/x.snakemake.log",
        "What is done is kept. Run snakemake again to go on.",
    ]


def test_a_job_that_was_asked_to_leave_has_not_failed(
    snakemake: Snakemake, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Path(log_of(plan, "recover", "slots_0000-0000"))
    log.parent.mkdir(parents=True)
    log.write_text("12:00:00 asked to leave; saved\n12:00:00 left after 8.0 s, peak memory\n")
    snakemake.begin()
    snakemake.start(4, "recover", str(log))
    snakemake.fail(4, "recover", str(log))
    snakemake.handler.close()
    assert without_time(capsys.readouterr().err)[2:] == [
        "stopped after 0 s: recover SC-DD, digits, image 0",
        "Not finished: 0 of 4 jobs done · 0 s",
        "What is done is kept. Run snakemake again to go on.",
    ]


def test_a_failed_target_is_told_too(
    snakemake: Snakemake, capsys: pytest.CaptureFixture[str]
) -> None:
    snakemake.begin()
    snakemake.fail(0, "all", "logs/all.log")
    assert without_time(capsys.readouterr().err)[-1] == "FAILED: all"


def test_on_a_cluster_a_job_is_in_the_queue_and_takes_what_its_program_says(
    snakemake: Snakemake, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Path(log_of(plan, "recover", "slots_0000-0000"))
    log.parent.mkdir(parents=True)
    snakemake.tell("Provided remote nodes: 100", event=LogEvent.RESOURCES_INFO, nodes=100)
    snakemake.begin()
    snakemake.start(4, "recover", str(log))
    snakemake.tell("Job 4 has been submitted with SLURM jobid 17 (log: x).")
    log.write_text("12:00:40 done after 312.0 s, peak memory 5 MiB\n")
    snakemake.end(4)
    words = "recover SC-DD, digits, image 0"
    assert without_time(capsys.readouterr().err)[1:] == [
        f"in the queue: {words}",
        f"done: {words} · 5 min 12 s · 1 of 4",
    ]


def test_other_messages_are_passed_on(
    snakemake: Snakemake, capsys: pytest.CaptureFixture[str]
) -> None:
    snakemake.tell("The flag is deprecated.", logging.WARNING)
    snakemake.begin()
    snakemake.tell("Creating conda environment envs/scdd.yaml...")
    printed = capsys.readouterr().err
    assert "The flag is deprecated." in printed
    assert "Creating conda environment" in printed


def test_where_there_is_nothing_to_do_it_says_so(
    snakemake: Snakemake, capsys: pytest.CaptureFixture[str]
) -> None:
    snakemake.begin(all=1, total=1)
    snakemake.handler.close()
    assert without_time(capsys.readouterr().err) == ["digits: nothing to do"]


@pytest.mark.parametrize(
    "asked",
    [{"own_lines": True}, {"verbose": True}, {"printshellcmds": True}, {"quiet": {"rules"}}],
)
def test_snakemakes_own_lines_on_request(
    plan: Plan, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    Snakemake(**asked).begin()
    printed = capsys.readouterr().err
    assert "Using shell: /usr/bin/bash" in printed
    assert "Job stats: …" in printed


def test_a_dry_run_has_them_on_standard_output(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    Snakemake(dryrun=True, stdout=True).begin()
    assert "Job stats: …" in capsys.readouterr().out


def test_a_dry_run_of_a_paper_ends_with_what_it_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # of a machine that was not measured
    monkeypatch.chdir(tmp_path)
    part = {"number": "Table 1", "title": "t", "experiment": "digits", "show": "main"}
    paper = {"name": "mine", "title": "t", "parts": [part]}
    plan = plan_of({"experiments": [str(ROOT / "config.yaml")], "paper": paper})
    monkeypatch.setenv(VARIABLE, str(freeze(plan).resolve()))
    dry = Snakemake(dryrun=True, stdout=True)
    dry.begin()
    dry.handler.close()
    dry.handler.close()
    stats, cost = capsys.readouterr().out.split("Cost on H100\n")
    assert "Job stats: …" in stats
    assert re.search(r"^paper +1 ", cost, re.MULTILINE)
    assert re.search(r"^In all: \d+ jobs, .* of a GPU; .* MB in ", cost, re.MULTILINE)


def test_other_dry_runs_and_runs_do_not_tell_their_cost(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    for dryrun in (True, False):
        snakemake = Snakemake(dryrun=dryrun)
        snakemake.begin()
        snakemake.handler.close()
    assert "Cost" not in "".join(capsys.readouterr())


def test_a_workflow_without_a_plan_of_ours_has_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    Snakemake().begin()
    assert "Job stats: …" in capsys.readouterr().err


def test_an_error_of_the_console_does_not_end_the_logger(
    snakemake: Snakemake, capsys: pytest.CaptureFixture[str]
) -> None:
    snakemake.begin()
    snakemake.tell("rule", event=LogEvent.JOB_INFO)  # of which nothing is known
    snakemake.tell("Creating conda environment envs/scdd.yaml...")
    assert "Creating conda environment" in capsys.readouterr().err


def test_a_terminal_has_bars_below_the_lines(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    log = Path(log_of(plan, "recover", "slots_0001-0009"))
    log.parent.mkdir(parents=True)
    log.write_text("12:00:00 recover: 30/90, 0.5/s, 120 s left\n")
    snakemake = Snakemake()
    snakemake.begin(recover=2, total=2)
    snakemake.start(3, "recover", log_of(plan, "recover", "slots_0000-0000"))
    snakemake.end(3)
    snakemake.start(4, "recover", str(log))
    assert snakemake.handler.console is not None
    page = Rich(file=io.StringIO(), width=100, record=True)
    page.print(snakemake.handler.console.screen.render())
    job, total = page.export_text().splitlines()
    assert job.startswith("recover SC-DD, digits, images 1–9  ")
    assert job.rstrip().endswith("33 % · 0.5/s · 2 min 0 s left")
    assert total.startswith("1 of 2 jobs  ")
    assert re.search(r"50 % · \d s · about 2 min \d s left", total)
    snakemake.end(4)
    printed = terminal.getvalue()
    assert "✓ recover SC-DD, digits, image 0 · " in printed
    assert "starts:" not in printed
    assert "100 %" in printed
    assert "All jobs are done · " in printed.splitlines()[-1]
    assert printed.count("\x1b[?25l") == printed.count("\x1b[?25h") == 1  # the cursor is back


def test_rules_of_a_stage_and_others() -> None:
    rules = ["recover", "recover_0000_0009", "learn_10_classes_ipc_1", "import_images", "tables_x"]
    assert [stage_of(rule) for rule in rules] == [
        "recover",
        "recover",
        "learn",
        "import_images",
        "tables",
    ]
    targets = ("all", "images", "labels", "students", "paper", "paper_mini")
    assert {stage_of(rule) for rule in targets} == {None}
    assert stage_of("paper_page") == "paper"


def test_it_imports_scdd_only_when_a_run_begins() -> None:
    """The Snakefile imports scdd too, from its own folder, which may be another checkout."""
    code = "import snakemake_logger_plugin_scdd, sys; print('scdd' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
