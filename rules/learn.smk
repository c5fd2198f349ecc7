# All images of a classic method in one job, since they are learned together. One rule for each IPC,
# number of classes, and snapshots: the outputs of a rule are a fixed list.
for block, ipc, snapshots in learned_sizes():

    rule:
        name:
            learn_name(block, ipc, snapshots)
        input:
            code=code_of("learn"),
            data=dataset("learn", "train.safetensors"),
            whitening=parents("learn", "whitening"),
            experts=expert_files,
        output:
            [
                file
                for iteration in (None, *snapshots)
                for slots in slot_ranges(ipc)
                for file in learned_files(iteration, slots, block)
            ],
            history="results/learn/{node}/history.csv",
            frames="results/learn/{node}/frames.safetensors",
        log:
            "logs/learn/{node}/learn.log",
        wildcard_constraints:
            node=with_size(block, ipc, snapshots),
        conda:
            "../envs/scdd.yaml"
        threads: THREADS
        resources:
            **needs("learn", work="work/learn/{node}"),
        params:
            config="results/learn/{node}/config.json",
            job=resumed("work/learn/{node}"),
            root=root_of("learn"),
            whitening=option("whitening"),
            experts=lambda w, input: (
                f"--experts {Path(input.experts[0]).parent}" if input.experts else ""
            ),
            buffers=imported("learn", "buffers"),
            folder="results/learn/{node}",
        shell:
            "exec python -m scdd.learn --config {params.config} --code {input.code} {params.job}"
            " --data {input.data[0]} --root {params.root:q} {params.whitening} {params.experts}"
            " {params.buffers} --out {params.folder} 2> {log}"
