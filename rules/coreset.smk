# In which order a coreset takes real images, by a backbone's features.
rule coreset:
    input:
        code=code_of("coreset"),
        data=dataset("coreset", "train.safetensors"),
        teacher=parents("coreset", "teacher"),
    output:
        "results/coreset/{node}/order.safetensors",
    log:
        "logs/coreset/{node}/coreset.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("coreset", work="work/coreset/{node}"),
    params:
        config="results/coreset/{node}/config.json",
        job=resumed("work/coreset/{node}"),
        root=root_of("coreset"),
    shell:
        "exec python -m scdd.select.coreset --config {params.config} --code {input.code}"
        " {params.job} --data {input.data[0]} --root {params.root:q} --teacher {input.teacher}"
        " --out {output} 2> {log}"
