rule informativeness:
    input:
        config="results/informativeness/{node}/config.json",
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
        machine=MACHINE,
    shell:
        "exec python -m scdd.informativeness --config {input.config} --data {input.data[0]}"
        " --teacher {input.teacher} {params.machine} --out {output} 2> {log}"
