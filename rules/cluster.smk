# What jobs are told of the machine, and what they ask of a cluster.
from scdd.jobs import orphans

THREADS = plan.machine["threads"]
DEVICE = plan.machine["device"]
# the arguments that tell a job how to use the machine
MACHINE = (
    f"--device {DEVICE} --jobs-per-gpu {plan.machine['jobs_per_gpu']}"
    f" --compile {plan.machine['compile']}"
)


def resumed(work):
    """The arguments of a job that saves its state in `work` and resumes, beside its code's print."""
    return f"--work {work} --save-every {plan.machine['save_every']} {MACHINE}"


def on_slurm():
    """Whether this is the driver of Slurm jobs, or one of them; known when jobs are made only."""
    plugin = workflow.executor_plugin
    return plugin is not None and plugin.name.startswith("slurm")


def needs(stage, work=None):
    """The resources of a job of `stage`. A run without Slurm heeds `gpu` alone.

    work: where the job keeps its state, with wildcards. The job waits for one that an earlier,
    dead driver left there.
    """

    def options(wildcards):
        signal = "--signal=TERM@300"  # well before the time limit, so that a job can save
        if work and on_slurm() and workflow.is_main_process:
            state = Path(work.format(**dict(wildcards.items())))
            return f"{signal} {orphans.after(state)}".rstrip()
        return signal

    resources = slurm.placement(stage) | {
        "runtime": slurm.runtime(stage),
        "mem_mb": lambda wildcards, attempt: slurm.mem(stage, attempt),
        "slurm_extra": options,
    }
    if STAGES[stage].gpu and DEVICE != "cpu":
        by_gres = slurm.gpu == "gres"
        resources["gpu"] = lambda wildcards: 0 if by_gres and on_slurm() else 1
        resources["gres"] = lambda wildcards: "gpu:1" if by_gres and on_slurm() else None
    return resources


onstart:
    if on_slurm():
        try:
            orphans.start(Path.cwd())
        except ScddError as error:
            raise WorkflowError(str(error)) from None
