"""What a GPU machine shows in some ten minutes: does everything run on CUDA, how fast is it, and a
row of CIFAR-100. `benchmarks/gpu.sh` starts it.

    __main__   arguments, and the steps one after the other
    steps      the steps, one row each: what, which share of the time
    running    a step in a process of its own, with a limit
    report     gpu/<card>.json and gpu/<card>.md
    workflows  steps that run Snakemake; checks, speed: steps in Python; row: the row of CIFAR-100
"""
