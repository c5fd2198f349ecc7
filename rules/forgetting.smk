# In which order a coreset takes real images, by how often a training run forgets them.
rule forgetting:
    input:
        code=code_of("forgetting"),
        data=dataset("forgetting", "train.safetensors"),
    output:
        "results/forgetting/{node}/order.safetensors",
    log:
        "logs/forgetting/{node}/forgetting.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("forgetting", work="work/forgetting/{node}"),
    params:
        config="results/forgetting/{node}/config.json",
        job=resumed("work/forgetting/{node}"),
        root=root_of("forgetting"),
    shell:
        "exec python -m scdd.select.forgetting --config {params.config} --code {input.code}"
        " {params.job} --data {input.data[0]} --root {params.root:q} --out {output} 2> {log}"
