"""Where in a checkpoint a ResNet is, however it is wrapped.

Programs put a state dict into dictionaries ({'model': ...} in torchvision's references and the
teachers of SRe2L and RDED; 'state_dict', 'net', 'model_state_dict', ...), one in another, and put
prefixes before its keys: `module.` (DataParallel, averaged models), `_orig_mod.` (torch.compile),
`model.` or `net.` (the attribute of a LightningModule). So dictionaries are flattened into keys
with dots, the wrappers' names are removed, and a ResNet is what has the keys of its layers.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

WRAPPERS = ("module", "_orig_mod")  # anywhere in a key; no part of a ResNet has such a name
AVERAGED = re.compile(r"(^|[._])(ema|averaged|swa)([._]|$)")  # parts of keys of averaged weights
COUNT = "n_averaged"  # of the steps of an averaged model, beside its weights
DEPTH = 20  # dictionaries in one another
LISTED = 12  # keys that a message names
SHOWN = 4  # dictionaries that a message names
LONGEST = 80  # characters of a key that a message shows
LAYER = re.compile(r"((?:.*?\.)?)layer[1-4]\.\d+\.")
# of a Sequential of a ResNet's children: `4.0.conv1.weight`
CHILD = re.compile(r"((?:.*?\.)?)(\d+)\.\d+\.conv1\.weight$")


def flat(content: Mapping[Any, Any], depth: int = DEPTH) -> dict[str, Any]:
    """The values of nested dictionaries by keys with dots, without the wrappers' names.

    A key that would appear twice keeps its wrappers the second time. A dictionary that appears
    twice, in itself say, counts once.
    """
    values: dict[str, Any] = {}
    for key, value in _leaves(content, "", depth, set()):
        bare = ".".join(part for part in key.split(".") if part not in WRAPPERS)
        if bare != COUNT and not bare.endswith(f".{COUNT}"):
            values[key if bare in values else bare] = value
    return values


def _leaves(
    content: Mapping[Any, Any], prefix: str, depth: int, seen: set[int]
) -> Iterable[tuple[str, Any]]:
    seen.add(id(content))
    for key, value in content.items():
        if not isinstance(value, Mapping):
            yield f"{prefix}{key}", value
        elif depth > 1 and id(value) not in seen:
            yield from _leaves(value, f"{prefix}{key}.", depth - 1, seen)


def resnets(values: Mapping[str, Any]) -> list[str]:
    """The prefixes of `values`, as `flat` returns them, below which there are ResNets to choose
    from."""
    found = list(dict.fromkeys(match[1] for key in values if (match := LAYER.match(key))))
    children: dict[str, set[str]] = {}
    for key in values:
        if (match := CHILD.match(key)) and not any(match[1].startswith(p) for p in found if p):
            children.setdefault(match[1], set()).add(match[2])
    found += [prefix for prefix, numbers in children.items() if len(numbers) == 4]
    return told_apart(values, found)


def told_apart(values: Mapping[str, Any], prefixes: list[str]) -> list[str]:
    """Of the prefixes of networks those that are to be chosen from.

    Networks without running statistics, gradients or moments say, only where none has them; of
    equal ones the first; and where some are averaged weights, only those.
    """
    whole = [
        prefix
        for prefix in prefixes
        if any(key.startswith(prefix) and key.endswith("running_var") for key in values)
    ]
    different: list[str] = []
    for prefix in whole or prefixes:
        if not any(_equal(values, prefix, other) for other in different):
            different.append(prefix)
    return [prefix for prefix in different if AVERAGED.search(prefix)] or different


def _equal(values: Mapping[str, Any], one: str, other: str) -> bool:
    """Whether the tensors below two prefixes are the same."""
    parts = [
        {key.removeprefix(p): v for key, v in values.items() if key.startswith(p)}
        for p in (one, other)
    ]
    tensors = [{k: v for k, v in part.items() if isinstance(v, Tensor)} for part in parts]
    return tensors[0].keys() == tensors[1].keys() and all(
        value is tensors[1][key] or _same(value, tensors[1][key])
        for key, value in tensors[0].items()
    )


def _same(one: Tensor, other: Tensor) -> bool:
    dense = all(
        each.layout == torch.strided and not each.is_meta and not each.is_nested
        for each in (one, other)
    )
    return dense and one.dtype == other.dtype and torch.equal(one, other)


def described(content: Mapping[Any, Any]) -> str:
    """The keys of a file, and those inside its dictionaries, in one line."""
    inner = {key: flat(value) for key, value in content.items() if isinstance(value, Mapping)}
    texts = [f"Its keys are {listed(map(str, content)) or 'none'}"]
    shown = [(key, values) for key, values in inner.items() if values][:SHOWN]
    texts += [f"in {_short(str(key))}: {listed(values)}" for key, values in shown]
    return "; ".join(texts) + "."


def listed(keys: Iterable[str]) -> str:
    """The first keys, and how many more there are."""
    keys = list(keys)
    more = f" and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return ", ".join(map(_short, keys[:LISTED])) + more


def _short(key: str) -> str:
    line = " ".join(key.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
