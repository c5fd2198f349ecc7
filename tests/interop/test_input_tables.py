"""The tables of docs/input.md, line by line: each is tried, and ends as it says."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import test_ranges as ranges
import test_wrapped_checkpoints as wrapped
import torch
import toy
from test_checkpoints import Bomb
from test_wrapped_checkpoints import before, changed, plain
from torch import Tensor, nn

from scdd.errors import ScddError
from scdd.interop.checkpoints import find, fitted
from scdd.interop.distilled_sets import OfClass, class_images
from scdd.params.select import Import
from scdd.views.zca import fit

PAGE = Path(__file__).parents[2] / "docs" / "input.md"
READ, CONVERTED, REFUSED = "read", "converted", "refused"


def table(first: str) -> dict[str, tuple[str, str]]:
    """By the first column of the table that begins with `first`: the other two."""
    lines = PAGE.read_text(encoding="utf-8").partition(f"\n| {first} |")[2].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines.split("\n")]
    return {row[0]: (row[1], row[2]) for row in rows[2:]}


CHECKPOINTS, TENSORS, TOLD = table("checkpoint"), table("tensors"), table("labels")


# ---- checkpoints -------------------------------------------------------------------------------


def jit(path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)


def damaged(path: Path) -> None:
    torch.save(plain(), path)
    path.write_bytes(path.read_bytes()[:-1000])


def quantised(weight: Tensor) -> Tensor:
    return torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)


def dtypes(*kinds: torch.dtype) -> list[Any]:
    return [{"model": {k: v.to(kind) for k, v in plain().items()}} for kind in kinds]


def examples(row: str) -> Iterator[Any]:
    """What the row names: contents to save, or functions that write the file."""
    conv, var = "conv1.weight", "bn1.running_var"
    made: dict[str, list[Any]] = {
        "a bare state dict": [plain()],
        "`{'model': state}`, or under another key": [{"model": plain()}, {"my_key": plain()}],
        "dictionaries in dictionaries": [{"a": {"b": wrapped.nested(plain())}}],
        "`module.`, `_orig_mod.` or both before the keys": [
            before("module."),
            before("_orig_mod."),
            {"model": before("module._orig_mod.")},
            {"model": before("_orig_mod.module.")},
        ],
        "`model.`, `net.` or any other prefix (Lightning)": [
            {"state_dict": before(prefix)} for prefix in ("model.", "net.", "my.own.")
        ],
        "`linear` and `shortcut` (kuangliu/pytorch-cifar)": [{"net": wrapped.kuangliu()}],
        "weights and their averages (`ema`, `averaged`, `swa`)": [
            {"model": plain(1), "model_ema": plain()},
            {"averaged": plain(), "net": plain(1)},
            {"net": plain(1), "swa_net": wrapped.averaged()},
        ],
        "the same network under two keys": [{"model": plain(), "best": plain()}],
        "float16, bfloat16, float64": dtypes(torch.half, torch.bfloat16, torch.double),
        "a counter of batches that is missing, or beyond float16": [
            wrapped.without("num_batches_tracked"),
            changed("bn1.num_batches_tracked", lambda t: torch.tensor(1e6).half()),
        ],
        "several different networks": [{"student": plain(), "teacher": plain(1)}],
        "no ResNet": [{"model": {"features.0.weight": torch.ones(3)}}],
        "integers, bool, complex, 8-bit floats, quantised tensors": [
            changed(conv, lambda t: t.int()),
            changed(conv, lambda t: t > 0),
            changed(conv, lambda t: t + 1j),
            changed(conv, lambda t: t.to(torch.float8_e4m3fn)),
            changed(conv, quantised),
        ],
        "sparse and nested tensors": [
            changed(conv, Tensor.to_sparse),
            changed(conv, lambda t: torch.nested.nested_tensor([t, t])),
        ],
        "NaN or infinite values": [
            changed(conv, lambda t: t * torch.nan),
            changed(var, lambda t: t * torch.inf),
        ],
        "a negative `running_var`": [changed(var, torch.neg)],
        "no running statistics at all": [wrapped.without("running_mean", "running_var")],
        "missing or unknown keys": [
            wrapped.without("layer1.0.conv1.weight"),
            {"model": plain() | {"layer1.0.se.weight": torch.ones(2)}},
        ],
        "a TorchScript program": [jit],
        "a pickle that calls code": [{"model": plain(), "hook": Bomb(os.getpid)}],
        "a damaged file": [damaged],
    }
    assert set(made) == set(CHECKPOINTS)
    yield from made[row]


def quoted(text: str) -> list[str]:
    return re.findall(r'"([^"]+)"', text)


@pytest.mark.parametrize("row", CHECKPOINTS)
def test_a_checkpoint_ends_as_the_table_says(row: str, tmp_path: Path) -> None:
    verdict, text = CHECKPOINTS[row]
    found = set()
    for number, content in enumerate(examples(row)):
        path = tmp_path / f"{number}.pth"
        content(path) if callable(content) else torch.save(content, path)
        if verdict == REFUSED:
            with pytest.raises(ScddError) as caught:
                fitted(find(path), wrapped.SMALL, path)
            found |= {part for part in quoted(text) if part in str(caught.value)}
            assert any(part in str(caught.value) for part in quoted(text)), caught.value
            continue
        assert verdict in {READ, CONVERTED}
        checkpoint = find(path)
        state = fitted(checkpoint, wrapped.SMALL, path)
        assert set(checkpoint.classifier) == {"fc.weight", "fc.bias"}
        assert all(t.dtype == plain()[key].dtype for key, t in state.items())
        if verdict == READ:
            assert all(torch.equal(t, plain()[key]) for key, t in state.items())
    assert found == set(quoted(text))


# ---- tensors -----------------------------------------------------------------------------------


Case = tuple[Tensor, dict[str, Any]]
LABELS = torch.arange(3).repeat(4)
PICTURES = ranges.pictures(size=8, count=12)
WHITENING = fit([ranges.pictures(seed=5, size=8, count=200)], 0.1).to(torch.float32)
HALF = [0.5] * 3


def toys(images: Tensor) -> Tensor:
    """Normalised by the toy dataset's mean and std."""
    return ranges.normalised(images, ranges.Reading(toy.MEAN, toy.STD))


