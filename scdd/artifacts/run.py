"""Folders and variables that a run of the workflow and its jobs share."""

from pathlib import Path

RESULTS = Path("results")
WORK = Path("work")  # saved states; beside results/, so that files can be linked
LOGS = Path("logs")
NAME = "SCDD_RUN"  # the environment variable that distinguishes one run's jobs from the next one's
