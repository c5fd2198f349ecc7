"""The workflow's behaviour after edits, in real runs, by counting the jobs of each rule."""

import json
import re
import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
import yaml
from conftest import OWN_LINES, ROOT, TINY, Checkout, content, new_checkout
from safetensors.torch import load_file

from scdd import cli
from scdd.artifacts.tensors import load
from scdd.data.sets import module
from scdd.plan.jobs import jobs
from scdd.plan.load import plan_of

pytestmark = pytest.mark.workflow
NOTHING = {"all": 1}  # the target itself: it copies and shows the tables on every run
NEW_IMAGES = {"recover": 1, "imageset": 1, "relabel": 1, "validate": 1, "tables": 1}


def test_an_unchanged_experiment_runs_nothing(again: Checkout) -> None:
    assert again.jobs() == NOTHING


def test_a_new_recovery_keeps_the_teacher_and_the_old_one_is_found_again(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    tiny["recover"]["lr"] = 0.1
    again.configure(tiny)
    assert again.jobs() == NEW_IMAGES | NOTHING
    again.configure(TINY)
    assert again.jobs() == NOTHING


def test_a_larger_ipc_adds_shards_and_leaves_the_old_ones_alone(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    shards = "results/recover/*/slots_*/*"
    old = again.files(shards)
    tiny["ipc"] = [10]
    again.configure(tiny)
    assert again.jobs() == NEW_IMAGES | NOTHING
    ten = again.files(shards)
    tiny["ipc"] = [20]
    again.configure(tiny)
    assert again.jobs() == NEW_IMAGES | NOTHING
    twenty = again.files(shards)
    assert len(old) < len(ten) < len(twenty)
    assert old.items() <= ten.items() <= twenty.items()


def test_a_recovery_from_real_images_by_class_two_units_a_pass(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    tiny["recover"] |= {"start": "real", "statistics": "class", "storage": "jpeg"}
    tiny["ipc"], tiny["machine"] = [10], {"pass_width": 2}
    again.configure(tiny)
    two_ranges = NEW_IMAGES | {"recover": 2}
    assert again.jobs() == two_ranges | NOTHING
    (second,) = again.folder.glob("results/recover/*/slots_0001-0009/class_0000.safetensors")
    assert load(second)[1]["passes"] == [2, 1]  # of three classes


def test_a_recovery_that_matches_convolutions_and_classes_gathers_their_statistics_once(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    tiny["recover"] |= {"convolutions": "patches", "class_share": 0.5, "momentum": 0.8, "slots": 9}
    again.configure(tiny)
    assert again.jobs() == NEW_IMAGES | {"statistics": 1} | NOTHING


def test_patches_are_ranked_once_for_their_method_and_for_a_recoverys_start(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    start = {"name": "start", "like": "scdd", "recover": {"start": "patches"}}
    tiny["methods"] += ["rded", start]
    again.configure(tiny)
    twice = {"imageset": 2, "relabel": 2, "validate": 2}
    assert again.jobs() == NEW_IMAGES | {"patches": 1, "select": 1} | twice | NOTHING


def test_backbones_are_looked_at_and_an_automatic_r_bn_is_what_the_look_suggests(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    tiny["recover"]["r_bn"] = "auto"
    tiny["informativeness"] = {"iterations": 2}
    again.configure(tiny)
    assert again.jobs() == NEW_IMAGES | {"informativeness": 1} | NOTHING
    tiny["backbones"] = ["mocov2", "untrained"]
    again.configure(tiny)
    looks = {"squeeze": 1, "probe": 1, "informativeness": 1}
    assert again.jobs() == looks | {"tables": 1} | NOTHING
    del tiny["methods"]
    again.configure(tiny)
    assert again.jobs() == {"tables": 1} | NOTHING
    assert {path.name for path in (again.folder / "results/tables/tiny").iterdir()} == {
        "config.json",
        *(f"backbones.{kind}" for kind in ("csv", "md", "tex", "png", "svg", "pdf", "html")),
        *("backbones_notes.tex", "backbone_curves.html"),
        *(f"{name}.{kind}" for name in ("layers", "settings") for kind in ("csv", "html")),
    }


def test_an_imported_backbone_takes_the_place_of_a_squeeze(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    """The squeezed backbone, published by MoCo v2's keys, leads to the same images."""
    (trained,) = again.folder.glob("results/squeeze/*/backbone.safetensors")
    state = {f"module.encoder_q.{key}": held for key, held in load_file(trained).items()}
    state["module.queue"] = torch.zeros(128, 4)
    torch.save({"arch": "resnet10", "state_dict": state}, again.folder / "published.pth.tar")
    facts = module("digits").FACTS
    source = {"file": "published.pth.tar", "mean": list(facts.mean), "std": list(facts.std)}
    squeeze = {"method": "imported", "source": source}
    tiny["methods"].append({"name": "theirs", "like": "scdd", "title": "B", "squeeze": squeeze})
    again.configure(tiny)
    made = again.jobs()
    assert made == {"squeeze": 1, "probe": 1} | NEW_IMAGES | NOTHING
    shards = again.folder.glob("results/recover/*/slots_*/class_0001.safetensors")
    ours, theirs = (load_file(shard)["images"] for shard in shards)
    assert torch.equal(ours, theirs)


def test_a_verifier_looks_at_the_recovered_images_and_a_ranking_trains_what_is_missing(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    tiny["verifier"], tiny["ranking"] = "scdd", "scdd-paper"
    tiny["protocol"]["whole"] = {"epochs": 1}
    again.configure(tiny)
    # random images; labels of them and without augmentation; students of all arms but the first
    ranked = {"select": 1, "imageset": 1, "relabel": 3, "validate": 5}
    assert again.jobs() == {"verify": 1, "tables": 1} | ranked | NOTHING
    assert "| 1   | SC-DD  |" in (again.folder / "results/tables/tiny/ranking.md").read_text()
    (metrics,) = again.folder.glob("results/verify/*/metrics.json")
    said = f"SC-DD, IPC 1: {json.loads(metrics.read_text())['top1']:.1f} %"
    assert said in " ".join((again.folder / "results/tables/tiny/main.md").read_text().split())


def test_continual_learning_recovers_nothing_again_and_its_last_students_are_there(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    tiny["ipc"], tiny["seeds"] = [2], [0, 1]
    again.configure(tiny)
    assert again.jobs() == {**NEW_IMAGES, "validate": 2} | NOTHING
    tiny["continual"] = {"steps": [3], "orders": 2}
    again.configure(tiny)
    memories = {"imageset": 4, "relabel": 4, "validate": 4}  # of one and of two classes
    assert again.jobs() == {**memories, "tables": 1} | NOTHING
    table = (again.folder / "results/tables/tiny/continual.md").read_text()
    assert "| Method |     1 class |" in table
    assert "| SC-DD  | 100.0 ± 0.0 |" in table
    assert again.jobs() == NOTHING


def test_learned_images_of_one_pixel_space_share_its_whitening_and_experts(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    """Two methods follow the same experts; a longer chase only adds later epochs of them."""
    narrow = {"arch": "convnet3", "width": 0.0625}
    common = {"network": narrow, "iterations": 2, "zca": True, "max_start": 2, "expert_epochs": 2}
    tiny["methods"] = ["mtt", "tesla"]
    tiny["learn"] = {"mtt": {**common, "steps": 2}, "tesla": {**common, "steps": 3}}
    tiny["experts"] = {"count": 2, "per_file": 1}
    tiny["protocols"] = ["dc"]
    tiny["protocol"] = {"dc": {"epochs": 3, "student": narrow}}
    again.configure(tiny)
    sets = {"learn": 2, "imageset": 2, "validate": 2, "tables": 1}
    assert again.jobs() == {"whiten": 1, "experts": 2} | sets | NOTHING
    old = again.files("results/experts/*/experts_*")
    tiny["learn"]["mtt"]["max_start"] = 6
    again.configure(tiny)
    one_set = {"learn": 1, "imageset": 1, "validate": 1, "tables": 1}
    assert again.jobs() == {"experts": 2} | one_set | NOTHING
    assert old.items() <= again.files("results/experts/*/experts_*").items()
    tables = {path.name for path in (again.folder / "results/tables/tiny").iterdir()}
    assert {"learned.png", "learned_mtt_ipc1.gif", "learned_tesla_ipc1.png"} <= tables


def test_snapshots_are_evaluated_and_8_bit_images_share_what_was_learned(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    narrow = {"arch": "convnet3", "width": 0.0625}
    tiny["methods"] = [
        "scdd",
        {"name": "dm", "learn": {"snapshots": 1}},
        {"name": "dm8", "like": "dm", "learn": {"snapshots": 1}, "storage": "uint8"},
    ]
    tiny["learn"] = {"dm": {"network": narrow, "iterations": 4}}
    tiny["protocols"] = ["scdd-paper", "dc"]
    tiny["protocol"]["dc"] = {"epochs": 3, "student": narrow}
    again.configure(tiny)
    jobs = again.jobs()
    # a set and a snapshot in either form; students of dc on all, and on SC-DD's; labels of the sets
    assert (
        jobs
        == {
            "learn": 1,
            "imageset": 4,
            "relabel": 2,
            "validate": 7,
            "tables": 1,
        }
        | NOTHING
    )
    page = (again.folder / "results/tables/tiny/snapshots.md").read_text()
    assert "CHOSEN ON THE TEST IMAGES" in page
    assert page.count("| DM ") + page.count("| dm8 ") == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [("seeds", [0, 1]), ("students", [*TINY["students"], "convnet3"])],
)
def test_a_new_seed_or_student_adds_validations_only(
    again: Checkout, tiny: dict[str, Any], key: str, value: Any
) -> None:
    tiny[key] = value
    again.configure(tiny)
    assert again.jobs() == {"validate": 1, "tables": 1} | NOTHING


def test_a_plotting_option_trains_nothing(again: Checkout, tiny: dict[str, Any]) -> None:
    tiny["figures"] = {"dpi": 60}
    again.configure(tiny)
    assert again.jobs() == {"tables": 1} | NOTHING


def test_a_source_file_counts_by_its_code(again: Checkout) -> None:
    source = again.folder / "scdd" / "evaluate" / "train.py"
    source.touch()
    assert again.jobs() == NOTHING
    source.write_text(source.read_text() + "\n# a remark\n")
    assert again.jobs() == NOTHING
    source.write_text(source.read_text() + "\nANSWER = 42\n")
    assert again.jobs() == {"validate": 1, "tables": 1} | NOTHING


def test_without_snakemakes_memory_nothing_stale_is_taken_for_new(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    published = again.folder / "results/tables/tiny/main.csv"
    before = published.read_bytes()
    subprocess.run(["rm", "-r", ".snakemake"], cwd=again.folder, check=True)
    assert again.jobs() == NOTHING
    tiny["methods"], tiny["ipc"] = ["scdd", "random"], [2]
    again.configure(tiny)
    subprocess.run(["rm", "-r", ".snakemake"], cwd=again.folder, check=True)
    assert (
        again.jobs()
        == {
            "recover": 1,
            "select": 2,
            "imageset": 2,
            "relabel": 2,
            "validate": 2,
            "tables": 1,
        }
        | NOTHING
    )
    assert published.read_bytes() != before
    again.configure(TINY)
    subprocess.run(["rm", "-r", ".snakemake"], cwd=again.folder, check=True)
    assert again.jobs() == NOTHING
    assert published.read_bytes() == before


def test_an_edit_while_jobs_wait_changes_nothing_of_the_run(
    again: Checkout, tiny: dict[str, Any]
) -> None:
    tiny["probe"]["lr"] = 2
    again.configure(tiny)
    running = subprocess.Popen(
        again.command("--cores", "1", OWN_LINES),
        cwd=again.folder,
        env=again.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout is not None
    printed = ""
    while not re.search(r"^(local)?rule probe:$", printed, re.MULTILINE):
        line = running.stdout.readline()
        assert line, printed
        printed += line
    tiny["recover"]["lr"] = 0.7
    again.configure(tiny)
    printed += running.communicate()[0]
    assert running.returncode == 0, printed
    rates = {
        path: content for path, (content, _) in again.files("results/recover/*/config.json").items()
    }
    assert len(rates) == 2
    assert not any(b'"lr": 0.7' in content for content in rates.values())
    assert again.jobs()["recover"] == 1


def test_a_damaged_shard_is_named_and_remade(again: Checkout, tiny: dict[str, Any]) -> None:
    shard = next(again.folder.glob("results/recover/*/slots_*/class_0001.safetensors"))
    intact = shard.read_bytes()
    shard.write_bytes(intact[:-1] + bytes([intact[-1] ^ 1]))
    tiny["protocol"]["scdd-paper"]["temperature"] = 3
    tiny["protocol"]["scdd-paper"]["seed"] = 1
    again.configure(tiny)
    printed = again.run(fails=True)
    assert "Traceback" not in printed
    (message,) = re.findall(r"^error: (.*)$", printed, re.MULTILINE)
    assert "class_0001.safetensors is truncated, altered or remade" in message
    command = re.search(r"rm -f .*(?=, then run snakemake again)", message)
    assert command
    subprocess.run(command[0], shell=True, cwd=again.folder, check=True)
    again.run()
    assert again.jobs() == NOTHING
    assert shard.read_bytes() == intact


def test_two_runs_are_bit_equal(
    finished: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = new_checkout(tmp_path_factory.mktemp("workflow") / "other")
    other.configure(TINY)
    other.run()
    made = content(other)
    assert len(made) > 10
    assert made == content(finished)


def test_the_plan_knows_every_job_and_a_status_finds_what_each_left(
    finished: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(finished.folder)
    planned = list(jobs(plan_of(TINY)))
    logs = set(Path("logs").rglob("*.log")) - {Path("logs/all.log")}
    assert {job.log for job in planned} == logs
    assert {job.cost for job in planned} == set(Path("results").glob("*/*/costs/*.json"))
    assert all(job.output.exists() for job in planned)
    assert cli.main(["status"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tiny: run of ")
    assert "it has ended" in printed
    assert printed.endswith("All is done.\n")


def test_every_job_leaves_what_it_took_where_the_table_looks_for_it(finished: Checkout) -> None:
    (table,) = finished.folder.glob("results/tables/tiny-*/config.json")
    (one,) = json.loads(table.read_text())["params"]["costs"]
    stages = ["data", "squeeze", "probe", "recover", "imageset", "relabel", "validate"]
    assert list(one["stages"]) == stages
    results = finished.folder / "results"
    took = {
        stage: [json.loads((results / file).read_text())["seconds"] for file in files]
        for stage, files in one["stages"].items()
    }
    assert all(seconds > 0 for jobs in took.values() for seconds in jobs)
    costs = (results / "tables/tiny/costs.csv").read_text().splitlines()[1:]
    assert {line.split(",")[6]: float(line.split(",")[9]) for line in costs} == {
        stage: pytest.approx(sum(jobs)) for stage, jobs in took.items()
    }


def test_in_a_pipe_a_run_is_told_in_plain_lines_and_words(finished: Checkout) -> None:
    assert "\x1b" not in finished.printed
    clock = r"^\d\d:\d\d:\d\d "
    told = [line[9:] for line in finished.printed.splitlines() if re.match(clock, line)]
    assert told[0] == "tiny: 8 jobs to do"
    done = [re.split(" · ", line)[0] for line in told if line.startswith("done: ")]
    assert done == [
        "done: read the dataset digits",
        "done: squeeze SC-DD, digits, MoCo v2, resnet10-w0.125, 1 epoch",
        "done: probe SC-DD, digits, MoCo v2, resnet10-w0.125, 1 epoch",
        "done: recover SC-DD, digits, image 0",
        "done: collect SC-DD, digits, IPC 1",
        "done: relabel SC-DD, digits, IPC 1, epochs 0–99",
        "done: validate SC-DD, digits, IPC 1, resnet10-w0.125, seed 0, 1 epoch",
        "done: draw tables and figures of tiny",
    ]
    assert [line.replace("done", "starts") for line in done] == [
        line for line in told if line.startswith("starts: ")
    ]
    assert told[-1].startswith("All jobs are done · ")
    assert not re.search(r"rule|results/(?!tables)", finished.printed.partition("# digits")[0])


@pytest.fixture(scope="module")
def report(finished: Checkout) -> Path:
    """Snakemake's report of the small experiment."""
    finished.run("--report", "report.html")
    return finished.folder / "report.html"


def held_by(report: Path, name: str) -> Any:
    """What the report's script of that name, with hyphens, puts in a variable."""
    script = f'<script id="{name.replace("_", "-")}">'
    content = report.read_text().partition(script)[2]
    return json.JSONDecoder().raw_decode(content.partition(f"var {name} = ")[2])[0]


def test_report_has_a_page_of_everything_with_its_category_title_and_caption(report: Path) -> None:
    results, categories, first = (
        held_by(report, name) for name in ("results", "categories", "workflow_desc")
    )
    titles = {
        category: {results[path]["labels"]["page"] for path in parts["Other"]}
        for category, parts in categories.items()
    }
    assert titles == {
        "1 Tables": {"Main table", "Every student"},
        "2 Figures": {"Accuracy by epoch", "Losses of squeezes and recoveries"},
        "3 Images": {"Images of all methods, by class"},
        "4 Recoveries in motion": {"Images on their way"},
        "5 Costs": {"Seconds and memory by stage"},
        "6 Configuration": {"All parameters"},
    }
    assert all(result["caption"].count("<p>") for result in results.values())
    assert "Dataset distillation by SC-DD: tiny" in first
    assert "<h1>tiny: Main table</h1>" in first
    assert first.count("app.setView") == len(results)


BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
VISIT = """<script>
const said = [];
window.onerror = message => said.push(message);
console.error = message => said.push(message);
window.onload = async () => {
  const wait = time => new Promise(done => setTimeout(done, time));
  await wait(500);
  const links = document.querySelectorAll('.first a').length, seen = {};
  for (let number = 0; number < links; number++) {
    app.setView({navbarMode: 'menu', content: 'rulegraph'});
    await wait(200);
    document.querySelectorAll('.first a')[number].click();
    await wait(500);
    const frame = document.querySelector('iframe').contentDocument;
    const images = [...frame.images];
    seen[frame.title] = [images.length, images.filter(image => !image.naturalWidth).length];
  }
  document.body.innerHTML = '<pre>SEEN' + JSON.stringify({seen, said}) + 'END</pre>';
};
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_report_opens_in_a_browser_and_every_picture_is_shown(report: Path, tmp_path: Path) -> None:
    assert BROWSER is not None
    page = report.read_text().replace("<head>", f"<head>{VISIT}", 1)
    (tmp_path / "report.html").write_text(page)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/report.html"
        options = ["--headless", "--no-sandbox", "--virtual-time-budget=60000", "--dump-dom"]
        command = [BROWSER, *options, f"--user-data-dir={tmp_path / 'profile'}", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        server.shutdown()
    found = re.search(r"<pre>SEEN({.*})END", done.stdout)
    assert found, done.stderr[-2000:]
    visited = json.loads(found[1].replace("&amp;", "&"))
    assert visited["said"] == []
    images = visited["seen"]
    assert images["tiny: Accuracy by epoch"] == [1, 0]
    assert images["tiny: Images on their way"] == [2, 0]
    assert images["tiny: Images of all methods, by class"][0] > 0
    assert len(images) == 8
    assert all(broken == 0 for _, broken in images.values())


def test_linter_is_content(finished: Checkout) -> None:
    assert "good condition" in finished.run("--lint")


def test_imagenet_is_planned_without_its_images(again: Checkout) -> None:
    shutil.copytree(ROOT / "experiments", again.folder / "experiments")
    (again.folder / "data" / "imagenet1k").mkdir(parents=True)
    printed = again.run("--configfile", "experiments/imagenet1k.yaml", "-n", "-q", "rules")
    planned = dict(re.findall(r"^(\w+) +(\d+)$", printed, re.MULTILINE))
    assert planned["recover_0950_0999"] == "9"
    assert planned["select"] == "9"
    assert planned["imageset"] == "8"
    assert planned["validate"] == "36"


def test_a_misspelt_key_stops_before_the_first_job(again: Checkout, tiny: dict[str, Any]) -> None:
    tiny["recover"]["iteration"] = 3
    again.configure(tiny)
    printed = again.run(fails=True)
    assert "unknown key recover.iteration. Did you mean 'iterations'?" in printed
    assert "Traceback" not in printed
    assert not re.search(r"^(local)?rule ", printed, re.MULTILINE)


@pytest.mark.parametrize("arguments", [(), ("--configfile", "own.yaml")])
def test_a_key_that_appears_twice_stops_before_the_first_job(
    again: Checkout, arguments: tuple[str, ...]
) -> None:
    for name in ("config.yaml", "own.yaml"):
        (again.folder / name).write_text(f"{yaml.safe_dump(TINY)}\nipc: [2]\n")
    printed = again.run(*arguments, fails=True)
    assert "ipc appears twice, in lines " in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("options", "limit"), [((), "None"), (("--max-jobs-per-timespan", "5/1s"), "5")]
)
def test_starts_are_limited_only_if_that_is_asked_for(
    tmp_path: Path, tiny: dict[str, Any], options: tuple[str, ...], limit: str
) -> None:
    checkout = new_checkout(tmp_path / "checkout")
    checkout.configure(tiny)
    (checkout.folder / "limit.smk").write_text(
        """
include: "Snakefile"


def limit(wildcards):  # asked for again when the job starts; before, there is no scheduler
    limiter = getattr(workflow.scheduler, "job_rate_limiter", None)
    return getattr(limiter, "max_jobs", None)


rule limit:
    params:
        limit=limit,
    localrule: True
    shell:
        "echo limit: {params.limit}"
"""
    )
    assert f"limit: {limit}\n" in checkout.run("--snakefile", "limit.smk", *options, "limit")


def test_a_stages_name_is_known_to_until_and_to_forcerun(again: Checkout) -> None:
    planned = again.run("-n", "-q", "rules", "-R", "recover")
    assert re.search(r"^recover +\d", planned, re.MULTILINE)
    assert again.jobs("--until", "recover") == {}


def test_a_checkout_may_lie_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    odd = new_checkout(tmp_path / 'it\'s $a "b"')
    odd.configure(TINY)
    assert odd.jobs("--until", "data") == {"data": 1}


def test_braces_in_the_path_of_a_checkout_are_refused_in_one_line(tmp_path: Path) -> None:
    odd = new_checkout(tmp_path / "a{b}")
    odd.configure(TINY)
    printed = odd.run("-n", fails=True)
    assert "Snakemake takes braces in a path for wildcards. Rename the folder" in printed
    assert "Traceback" not in printed


def with_a_paper(checkout: Checkout) -> None:
    """experiments/paper-mini.yaml: the small experiment, and another one with the same students."""
    (checkout.folder / "experiments").mkdir()
    numbers = {"tiny": "Table 1", "other": "Figure 2"}
    for name in numbers:
        config = yaml.safe_dump({**TINY, "experiment": name})
        (checkout.folder / "experiments" / f"{name}.yaml").write_text(config)
    parts = [
        {"number": number, "title": "t", "experiment": name, "show": ["main", "accuracy"]}
        for name, number in numbers.items()
    ]
    paper = {"name": "mine", "title": "A paper", "parts": parts}
    config = {"experiments": [f"{name}.yaml" for name in numbers], "paper": paper}
    (checkout.folder / "experiments" / "paper-mini.yaml").write_text(yaml.safe_dump(config))


def test_a_paper_is_put_together_when_something_on_it_has_changed(again: Checkout) -> None:
    with_a_paper(again)
    assert again.jobs("paper_mini") == {"tables_other": 1, "paper_page": 1, "paper_mini": 1}
    published = again.folder / "results/paper/mine"
    assert {file.name for file in published.iterdir()} == {
        *("config.json", "summary.md", "index.md", "index.html", "paper.tex"),
        *(f"{part}_accuracy.{kind}" for part in ("table_1", "figure_2") for kind in ("pdf", "svg")),
    }
    assert "3 classes of 16 pixels a side" in (published / "index.md").read_text()
    assert (again.folder / "results/tables/other/main.md").exists()
    assert again.jobs("--configfile", "experiments/paper-mini.yaml") == NOTHING
    (table,) = again.folder.glob("results/tables/other-*/main.md")
    table.unlink()
    assert again.jobs("paper_mini") == {"tables_other": 1, "paper_page": 1, "paper_mini": 1}


def test_a_run_of_a_paper_shows_its_summary_and_a_dry_run_its_cost(again: Checkout) -> None:
    with_a_paper(again)
    dry = again.run("-n", "paper_mini")
    assert re.search(r"^Cost on ", dry, re.MULTILINE)
    assert re.search(r"^In all: \d+ jobs, ", dry, re.MULTILINE)
    assert re.search(r"^paper_page +1$", dry, re.MULTILINE)
    assert "rule paper_page" not in dry  # a full-size paper has thousands of jobs
    printed = again.run("paper_mini", own_lines=False)
    assert re.search(r"^\d\d:\d\d:\d\d mine: 2 jobs to do", printed, re.MULTILINE)
    assert "done: put together the paper mine · " in printed
    assert "# A paper\n\n- Table 1. t\n- Figure 2. t\n" in printed
    assert "| SC-DD" not in printed
    assert "Tables and figures: results/paper/mine/\n" in printed


def test_a_target_that_is_no_paper_of_the_configuration_is_refused(again: Checkout) -> None:
    with_a_paper(again)
    printed = again.run("paper", "--configfile", "config.yaml", fails=True)
    assert "config.yaml has no key paper, which `snakemake paper` makes." in printed
    assert "paper and paper_mini are two configurations" in again.run(
        "paper", "paper_mini", fails=True
    )


def test_a_dry_run_needs_no_data(tmp_path: Path, tiny: dict[str, Any]) -> None:
    tiny["dataset"] = {"name": "cifar100", "classes": 3, "root": "nowhere"}
    checkout = new_checkout(tmp_path / "checkout")
    checkout.configure(tiny)
    dry = checkout.run("-n", "-q", "rules")
    assert "cifar100 is read from there. A run would stop here." in dry
    assert re.search(r"^validate +1$", dry, re.MULTILINE)
    assert "cifar100 is read from there." in checkout.run(fails=True)


def test_a_finished_table_is_shown(finished: Checkout) -> None:
    printed = finished.run()
    assert "SC-DD" in printed
    assert "results/tables/tiny/" in printed
