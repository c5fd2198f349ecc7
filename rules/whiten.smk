# The space in which some methods learn their images.
rule whiten:
    input:
        code=code_of("whiten"),
        data=dataset("whiten", "train.safetensors", "val.safetensors"),
    output:
        whitening="results/whiten/{node}/whitening.safetensors",
        val="results/whiten/{node}/val.safetensors",
    log:
        "logs/whiten/{node}/whiten.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("whiten"),
    params:
        config="results/whiten/{node}/config.json",
        root=root_of("whiten"),
        matrix=imported("whiten", "matrix"),
    shell:
        "exec python -m scdd.learn.whiten --config {params.config} --data {input.data[0]}"
        " --root {params.root:q} {params.matrix} --device cpu --out {output.whitening}"
        " --val {output.val} 2> {log}"
