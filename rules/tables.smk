from scdd.report.pages import inputs as report_inputs, outputs as report_outputs

# One rule a table: what it is made of, and how many pictures it has, is the experiment's own.
for node in plan.of("tables"):

    rule:
        name:
            f"tables_{node.label}"
        input:
            config=node.folder / "config.json",
            code=code.print_path(node),
            measured=[RESULTS / file for file in report_inputs(node.params)],
        output:
            [
                (
                    report(node.folder / name, category=node.label)
                    if name.endswith((".png", ".gif", ".csv"))
                    else node.folder / name
                )
                for name in report_outputs(node.params)
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
            "exec python -m scdd.report.tables --config {input.config} --results results"
            " --out {params.folder} --device cpu 2> {log}"
