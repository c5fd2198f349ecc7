"""Shards, image sets and their guards."""

import hashlib
import json
import shutil

import pytest
import torch

from scdd import imageset
from scdd.artifacts.dataset import DatasetInfo, save_info
from scdd.artifacts.images import (
    class_images,
    load_corner,
    load_set,
    make_set,
    map_set,
    open_set,
    whitening_of,
)
from scdd.artifacts.shards import save_shard
from scdd.artifacts.slots import slot_ranges
from scdd.errors import ScddError

CLASSES, SIZE, IPC = ("ant", "bee", "cat"), 4, 12
RECORD = {"digest": "made1", "seed": 5, "env": {}}


def pixels(index: int, slot: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1000 * index + slot)
    return torch.randint(0, 256, (3, SIZE, SIZE), dtype=torch.uint8, generator=draw)


def write_shards(folder, classes=CLASSES, ipc=IPC, exist=1000):
    for index in range(len(classes)):
        for first, end in slot_ranges(ipc):
            images = torch.stack([pixels(index, s) for s in range(first, min(end, exist))])
            save_shard(folder, (first, end), classes, index, images, record=RECORD)


def make(folder, **changes):
    arguments = {"ipc": IPC, "resolution": SIZE, "method": "SC-DD", "digest": "set1"}
    arguments |= {"sources": ["made1"], "mean": (0.5,) * 3, "std": (0.2,) * 3, **changes}
    return make_set(folder / "set" / "set.json", folder / "made", CLASSES, **arguments)


@pytest.fixture
def folder(tmp_path):
    write_shards(tmp_path / "made")
    make(tmp_path)
    return tmp_path


def shard(folder, slots="0001-0009", index=1):
    return folder / "made" / f"slots_{slots}" / f"class_{index:04d}.safetensors"


def test_a_set_is_class_major_and_takes_the_first_slots(folder):
    made = load_set(folder / "set" / "set.json")
    assert made.images.shape == (3 * IPC, 3, SIZE, SIZE)
    assert made.images.dtype == torch.uint8
    assert made.labels.tolist() == [0] * IPC + [1] * IPC + [2] * IPC
    assert (made.classes, made.ipc, made.method) == (CLASSES, IPC, "SC-DD")
    for index in range(3):
        for slot in range(IPC):
            assert made.images[index * IPC + slot].equal(pixels(index, slot))


