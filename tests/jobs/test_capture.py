"""Steps captured as CUDA graphs, which are fakes: they do what plain steps do."""

from dataclasses import replace
from functools import partial

import pretended
import pytest
import torch
from pretended import GPU
from toy import CLASSES, TEACHER, image_set, info

from scdd.evaluate import train
from scdd.evaluate.feeds import hard_feed
from scdd.evaluate.train import fit
from scdd.jobs.capture import WARM_UP, captured
from scdd.labels.labelling import Labelling
from scdd.labels.relabel import PASS, label
from scdd.labels.teachers import use_batch_statistics
from scdd.networks.resnet import build
from scdd.params import squeeze
from scdd.params.protocol import Student
from scdd.params.recover import Recover
from scdd.params.views import Transform, View
from scdd.recover.engine import Units, recover_units
from scdd.recover.units import draw_unit
from scdd.squeeze import engine as squeezing
from scdd.squeeze.methods import module
from scdd.squeeze.views import Crop
from scdd.views.colour import Jitter
from scdd.views.pixels import valid_range


@pytest.fixture
def graphs(monkeypatch):
    with pretended.gpu(), pretended.graphs(monkeypatch) as captured_graphs:
        yield captured_graphs
        assert all(graph.replays for graph in captured_graphs)


def tensor(*numbers):
    return torch.tensor(numbers, device=GPU)


def test_a_captured_function_gives_what_the_plain_one_does(graphs):
    step = captured(lambda x, y: (x + y).relu() * 2, GPU, "graphs")
    for number in range(-4, 5):
        result = step(tensor(number), tensor(1))
        assert result.tolist() == [max(number + 1, 0) * 2]
    assert [graph.replays for graph in graphs] == [9 - WARM_UP]


def test_what_a_step_changes_is_changed_once_a_call(graphs):
    total = tensor(0)
    step = captured(total.add_, GPU, "graphs")
    for number in range(10):
        step(tensor(number))
    assert total.tolist() == [sum(range(10))]


def test_other_shapes_and_other_numbers_have_other_graphs(graphs):
    step = captured(lambda x, factor: x * factor, GPU, "graphs")
    for _ in range(6):
        assert step(tensor(1, 2), 3).tolist() == [3, 6]
        assert step(tensor(1), 3).tolist() == [3]
        assert step(tensor(1), 5).tolist() == [5]
    assert len(graphs) == 3


def test_gradients_of_a_captured_step_are_those_of_its_inputs(graphs):
    weight = tensor(2.0).requires_grad_()

    def slope(x):
        weight.grad = None
        (weight.square() * x).sum().backward()
        return weight.grad

    step = captured(slope, GPU, "graphs")
    for number in range(8):
        assert step(tensor(float(number))).tolist() == [4.0 * number]


@pytest.mark.parametrize(
    "waiting", [lambda x: x * x.item(), lambda x: x * torch.tensor([1], device=GPU) * x]
)
def test_a_step_that_waits_is_told_and_goes_on_uncaptured(waiting, monkeypatch, capsys):
    with pretended.gpu(), pretended.graphs(monkeypatch):
        step = captured(waiting, GPU, "graphs")
        squares = [step(tensor(number)).tolist() for number in range(6)]
    assert squares == [[number**2] for number in range(6)]
    assert capsys.readouterr().err.count("cannot be captured") == 1


def test_memory_that_runs_out_in_a_capture_is_told_as_such(monkeypatch):
    with pretended.gpu(), pretended.graphs(monkeypatch) as graphs:

        def step(x):
            if graphs:
                raise torch.OutOfMemoryError
            return x

        step = captured(step, GPU, "graphs")
        for _ in range(WARM_UP):
            step(tensor(1))
        with pytest.raises(torch.OutOfMemoryError):
            step(tensor(1))


@pytest.mark.parametrize(("device", "compiled"), [("cpu", "graphs"), ("cuda", "none")])
def test_steps_are_captured_on_a_gpu_where_that_is_asked_for_only(device, compiled):
    def step(x):
        return x

    assert captured(step, torch.device(device), compiled) is step


# ---- the stages' steps ---------------------------------------------------------------------------

SIZE = 8
VIEW = View("resized", 0, (0.3, 1.0), True)
SQUEEZES = {
    "supervised": {},
    "mocov2": {"symmetric": True, "temperature": 0.2, "queue": 16, "dim": 6},
    "mocov3": {"temperature": 0.3, "hidden": 16, "dim": 6},
    "swav": {
        "temperature": 0.2,
        "epsilon": 0.1,
        "iterations": 3,
        "freeze_steps": 5,
        "queue": 16,
        "queue_from": 2,
        "dim": 6,
        "hidden": 10,
        "prototypes": 5,
    },
    "dino": {
        "centre_momentum": 0.8,
        "temperature": 0.2,
        "teacher_temperatures": (0.05, 0.1),
        "temperature_epochs": 2,
        "freeze_epochs": 3,  # one beyond the last capture
        "clip": 0.5,
        "outputs": 7,
        "hidden": 10,
        "bottleneck": 5,
        "head_bn": False,
    },
}


