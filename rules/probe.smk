rule probe:
    input:
        code=code_of("probe"),
        data=dataset("probe", "train.safetensors", "val.safetensors"),
        backbone=parents("probe", "backbone"),
    output:
        probe="results/probe/{node}/probe.safetensors",
        metrics="results/probe/{node}/metrics.json",
    log:
        "logs/probe/{node}/probe.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("probe", work="work/probe/{node}"),
    params:
        config="results/probe/{node}/config.json",
        job=resumed("work/probe/{node}"),
        root=root_of("probe"),
    shell:
        "exec python -m scdd.probe --config {params.config} --code {input.code} {params.job}"
        " --data {input.data[0]} --root {params.root:q} --backbone {input.backbone}"
        " --out {output.probe} --metrics {output.metrics} 2> {log}"