@pytest.mark.parametrize("ipc", [IPC, 3])
def test_a_mapped_set_has_the_same_images_in_the_same_order(folder, ipc):
    make(folder, ipc=ipc)
    mapped = map_set(folder / "set" / "set.json", CLASSES, "here", "set1")
    assert len(mapped) == 3 * ipc
    order = torch.randperm(3 * ipc, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([pixels(i // ipc, i % ipc) for i in order.tolist()])
    assert mapped.gather(order).equal(expected)


def test_a_mapped_set_of_another_class_order_or_artifact_is_refused(folder):
    with pytest.raises(ScddError, match=r"set\.json.*dataset\.json"):
        map_set(folder / "set" / "set.json", ("ant", "cat", "bee"), "dataset.json")
    with pytest.raises(ScddError, match=r"is of artifact set1, but .* for artifact set2"):
        map_set(folder / "set" / "set.json", digest="set2")


def test_content_is_the_hash_of_class_order_and_pixels(folder):
    images = [pixels(index, slot) for index in range(3) for slot in range(IPC)]
    expected = hashlib.sha256(b'["ant", "bee", "cat"]' + torch.stack(images).numpy().tobytes())
    assert open_set(folder / "set" / "set.json").content == expected.hexdigest()


def test_set_json_names_each_shard_by_relative_path_and_hash(folder):
    content = json.loads((folder / "set" / "set.json").read_text())
    assert len(content["shards"]) == 3 * 3
    entry = content["shards"][4]
    assert entry["path"] == "../made/slots_0001-0009/class_0001.safetensors"
    assert entry["slots"] == [1, 10]
    assert entry["name"] == "bee"
    assert entry["sha256"] == hashlib.sha256(shard(folder).read_bytes()).hexdigest()


def test_a_set_can_be_moved_with_its_shards(folder, tmp_path):
    before = load_set(folder / "set" / "set.json").images
    for name in ("set", "made"):
        shutil.move(folder / name, tmp_path / "elsewhere" / name)
    assert load_set(tmp_path / "elsewhere" / "set" / "set.json").images.equal(before)


def test_a_smaller_ipc_is_a_prefix(folder):
    large = load_set(folder / "set" / "set.json").images.unflatten(0, (3, IPC))
    make(folder, ipc=3)
    small = load_set(folder / "set" / "set.json").images.unflatten(0, (3, 3))
    assert small.equal(large[:, :3])


def test_open_set_needs_no_shard(folder):
    shutil.rmtree(folder / "made")
    assert open_set(folder / "set" / "set.json").ipc == IPC


def test_a_corner_is_read_from_its_own_shards_alone(folder):
    shutil.rmtree(folder / "made" / "slots_0010-0019")
    shard(folder, index=2).unlink()
    names, images = load_corner(folder / "set" / "set.json", 2, 5)
    assert names == CLASSES[:2]
    assert images.equal(
        torch.stack([torch.stack([pixels(c, s) for s in range(5)]) for c in (0, 1)])
    )


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def alter(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [truncate, alter, lambda path: path.unlink()])
@pytest.mark.parametrize("reader", [load_set, map_set, None])
def test_a_damaged_or_missing_shard_is_named_with_the_way_out(folder, harm, reader):
    harm(shard(folder))
    with pytest.raises(ScddError, match=r"class_0001\.safetensors .*[Rr]un snakemake"):
        reader(folder / "set" / "set.json") if reader else make(folder)


def test_shards_of_another_class_order_are_refused(folder):
    write_shards(folder / "made", ("bee", "ant", "cat"))
    with pytest.raises(ScddError, match="class order"):
        make(folder)


def test_shards_of_another_artifact_are_refused(folder):
    with pytest.raises(ScddError, match="made1"):
        make(folder, sources=["made2"])


def test_shards_of_another_resolution_are_refused(folder):
    with pytest.raises(ScddError, match=r"class_0000\.safetensors"):
        make(folder, resolution=8)


def test_a_shard_of_another_slot_range_is_refused(folder):
    shutil.copy(shard(folder, "0001-0009"), shard(folder, "0010-0019"))
    with pytest.raises(ScddError, match=r"0010-0019.*slots \[1, 10\]"):
        make(folder)


def test_a_short_shard_serves_the_images_it_has(tmp_path):
    write_shards(tmp_path / "made", exist=12)
    make(tmp_path, ipc=12)
    assert load_set(tmp_path / "set" / "set.json").images[11].equal(pixels(0, 11))
    with pytest.raises(ScddError, match="'ant' has 12 images, but ipc is 13"):
        make(tmp_path, ipc=13)


def test_a_set_of_two_folders_has_the_first_images_of_each(folder):
    """Five of the first, of ten that its second shard reaches, and seven of the other."""
    for index in range(len(CLASSES)):
        for first, end in slot_ranges(7):
            images = torch.stack([pixels(index, 100 + s) for s in range(first, end)])
            record = {**RECORD, "digest": "made2"}
            save_shard(folder / "real", (first, end), CLASSES, index, images, record=record)
    made = make(folder, sources=["made1", "made2"], last=(folder / "real", 7))
    path = folder / "set" / "set.json"
    assert open_set(path) == made
    slots = [*range(5), *range(100, 107)]
    expected = torch.stack([pixels(index, slot) for index in range(3) for slot in slots])
    assert load_set(path).images.equal(expected)
    assert map_set(path).gather(torch.arange(36)).equal(expected)
    assert class_images(path, made, CLASSES[1]).equal(expected[12:24])
    assert load_corner(path, 3, 8)[1].equal(expected.unflatten(0, (3, 12))[:, :8])


def test_a_second_folder_with_too_few_images_is_refused(folder):
    shutil.copytree(folder / "made", folder / "real")
    for index in range(len(CLASSES)):
        images = torch.stack([pixels(index, slot) for slot in range(1, 4)])
        save_shard(folder / "real", (1, 10), CLASSES, index, images, record=RECORD)
    with pytest.raises(ScddError, match="'ant' has 4 images, but 6 of them are needed"):
        make(folder, last=(folder / "real", 6))


def test_a_set_of_another_class_order_than_expected_is_refused_naming_both(folder):
    with pytest.raises(ScddError, match=r"set\.json.*dataset\.json"):
        load_set(folder / "set" / "set.json", ("ant", "cat", "bee"), "dataset.json")


def test_a_set_with_an_edited_class_list_is_refused(folder):
    path = folder / "set" / "set.json"
    path.write_text(path.read_text().replace('"cat"', '"cow"'))
    with pytest.raises(ScddError, match="hash"):
        open_set(path)


def test_a_set_with_pixels_of_another_kind_is_refused(folder):
    path = folder / "set" / "set.json"
    path.write_text(path.read_text().replace('"uint8"', '"float16"'))
    with pytest.raises(ScddError, match="its pixels are 'float16', which this version"):
        load_set(path)


def test_a_set_that_lost_a_shards_entry_is_refused(folder):
    path = folder / "set" / "set.json"
    content = json.loads(path.read_text())
    content["shards"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(ScddError, match="2 of its images"):
        load_set(path)


def test_equal_input_gives_equal_bytes(folder):
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write_shards(folder / "made")
    make(folder)
    assert files == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_program_makes_the_set(folder):
    info = DatasetInfo("pets", CLASSES, SIZE, (0.5,) * 3, (0.2,) * 3, 9, 9, "", "d")
    save_info(folder / "dataset.json", info, {})
    config = {
        "stage": "imageset",
        "version": 1,
        "label": "sc-dd",
        "digest": "set1",
        "params": {"method": "SC-DD", "ipc": IPC, "pixels": "uint8"},
        "parents": {"recover": "made1"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    expected = (folder / "set" / "set.json").read_bytes()
    (folder / "set" / "set.json").unlink()
    arguments = {"config": "config.json", "data": "dataset.json", "source": "made"}
    arguments["out"] = "set/set.json"
    assert imageset.main([f"--{key}={folder / name}" for key, name in arguments.items()]) == 0
    assert (folder / "set" / "set.json").read_bytes() == expected


def test_the_images_of_one_class_read_no_other_shard(folder):
    path = folder / "set" / "set.json"
    shard(folder, index=0).write_bytes(b"")
    expected = torch.stack([pixels(1, slot) for slot in range(IPC)])
    assert class_images(path, open_set(path), CLASSES[1]).equal(expected)


# ---- learned images ----------------------------------------------------------------------------


def as_learned(index: int, slot: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(7000 * (index + 1) + slot)
    return 2 * torch.randn(3, SIZE, SIZE, generator=draw)


def learned_labels(index: int, slot: int) -> torch.Tensor:
    return (torch.eye(3)[index] + slot).softmax(0)


def write_learned(folder, ipc=IPC, labelled=True, **record):
    for index in range(3):
        for first, end in slot_ranges(ipc):
            slots = range(first, end)
            made = {"floats": torch.stack([as_learned(index, s) for s in slots])}
            if labelled:
                made["labels"] = torch.stack([learned_labels(index, s) for s in slots])
            images = torch.stack([pixels(index, s) for s in slots])
            save_shard(folder, (first, end), CLASSES, index, images, record=RECORD | record, **made)


@pytest.fixture
def learned(tmp_path):
    write_learned(tmp_path / "made", student_lr=0.03)
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "whitening.safetensors").write_bytes(b"a whitening")
    return tmp_path


def stacked(of, ipc=IPC):
    return torch.stack([of(index, slot) for index in range(3) for slot in range(ipc)])


@pytest.mark.parametrize("kind", ["normalised", "zca"])
def test_a_float_set_has_its_images_as_they_were_learned(learned, kind):
    space = learned / "w" / "whitening.safetensors" if kind == "zca" else None
    make(learned, pixels=kind, whitening=space, ipc=3)
    path = learned / "set" / "set.json"
    made, mapped = load_set(path), map_set(path)
    assert torch.equal(made.images, stacked(as_learned, 3))
    assert torch.equal(made.learned, stacked(learned_labels, 3))
    assert mapped.gather(torch.tensor([7, 0])).equal(made.images[[7, 0]])
    assert mapped.learned.equal(made.learned)
    info = open_set(path)
    assert (info.pixels, info.student_lr, info.labelled) == (kind, 0.03, True)
    assert whitening_of(path, info) == (space and path.parent / "../w/whitening.safetensors")


def test_pictures_of_a_float_set_are_its_8_bit_images(learned):
    make(learned, pixels="normalised")
    path = learned / "set" / "set.json"
    assert torch.equal(class_images(path, open_set(path), "bee"), stacked(pixels)[IPC : 2 * IPC])
    corner = load_corner(path, 2, 2)[1]
    assert torch.equal(corner, stacked(pixels).unflatten(0, (3, IPC))[:2, :2])


def test_the_content_of_a_learned_set_covers_pixels_and_labels(learned):
    def content(**changes):
        return make(learned, **changes).content

    hashes = [content(), content(pixels="normalised")]
    write_learned(learned / "made", labelled=False)
    hashes += [content(), content(pixels="normalised")]
    assert len(set(hashes)) == 4
    write_shards(learned / "made")
    assert content() == hashes[2]


def test_shards_without_floats_have_no_float_set(folder):
    with pytest.raises(ScddError, match=r"class_0000\.safetensors has 8-bit images alone"):
        make(folder, pixels="normalised")


@pytest.mark.parametrize("other", [{"student_lr": 0.02}, {"student_lr": 0.03, "labelled": False}])
def test_shards_that_learned_other_things_are_no_set(learned, other):
    kept = shard(learned, index=2).read_bytes()
    write_learned(learned / "made", **other)
    shard(learned, index=2).write_bytes(kept)
    with pytest.raises(ScddError, match=r"class_0002.*\(learned learning rate, learned labels\)"):
        make(learned)


@pytest.mark.parametrize("harm", [alter, lambda path: path.unlink()])
def test_a_whitening_that_changed_or_is_gone_is_refused(learned, harm):
    make(learned, pixels="zca", whitening=learned / "w" / "whitening.safetensors")
    harm(learned / "w" / "whitening.safetensors")
    path = learned / "set" / "set.json"
    with pytest.raises(ScddError, match=r"whitening\.safetensors .*, but .*set\.json was made"):
        whitening_of(path, open_set(path))


def test_whitened_pixels_without_a_whitening_are_refused(learned):
    make(learned, pixels="normalised")
    path = learned / "set" / "set.json"
    path.write_text(path.read_text().replace('"normalised"', '"zca"'))
    with pytest.raises(ScddError, match="has zca pixels, but names no whitening"):
        open_set(path)


def test_a_set_json_from_before_learned_images_is_read(folder):
    path = folder / "set" / "set.json"
    before, content = open_set(path), json.loads(path.read_text())
    for key in ("whitening", "student_lr", "labelled"):
        del content[key]
    path.write_text(json.dumps(content))
    assert open_set(path) == before
