# The parameters of networks on their way, which some methods follow. A later range of epochs goes on
# from the one before.
rule experts:
    input:
        code=code_of("experts"),
        data=dataset("experts", "train.safetensors"),
        whitening=parents("experts", "whitening"),
        previous=earlier_epochs,
    output:
        "results/experts/{node}/experts_{experts}_epochs_{epochs}.safetensors",
    log:
        "logs/experts/{node}/experts_{experts}_epochs_{epochs}.log",
    wildcard_constraints:
        experts=r"\d+-\d+",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("experts", work="work/experts/{node}/experts_{experts}_epochs_{epochs}"),
    params:
        config="results/experts/{node}/config.json",
        job=resumed("work/experts/{node}/experts_{experts}_epochs_{epochs}"),
        root=root_of("experts"),
        whitening=option("whitening"),
        previous=option("previous"),
        experts=lambda w: half_open(w.experts),
        epochs=lambda w: half_open(w.epochs),
    shell:
        "exec python -m scdd.learn.train_experts --config {params.config} --code {input.code}"
        " {params.job} --data {input.data[0]} --root {params.root:q} {params.whitening}"
        " {params.previous} --experts {params.experts} --epochs {params.epochs} --out {output}"
        " 2> {log}"
