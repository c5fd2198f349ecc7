"""What Snakemake shows of a run of scdd: jobs in words and bars, in place of rules and paths.

Snakemake finds this package by its name, and profiles/default turns it on. It knows Snakemake's
events; scdd.console says what people read. `--verbose`, `--quiet` and other options that ask for
lines of Snakemake's get those, and so do dry runs, reports, and all that is no run.
"""

import logging
import os
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

if TYPE_CHECKING:
    from scdd.console.console import Console

PLAN = "SCDD_PLAN"  # scdd.plan.load.VARIABLE: the Snakefile has made its plan
# Events and lines that say nothing to a person, or what the console says.
HIDDEN = {
    LogEvent.WORKFLOW_STARTED,
    LogEvent.RESOURCES_INFO,
    LogEvent.JOB_STARTED,
    LogEvent.GROUP_INFO,
    LogEvent.SHELLCMD,
    LogEvent.PROGRESS,
    LogEvent.RULEGRAPH,
}
NOISE = re.compile(
    r"Assuming unrestricted shared filesystem"
    r"|Building DAG of jobs"
    r"|Using shell"
    r"|Conda environments: ignored"
    r"|Group jobs: inactive"
    r"|Select jobs to execute"
    r"|Trying to restart job"
    r"|Removing output files of failed job"
    r"|Touching output file"
    r"|Elapsed time"
    r"|Shutting down"
    r"|Job rate limit reached"
    r"|Exiting because a job execution failed"
    r"|WorkflowError:\nAt least one job did not complete"
    r"|SLURM run ID"
    r"|Job \d+ has been submitted"
)
ACCOUNT = "Complete log(s): "
EMPTY = ("", "None")  # Snakemake logs None, and the queue before this handler makes it a word
FAILED_COMMAND = "CalledProcessError"  # JOB_ERROR follows, with the job's log


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    own_lines: bool = field(
        default=False,
        metadata={"help": "Show Snakemake's own lines.", "required": False, "env_var": False},
    )


class LogHandler(LogHandlerBase):
    """Snakemake's own lines until a run begins, then those of scdd.console."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.console: Console | None = None
        self.is_cluster = False
        self.is_dry = False  # and it has said what it would do
        self.account = ""
        asked = self.common_settings
        self.shows_own = bool(
            getattr(self.settings, "own_lines", False)
            or asked.verbose
            or asked.dryrun
            or asked.quiet
            or asked.debug_dag
            or asked.printshellcmds
        )
        self.own: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._emit(record)
        except Exception:  # or the thread of the logger would end
            self.handleError(record)

    def close(self) -> None:
        if self.console is not None:
            self.console.close(self.account)
        if self.is_dry:
            self._tell_cost()
        super().close()

    def _emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        text = record.getMessage()
        if self.shows_own:
            self._show_own(record)
            self.is_dry |= self.common_settings.dryrun and event == LogEvent.RUN_INFO
        elif event == LogEvent.RUN_INFO and PLAN in os.environ:
            self._begin(record)
        elif event in HIDDEN or NOISE.match(text):
            self.is_cluster |= hasattr(record, "nodes")
        elif text.startswith(ACCOUNT):
            self.account = text.removeprefix(ACCOUNT)
        elif self.console is None:
            self._show_own(record)
        else:
            self._tell(self.console, event, record, text)

    def _begin(self, record: Any) -> None:
        # Only now, since the Snakefile imports scdd too: from its own folder, which need not be
        # the one of this package.
        from scdd.console.console import Console

        rules = {rule: count for rule, count in record.stats.items() if rule != "total"}
        has_colour = not self.common_settings.nocolor
        self.console = Console(rules, sys.stderr, has_colour=has_colour, is_cluster=self.is_cluster)

    def _tell(self, console: "Console", event: str | None, record: Any, text: str) -> None:
        match event:
            case LogEvent.JOB_INFO:
                console.starts(record.jobid, record.log)
            case LogEvent.JOB_FINISHED:
                console.ends(record.job_id)
            case LogEvent.JOB_ERROR:
                console.fails(record.jobid, record.rule_name, record.log, record.rule_msg or "")
            case LogEvent.ERROR if FAILED_COMMAND in text:
                pass
            case _ if text not in EMPTY:
                style = "red" if record.levelno >= logging.ERROR else ""
                console.say(self.format(record), style)

    def _tell_cost(self) -> None:
        """At the end of a dry run of a paper."""
        self.is_dry = False  # once: a handler may be closed again
        if PLAN in os.environ:
            from scdd.console.outlook import outlook

            print(outlook(), end="", file=self._stream)

    @property
    def _stream(self) -> TextIO:
        return sys.stdout if self.common_settings.stdout else sys.stderr

    def _show_own(self, record: logging.LogRecord) -> None:
        if self.own is None:
            from snakemake.logging import ColorizingTextHandler

            nocolor = self.common_settings.nocolor
            self.own = ColorizingTextHandler(nocolor, self._stream, self.formatter)
        self.own.emit(record)
