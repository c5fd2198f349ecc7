"""What a terminal gets: lines that scroll, above a bar for each job that runs and one for all."""

from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from scdd.console.run import Job, Run
from scdd.console.words import counted, joined, lasting, still

WIDTH = 20  # characters of a bar
OTHERS = 6  # lines of a terminal that are not for the bars of jobs


class Bars:
    """A screen with bars. is_cluster: whether a job waits in a queue until its log is there."""

    has_bars = True

    def __init__(self, stream: TextIO, run: Run, *, has_colour: bool, is_cluster: bool) -> None:
        self.run, self.is_cluster = run, is_cluster
        self.console = Console(file=stream, no_color=not has_colour, highlight=False)
        self.live = Live(console=self.console, get_renderable=self.render, refresh_per_second=1)
        if run.total:
            self.live.start()

    def say(self, text: str, style: str = "") -> None:
        self.console.print(text, style=style, markup=False, soft_wrap=True)
        self.live.refresh()

    def close(self) -> None:
        """The bar of all jobs stays as it is."""
        self.live.stop()

    def render(self) -> Table:
        jobs = list(self.run.running.values())
        room = max(self.console.height - OTHERS, 1)
        rows = Table.grid(padding=(0, 1), expand=True)
        rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        rows.add_column(width=WIDTH)
        rows.add_column(no_wrap=True)
        for job in jobs[:room]:
            rows.add_row(job.words, *self._job(job))
        if len(jobs) > room:
            rows.add_row(f"and {len(jobs) - room} more", "", "")
        share = f"{100 * self.run.done // self.run.total} %"
        times = joined(share, lasting(self.run.elapsed), still(self.run.left()))
        bar = ProgressBar(self.run.total, self.run.done, WIDTH)
        rows.add_row(f"{self.run.done} of {counted(self.run.total)}", bar, times, style="bold")
        return rows

    def _job(self, job: Job) -> tuple[ProgressBar | str, str]:
        """The bar of a job, and what stands beside it."""
        if self.is_cluster and not job.log.exists():
            return "", "in the queue"
        standing = self.run.standing(job)
        if standing is None or standing.total is None:
            return "", f"for {lasting(self.run.clock() - job.since)}"
        left = "" if standing.left is None else f"{lasting(standing.left)} left"
        share = f"{100 * standing.done / standing.total:.0f} %"
        bar = ProgressBar(standing.total, standing.done, WIDTH)
        return bar, joined(share, f"{standing.rate:.3g}/s", left)
