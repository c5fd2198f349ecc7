# One rule a class block: the outputs of a rule are a fixed list, and a job makes one image file for
# each class of its block. The plan knows the blocks before the first job starts.
for block in sorted({b for node in plan.of("recover") for b in plan.class_blocks(node)}):
    state = f"work/recover/{{node}}/slots_{{slots}}_classes_{range_name(block)}"
    frames = f"results/recover/{{node}}/slots_{{slots}}/frames_{range_name(block)}.safetensors"
    frames = [frames] if block[0] == 0 else []  # of the first block alone

    rule:
        name:
            f"recover_{block[0]:04d}_{block[1] - 1:04d}"
        input:
            config="results/recover/{node}/config.json",
            code=code_of("recover"),
            data=dataset("recover"),
            teacher=teachers("recover"),
            informativeness=informed,
            train=started,
        output:
            shards=[
                f"results/recover/{{node}}/slots_{{slots}}/class_{index:04d}.safetensors"
                for index in range(*block)
            ],
            checksums=f"results/recover/{{node}}/slots_{{slots}}/shards_{range_name(block)}.sha256",
            losses=f"results/recover/{{node}}/slots_{{slots}}/losses_{range_name(block)}.csv",
            frames=frames,
        log:
            f"logs/recover/{{node}}/slots_{{slots}}_classes_{range_name(block)}.log",
        wildcard_constraints:
            node=only(n for n in plan.of("recover") if block in plan.class_blocks(n)),
        conda:
            "../envs/scdd.yaml"
        threads: THREADS
        resources:
            **needs("recover", work=state),
        params:
            machine=MACHINE,
            every=SAVE_EVERY,
            work=state,
            classes="{}:{}".format(*block),
            slots=lambda w: half_open(w.slots),
            root=root_of("recover"),
            informativeness=lambda w, input: (
                f"--informativeness {input.informativeness}" if input.informativeness else ""
            ),
            width=f"--pass-width {PASS_WIDTH}" if PASS_WIDTH else "",
            folder=lambda w, output: Path(output[0]).parents[1],
        shell:
            "exec python -m scdd.recover --config {input.config} --code {input.code}"
            " --work {params.work} --save-every {params.every} --data {input.data[0]}"
            " --root {params.root:q} --teacher {input.teacher} {params.informativeness} {params.width}"
            " --classes {params.classes} --slots {params.slots} {params.machine}"
            " --out {params.folder} 2> {log}"
