rule squeeze:
    input:
        code=code_of("squeeze"),
        data=dataset("squeeze", "train.safetensors"),
    output:
        backbone="results/squeeze/{node}/backbone.safetensors",
        history="results/squeeze/{node}/history.csv",
    log:
        "logs/squeeze/{node}/squeeze.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("squeeze", work="work/squeeze/{node}"),
    params:
        config="results/squeeze/{node}/config.json",
        job=resumed("work/squeeze/{node}"),
        root=root_of("squeeze"),
        checkpoint=imported("squeeze", "checkpoint"),
    shell:
        "exec python -m scdd.squeeze --config {params.config} --code {input.code} {params.job}"
        " --data {input.data[0]} --root {params.root:q} {params.checkpoint}"
        " --out {output.backbone} --history {output.history} 2> {log}"
