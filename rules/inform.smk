rule inform:
    input:
        config="results/inform/{node}/config.json",
        code=code_of("inform"),
        data=dataset("inform"),
        teacher=parent("inform", "teacher", file="probe.safetensors"),
    output:
        "results/inform/{node}/inform.json",
    log:
        "logs/inform/{node}/inform.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("inform"),
    params:
        machine=MACHINE,
    shell:
        "exec python -m scdd.inform --config {input.config} --data {input.data[0]}"
        " --teacher {input.teacher} {params.machine} --out {output} 2> {log}"