def in_range(*ranges_: tuple[str, Tensor]) -> list[Case]:
    return [(values, {"range": stated}) for stated, values in ranges_]


def cases(row: str) -> list[Case]:
    x, unit = PICTURES, PICTURES / 255
    bits = toys(x)
    made: dict[str, list[Tensor] | list[Case]] = {
        "normalised floats": [bits],
        "learned floats, some far beyond black and white": [bits + ranges.noise(bits)],
        "float16, bfloat16, float64 images": [bits.half(), bits.bfloat16(), bits.double()],
        "uint8 and other integers from 0 to 255": [x, x.int(), x.short(), x.long()],
        "any floats, with `range: unit`, `byte` or `symmetric`": in_range(
            ("unit", unit), ("byte", x.float()), ("symmetric", 2 * unit - 1)
        ),
        "[0, 1], with `mean: [0, 0, 0]` and `std: [1, 1, 1]`": [
            (unit, {"mean": (0.0,) * 3, "std": (1.0,) * 3})
        ],
        "whitened floats (ZCA), with `whitened: true`": [(WHITENING.whiten(x), {"whitened": True})],
        "whitened floats (ZCA), near to real images": [WHITENING.whiten(x)],
        "other floats, with `whitened: true`": [
            (values, {"whitened": True}) for values in (x.float(), x.float() - 128)
        ],
        "flat images, of one value": [torch.zeros_like(bits), torch.full_like(bits, 0.5)],
        "floats in [0, 1]": [unit, unit.half()],
        "floats in [0, 255]": [x.float(), x.double()],
        "floats in [-1, 1]": [2 * unit - 1],
        "floats in [-0.5, 0.5]": [unit - 0.5],
        "bytes without their mean, pixels that were normalised twice": [
            x.float() - 128,
            toys(toys(x) * 255),
        ],
        "floats that are not in the `range` that is stated": in_range(("unit", x.float())),
        "integers below 0 or above 255, bool": [x.int() - 1, x.int() * 2, x > 99],
        "integers, with another `range` than `byte`": in_range(("unit", x)),
        "NaN or infinite pixels or labels": [bits * torch.nan, bits * torch.inf],
        "sparse, nested, complex, quantised or 8-bit float tensors": [
            bits.to_sparse(),
            torch.nested.nested_tensor([bits[0], bits[1]]),
            bits + 1j,
            quantised(bits),
            bits.to(torch.float8_e4m3fn),
        ],
    }
    assert set(made) == set(TENSORS)
    return [case if isinstance(case, tuple) else (case, {}) for case in made[row]]


