rule informativeness:
    input:
        code=code_of("informativeness"),
        data=dataset("informativeness"),
        teacher=parents("informativeness", "teacher"),
    output:
        "results/informativeness/{node}/informativeness.json",
    log:
        "logs/informativeness/{node}/informativeness.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("informativeness"),
    params:
        config="results/informativeness/{node}/config.json",
        machine=MACHINE,
    shell:
        "exec python -m scdd.informativeness --config {params.config} --data {input.data[0]}"
        " --teacher {input.teacher} {params.machine} --out {output} 2> {log}"