def squeezed(name, compiled, device=GPU):
    """Losses and weights after six epochs of five steps."""
    draw = torch.Generator().manual_seed(0)
    common = {"epochs": 6, "batch": 8, "lr": 0.05, "weight_decay": 1e-4, "warmup_epochs": 1}
    own = {"target_momentum": 0.9, "bn_groups": 2, "knn_every": 0, **SQUEEZES[name]}
    params = squeeze.SQUEEZES[name].of({**common, **own})
    network = build(TEACHER, len(CLASSES), draw)
    method = module(name).make(params, network, draw)
    large = Crop(SIZE, VIEW, Jitter((0.4, 0.4, 0.4, 0.1), 0.8, 0.2))
    small = [replace(large, size=6)] * (name in {"swav", "dino"})
    crops = (*[large] * method.views, *small)
    split = image_set(40, SIZE)
    history = squeezing.train(
        method, network, split, info(SIZE), params, crops, device, compiled=compiled
    )
    return [row[2] for row in history], method.state_dict()


@pytest.mark.parametrize("name", SQUEEZES)
def test_a_squeeze_of_captured_steps_is_the_plain_one(name, graphs):
    losses, state = squeezed(name, "none")
    assert not graphs
    captured_losses, captured_state = squeezed(name, "graphs")
    # another for each of DINO's temperatures, and from when SwAV's queue is full
    assert len(graphs) == {"dino": 3, "swav": 2}.get(name, 1)
    assert captured_losses == losses
    torch.testing.assert_close(captured_state, state, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["mocov2", "swav"])
def test_a_compiled_squeeze_is_the_same_but_for_rounding(name, monkeypatch):
    """In whole graphs, by a backend that needs no C++ compiler."""
    whole = partial(torch.compile, backend="aot_eager", fullgraph=True)
    monkeypatch.setattr(torch, "compile", whole)
    losses, compiled = (squeezed(name, way, torch.device("cpu"))[0] for way in ("none", "full"))
    assert compiled == pytest.approx(losses, rel=1e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(
    "more", [{"ema": 0.9}, {"milestones": (0.6,), "at_milestones": "renew"}], ids=str
)
def test_a_student_of_captured_steps_is_the_plain_one_but_for_the_rates_rounding(
    optimizer, more, graphs, monkeypatch
):
    """To the bit where both have the rates in float32, as a captured step reads them. Also its last
    batches, which are shorter; and after the optimiser was renewed."""
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda _: torch.get_rng_state())
    rate = train.learning_rate
    monkeypatch.setattr(
        train, "learning_rate", lambda *args: torch.tensor(rate(*args), dtype=torch.float32).item()
    )
    training = Student(8, 8, optimizer, 0.01, 0.9, 1e-4, 1, 1.0, **more)
    results = []
    for compiled in ("none", "graphs"):
        split = image_set(20, SIZE).to(GPU)
        feed = hard_feed(
            split, Labelling(Transform(VIEW, "cutmix", 1.0), 0), training, info(SIZE), GPU
        )
        student = build(TEACHER, len(CLASSES), torch.Generator().manual_seed(0)).to(GPU)
        history = fit(
            student,
            feed,
            torch.nn.functional.cross_entropy,
            training,
            lambda weight=student.fc.weight: (weight.sum().item(), None),
            len(split),
            GPU,
            compiled=compiled,
        )
        results.append([(row.loss, row.top1) for row in history])
    assert len(graphs) == 2
    plain, captured_steps = results
    assert captured_steps == plain


def recovered(compiled, monkeypatch):
    for name, value in {"mem_get_info": (1000, 1000), "memory_allocated": 0}.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)
    settings = Recover(8, 0.1, (0.5, 0.9), 0.1, 10.0, 0.1, 0.1, 2, (0.3, 1.0), True, "float32")
    labels = torch.arange(len(CLASSES))
    networks = [
        build(TEACHER, len(CLASSES), torch.Generator().manual_seed(seed)).to(GPU) for seed in (0, 1)
    ]
    return recover_units(
        networks,
        Units(
            [0, 1, 2],
            len(CLASSES),
            lambda slot: draw_unit(settings, labels, SIZE, seed=0, block=0, slot=slot),
        ),
        settings,
        valid_range(info(SIZE), GPU),
        width=2,
        compiled=compiled,
    )


def test_a_recovery_of_captured_steps_is_the_plain_one(graphs, monkeypatch):
    """Also its last pass, which is narrower."""
    plain, other = (recovered(compiled, monkeypatch) for compiled in ("none", "graphs"))
    assert len(graphs) == 4  # two passes, two teachers
    assert plain.images.equal(other.images)
    assert plain.losses.equal(other.losses)


@pytest.mark.parametrize("batch", [None, 8])
def test_captured_labels_are_the_plain_ones(batch, graphs):
    """Also of the last pass, which is shorter; one by one, or with the statistics of batches."""
    scope = ("batch", batch) if batch else ()
    labelling = Labelling(Transform(VIEW, "cutmix", 1.0), 0, *scope, batch_bn=bool(batch))
    split = image_set(PASS + 20, SIZE).to(GPU)
    results = []
    for compiled in ("none", "graphs"):
        teacher = build(TEACHER, len(CLASSES), torch.Generator().manual_seed(0)).to(GPU).eval()
        if batch:
            use_batch_statistics(teacher, labelling.groups)
        where = {"form": "float16", "temperature": 4.0, "info": info(SIZE), "device": GPU}
        results.append(label(teacher, split, labelling, epochs=(0, 6), compiled=compiled, **where))
    assert len(graphs) == 2
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
