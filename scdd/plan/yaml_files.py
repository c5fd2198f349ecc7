"""Reading YAML files strictly: what YAML 1.1 would change without a word is refused."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from scdd.errors import ScddError

MERGE = "tag:yaml.org,2002:merge"  # the key <<
INT, FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a file.

    Raises ScddError, naming the file, where it is missing or not a YAML mapping, and for what
    `faults` finds in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScddError(f"{path} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScddError(f"{path} cannot be read: {error}") from None
    try:
        content = load(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ScddError(f"{path} is not valid YAML: {error}") from None
    except RecursionError:
        raise ScddError(f"{path} is nested too deeply.") from None
    except ScddError as error:
        raise ScddError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise ScddError(f"{path} has no keys: see config.yaml for an example.")
    return content


def load(text: str, loader: type[yaml.SafeLoader]) -> Any:
    """The content of a YAML text. Raises ScddError for the faults in it, yaml.YAMLError where it is
    not YAML."""
    reader = loader(text)
    try:
        root = reader.get_single_node()
        if root is None:
            return None
        if lines := list(faults(root, "", {})):
            raise ScddError("\n".join(lines))
        return reader.construct_document(root)
    finally:
        reader.dispose()


def faults(node: yaml.Node, key: str, seen: dict[int, bool]) -> Iterator[str]:
    """A message for each key that appears twice in a mapping, each number that YAML 1.1 takes for
    another one (010 for 8, 1:30 for 90), and each value that contains itself.

    key: the node's own, as `protocol.scdd-paper`. seen: the nodes that were looked at, since an
    anchor may be used many times; True while its own values are looked at.
    """
    if id(node) in seen:
        if seen[id(node)]:
            yield f"{key} contains itself."
        return
    seen[id(node)] = True
    if isinstance(node, yaml.MappingNode):
        yield from _faults_of_mapping(node, key, seen)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from faults(value, f"{key}.{number}", seen)
    elif node.tag in (INT, FLOAT) and re.fullmatch(r"[-+]?(0[0-7_]+|.*:.*)", node.value):
        line, value = node.start_mark.line + 1, yaml.safe_load(node.value)
        yield (
            f"{key}, line {line}: YAML reads {node.value} as {value}. Write {value}, or quote it: "
            f'"{node.value}".'
        )
    seen[id(node)] = False


def _faults_of_mapping(node: yaml.MappingNode, key: str, seen: dict[int, bool]) -> Iterator[str]:
    lines: dict[str, int] = {}
    for name, value in node.value:
        line = name.start_mark.line + 1
        inner = f"{key}.{name.value}" if key else str(name.value)
        if isinstance(name, yaml.ScalarNode) and name.tag != MERGE:
            if name.value in lines:
                yield (
                    f"{inner} appears twice, in lines {lines[name.value]} and {line}. "
                    "Remove or rename one of them."
                )
            lines[name.value] = line
        yield from faults(value, inner, seen)
