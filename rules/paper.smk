# A paper shows tables and figures of several experiments on one page. A plan has one paper or none.
from snakemake.settings.enums import Quietness

# A dry run of a paper counts its thousands of jobs and does not list them, which would take a quarter
# of its time; scdd.console.outlook says what they cost. With -p or --verbose it lists them.
asked = workflow.output_settings
if asked.dryrun and plan.of("paper") and not (asked.printshellcmds or asked.verbose):
    asked.quiet = {Quietness.RULES, Quietness.PROGRESS}

for node in plan.of("paper"):

    rule:
        name:
            "paper_page"
        input:
            code=code.print_path(node),
            shown=[RESULTS / file for file in paper_files.inputs(node.params)],
        output:
            [node.folder / name for name in paper_files.outputs(node.params)],
        log:
            f"logs/paper/{node.name}/paper.log",
        conda:
            "../envs/scdd.yaml"
        threads: 1
        resources:
            **needs("paper"),
        params:
            config=node.folder / "config.json",
            folder=lambda w, output: Path(output[0]).parent,
        shell:
            "exec python -m scdd.report.paper --config {params.config} --results results"
            " --out {params.folder} --device cpu 2> {log}"
