"""Where a run is, from the files that it leaves: it reads them, and writes nothing.

states.py: of each job. slurm.py: what Slurm's queue knows. estimate.py: when it will be finished.
page.py: all of it in words.
"""
