# One rule an experiment: its tables and figures are the sections of scdd.report that have something
# to show of it.
for node in plan.of("tables"):
    captions = sections.captions(node.params)

    rule:
        name:
            "tables" if len(plan.of("tables")) == 1 else f"tables_{node.label}"
        input:
            config=node.folder / "config.json",
            code=code.print_path(node),
            measured=[RESULTS / file for file in sections.inputs(node.params)],
        output:
            [
                (
                    report(
                        node.folder / name,
                        category=node.label,
                        caption=f"report/{captions[name]}",
                    )
                    if name in captions
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
            folder=lambda w, output: Path(output[0]).parent,
        shell:
            "exec python -m scdd.report --config {input.config} --results results"
            " --out {params.folder} --device cpu 2> {log}"
