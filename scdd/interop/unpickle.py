"""Reading other programs' files without running code that may be hidden in them."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from scdd.errors import ScddError

# What checkpoints hold beside tensors and plain values: the arguments of their training, NumPy
# numbers, and the callbacks by which PyTorch Lightning orders its states.
HARMLESS = (
    "argparse.Namespace",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "pathlib.PosixPath",
    "pathlib._local.PosixPath",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
)


class Inert:
    """Takes the place of every harmless object, so that not even its own code runs on reading."""

    def __init__(self, *_: Any) -> None:
        pass

    def __new__(cls, *_: Any) -> "Inert":
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None:
        pass


INERT = tuple((Inert, name) for name in HARMLESS)


def read_foreign(path: Path) -> dict[str, Any]:
    """The mapping in a file of torch.save or safetensors, on the CPU.

    Raises ScddError as `read_pickled` does, and where the file does not hold a mapping.
    """
    if path.suffix == ".safetensors" and path.is_file():
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise ScddError(f"{path} is truncated or not a safetensors file ({error}).") from None
    content = read_pickled(path)
    if not isinstance(content, dict):
        raise ScddError(f"{path} holds a {type(content).__name__}, not a state dict.")
    return content


def read_pickled(path: Path, known: Sequence[Any] = INERT, *, mapped: bool = False) -> Any:
    """What torch.save wrote to `path`, on the CPU: tensors, plain values and the classes that are
    `known` to be harmless (as torch's safe_globals takes them); nothing else. mapped: tensors stay
    in the file until they are used, if it has the form for that.

    Raises ScddError, naming the file, where it is missing or damaged, or would run code.
    """
    if not path.is_file():
        raise ScddError(f"{path} is not a file.")
    try:
        with (
            torch.serialization.safe_globals(list(known)),
            warnings.catch_warnings(action="ignore"),  # of other pickle protocols, which then fail
        ):
            mmap = mapped and zipfile.is_zipfile(path)  # older torch wrote another form
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        if call := re.search(r"GLOBAL (\S+)", str(error)):
            raise ScddError(
                f"{path} is refused, and nothing in it was run: its pickle calls {call[1]}. "
                "If you trust the file, load it with torch and save its tensors alone."
            ) from None
        raise _unreadable(path) from None
    except Exception as error:  # a file that torch did not write can fail in any way
        if "TorchScript" in str(error):
            raise ScddError(
                f"{path} is a TorchScript program, whose code is not run. Save its state_dict()."
            ) from None
        raise _unreadable(path) from None


def plain(tensor: Tensor, what: str) -> Tensor:
    """The tensor, if it is a dense one of real numbers that are here, as NumPy would have it.

    Unsigned integers of more than 8 bits become int64, since torch cannot compare them. Raises
    ScddError, naming `what`, for sparse, nested, quantised, complex and 8-bit float tensors, and
    for those without values (of the device `meta`).
    """
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_nested:
        raise ScddError(f"{what} is a nested tensor. Save it as a dense tensor.")
    if tensor.layout != torch.strided:
        raise ScddError(f"{what} is a sparse tensor. Save it as a dense tensor.")
    if tensor.is_meta:
        raise ScddError(f"{what} is a tensor without values (of the device meta).")
    if tensor.is_quantized or tensor.is_complex() or kind.startswith(("float8", "float4")):
        raise ScddError(f"{what} is a tensor of {kind}. Save it as float32.")
    return tensor.long() if kind in {"uint16", "uint32", "uint64"} else tensor


def _unreadable(path: Path) -> ScddError:
    return ScddError(f"{path} is not a file of torch.save, or is damaged.")
