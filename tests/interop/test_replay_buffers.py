"""Experts in the form of MTT's buffer.py."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from scdd.errors import ScddError
from scdd.interop.buffer_files import buffer_files
from scdd.interop.replay_buffers import Buffers, open_buffers
from scdd.networks.students import build
from scdd.params.network import Network
from scdd.rng import generator

NARROW = Network("convnet3", 0.0625, "imagenet")


def expert(seed: int, epochs: int = 3, classes: int = 4) -> list[list[Tensor]]:
    """Other random parameters for each epoch."""
    networks = [build(NARROW, classes, 8, generator(seed, epoch)) for epoch in range(epochs + 1)]
    return [[part.detach() for part in network.parameters()] for network in networks]


def write(folder: Path, *files: Any) -> None:
    for number, content in enumerate(files):
        torch.save(content, folder / f"replay_buffer_{number}.pt")


def opened(path: Path, epochs: int = 2) -> Buffers:
    return open_buffers(path, NARROW, 4, 8, epochs, torch.device("cpu"))


def test_all_experts_of_all_files_are_read_in_order(tmp_path: Path) -> None:
    first, second, third = expert(0), expert(1), expert(2)
    write(tmp_path, [first, second], [third])
    buffers = opened(tmp_path)
    assert (buffers.count, buffers.epochs) == (3, 3)
    for number, parameters in enumerate((first, second, third)):
        for epoch in range(4):
            expected = torch.cat([part.flatten() for part in parameters[epoch]])
            assert torch.equal(buffers.parameters(number, epoch), expected)


def test_one_file_may_be_named(tmp_path: Path) -> None:
    write(tmp_path, [expert(0)], [expert(1)])
    assert opened(tmp_path / "replay_buffer_1.pt").count == 1


def test_files_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 0):
        (tmp_path / f"replay_buffer_{number}.pt").touch()
    (tmp_path / "replay_buffer_old.pt").touch()
    names = [file.name for file in buffer_files(tmp_path)]
    assert names == [f"replay_buffer_{number}.pt" for number in (0, 9, 10)]


def test_the_older_form_of_torch_s_files_is_read_too(tmp_path: Path) -> None:
    torch.save([expert(0)], tmp_path / "replay_buffer_0.pt", _use_new_zipfile_serialization=False)
    assert opened(tmp_path).count == 1


def test_experts_that_do_not_move_are_refused(tmp_path: Path) -> None:
    """What `p.detach().cpu()` leaves on a CPU: the same tensors for every epoch."""
    final = expert(0)[-1]
    write(tmp_path, [[final, final, final, final]])
    with pytest.raises(ScddError, match=r"replay_buffer_0\.pt: expert 0 does not move"):
        opened(tmp_path)


def test_experts_of_other_shapes_are_refused_and_both_are_named(tmp_path: Path) -> None:
    write(tmp_path, [expert(0, classes=5)])
    with pytest.raises(
        ScddError,
        match=r"expert 0 has parameters \(14 tensors, from \[8, 3, 3, 3\] to \[5, 8\]\), but "
        r"convnet3-w0\.0625-imagenet for 4 classes has \(14 tensors, from \[8, 3, 3, 3\] to "
        r"\[4, 8\]\)",
    ):
        opened(tmp_path)


def test_too_few_epochs_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [expert(0, epochs=1)])
    with pytest.raises(ScddError, match="was trained for 1 epochs, but 2 are followed"):
        opened(tmp_path)


@pytest.mark.parametrize("content", [{"a": 1}, [], [[]], [[1.0]], [[[torch.arange(3)]]]])
def test_other_content_is_refused(tmp_path: Path, content: Any) -> None:
    write(tmp_path, content)
    with pytest.raises(ScddError, match=r"replay_buffer_0\.pt is not a replay buffer"):
        opened(tmp_path)
