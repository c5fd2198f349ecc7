# What jobs are told about the machine, and which resources they ask for.
from scdd.jobs import orphans

THREADS = plan.machine["threads"]
DEVICE = plan.machine["device"]
TENSORBOARD = plan.machine["tensorboard"]
# the arguments that tell a job how to use the machine
MACHINE = (
    f"--device {DEVICE} --jobs-per-gpu {plan.machine['jobs_per_gpu']}"
    f" --compile {plan.machine['compile']}"
)


def resumed(work):
    """The arguments of a job that saves its state in the folder `work` and resumes from it."""
    events = f"--tensorboard logs/tensorboard/{work.removeprefix('work/')} " if TENSORBOARD else ""
    return f"--work {work} --save-every {plan.machine['save_every']} {events}{MACHINE}"


def on_slurm():
    """Whether this process submits Slurm jobs or is one. Not known yet when this file is parsed."""
    plugin = workflow.executor_plugin
    return plugin is not None and plugin.name.startswith("slurm")


def needs(stage, work=None):
    """The resources of a job of `stage`. Without Slurm, only `gpu` has an effect.

    work: the folder of the job's saved state, with wildcards. If a Slurm job of an earlier run,
    whose driver died, still works there, the new job waits for it.
    """

    def options(wildcards):
        signal = "--signal=TERM@300"  # 300 s before the time limit, so that a job can save
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


def lift_the_default_limit():
    """Do without Snakemake's limit of 100 starts a second, unless another is asked for. Under a
    limit each job that ends makes the scheduler weigh all open jobs once more in every second to
    come: after 37 of 254 jobs that took a fifth of a core from the jobs, and ever more from then on.
    """
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit is not None and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


onstart:
    lift_the_default_limit()
    load.write_configs(plan)
    runs.note_start(plan)
    if on_slurm():
        try:
            orphans.start(Path.cwd())
        except ScddError as error:
            raise WorkflowError(str(error)) from None