Saved = Callable[[Tensor, Path], Path]


def images_of(path: Path, stated: dict[str, Any]) -> list[OfClass]:
    given = Import("", **stated)
    whitening = WHITENING if given.whitened else None
    return list(class_images(path, toy.info(8), (0, 10), given, whitening))


def as_dc(images: Tensor, folder: Path) -> Path:
    torch.save({"data": [[images, LABELS]]}, folder / "res.pt")
    return folder / "res.pt"


def as_mtt(images: Tensor, folder: Path) -> Path:
    torch.save(images, folder / "images_best.pt")
    torch.save(LABELS, folder / "labels_best.pt")
    return folder


@pytest.mark.parametrize("saved", [as_dc, as_mtt])
@pytest.mark.parametrize("row", TENSORS)
def test_tensors_end_as_the_table_says(row: str, saved: Saved, tmp_path: Path) -> None:
    verdict, text = TENSORS[row]
    assert verdict in {CONVERTED, REFUSED}
    for values, stated in cases(row):
        path = saved(values, tmp_path)
        if verdict == REFUSED:
            with pytest.raises(ScddError) as caught:
                images_of(path, stated)
            for part in quoted(text):
                assert part in str(caught.value)
            assert "\n" not in str(caught.value)
            continue
        found = [each.images for each in images_of(path, stated)]
        if not row.startswith(("learned", "flat")):
            expected = torch.stack([PICTURES[index == LABELS] for index in range(3)])
            apart = (torch.stack(found).int() - expected.int()).abs().max()
            assert apart <= (2 if values.dtype == torch.bfloat16 else values.dtype == torch.half)


def labels_of(row: str) -> list[Case]:
    learned, keep = torch.eye(3)[LABELS] * 0.7 + 0.1, {"learned_labels": True}
    made: dict[str, list[Case]] = {
        "class indices, integers or whole floats": [(LABELS, {}), (LABELS.double(), {})],
        "learned labels [n, classes]": [(learned, {}), (learned.half(), {})],
        "learned labels, with `learned_labels: true`": [(learned, keep), (learned.half(), keep)],
        "learned labels that are not probabilities, with `learned_labels: true`": [
            (learned * 2, keep),
            (learned - 0.2, keep),
        ],
        "class indices, with `learned_labels: true`": [(LABELS, keep)],
        "another number of classes": [(torch.eye(4)[LABELS], {})],
    }
    assert set(made) == set(TOLD)
    return made[row]


@pytest.mark.parametrize("row", TOLD)
def test_labels_end_as_the_table_says(
    row: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict, text = TOLD[row]
    assert verdict in {READ, CONVERTED, REFUSED}
    for labels, stated in labels_of(row):
        torch.save({"data": [[PICTURES, labels]]}, tmp_path / "res.pt")
        if verdict == REFUSED:
            with pytest.raises(ScddError) as caught:
                images_of(tmp_path / "res.pt", stated)
            assert all(part in str(caught.value) for part in quoted(text))
            continue
        found = images_of(tmp_path / "res.pt", stated)
        for index, each in enumerate(found):
            assert torch.equal(each.images, PICTURES[index == LABELS])
            assert (each.labels is not None) == ("learned_labels" in stated)
            assert each.labels is None or each.labels.equal(labels.float()[index == LABELS])
        said = "learned labels are not used" in capsys.readouterr().err
        assert said == (verdict == CONVERTED)
