# In which order a coreset takes real images: by a backbone's features, or by how often they are
# forgotten in a training run of their own.
rule coreset:
    input:
        config="results/coreset/{node}/config.json",
        code=code_of("coreset"),
        data=dataset("coreset", "train.safetensors"),
        teacher=parent("coreset", "teacher", file="probe.safetensors"),
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
        machine=MACHINE,
        every=SAVE_EVERY,
        work="work/coreset/{node}",
        root=root_of("coreset"),
    shell:
        "exec python -m scdd.select.coreset --config {input.config} --code {input.code}"
        " --work {params.work} --save-every {params.every} --data {input.data[0]}"
        " --root {params.root:q} --teacher {input.teacher} {params.machine}"
        " --out {output} 2> {log}"


rule forgetting:
    input:
        config="results/forgetting/{node}/config.json",
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
        machine=MACHINE,
        every=SAVE_EVERY,
        work="work/forgetting/{node}",
        root=root_of("forgetting"),
    shell:
        "exec python -m scdd.select.forgetting --config {input.config} --code {input.code}"
        " --work {params.work} --save-every {params.every} --data {input.data[0]}"
        " --root {params.root:q} {params.machine} --out {output} 2> {log}"
