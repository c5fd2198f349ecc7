# One rule an experiment: its tables and figures are the sections of scdd.report that have something
# to show of it. Each section's page is in Snakemake's report; the first page there is workflow.rst.
report: "report/workflow.rst"


for node in plan.of("tables"):
    entries = sections.entries(node.params)

    rule:
        name:
            "tables" if len(plan.of("tables")) == 1 else f"tables_{node.label}"
        input:
            code=code.print_path(node),
            measured=[RESULTS / file for file in sections.inputs(node.params)],
        output:
            [
                (
                    report(
                        node.folder / name,
                        category=entries[name].category,
                        subcategory=node.label if len(plan.of("tables")) > 1 else None,
                        labels={"page": entries[name].title},
                        caption=str(entries[name].caption),
                    )
                    if name in entries
                    else node.folder / name
                )
                for name in sections.files(node.params)
            ],
        log:
            f"logs/tables/{node.name}/tables.log",
        conda:
            "../envs/scdd.yaml"
        threads: 1
        resources:
            **needs("tables"),
        params:
            config=node.folder / "config.json",
            folder=lambda w, output: Path(output[0]).parent,
        shell:
            "exec python -m scdd.report --config {params.config} --results results"
            " --out {params.folder} --device cpu 2> {log}"
