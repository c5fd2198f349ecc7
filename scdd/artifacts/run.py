"""What a run of the workflow and its jobs agree on."""

from pathlib import Path

RESULTS = Path("results")
WORK = Path("work")  # saved states; beside results/, so that files can be linked
NAME = "SCDD_RUN"  # the variable that tells the jobs of one run from those of the next
