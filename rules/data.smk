rule data:
    input:
        code=code_of("data"),
    output:
        info="results/data/{node}/dataset.json",
        train="results/data/{node}/train.safetensors",
        val="results/data/{node}/val.safetensors",
    log:
        "logs/data/{node}/data.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("data"),
    params:
        config="results/data/{node}/config.json",
        root=root_of("data"),
        download=lambda w: "--download" if plan.roots[f"data/{w.node}"]["download"] else "",
    shell:
        "exec python -m scdd.data --config {params.config} --root {params.root:q} {params.download}"
        " --out {output.info} --device cpu 2> {log}"
