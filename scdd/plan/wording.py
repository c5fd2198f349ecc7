"""A job in words: what people read in place of rules, wildcards and digests."""

from collections.abc import Mapping

from scdd.params.network import Network
from scdd.plan.backbones import TITLES
from scdd.plan.plan import Node, Plan
from scdd.plan.protocols import WHOLE
from scdd.plan.stages import OF_EXPERIMENTS

# what a job does, where the name of its stage does not say it
DOES = {
    "data": "read the dataset",
    "experts": "train experts for",
    "informativeness": "look at the backbone",
    "statistics": "gather statistics for",
    "forgetting": "order real images for",
    "coreset": "order real images for",
    "patches": "rank real images for",
    "curriculum": "find what the images lack of",
    "select": "choose",
    "import_images": "import",
    "imageset": "collect",
    "import_labels": "import labels for",
    "tables": "draw tables and figures of",
    "paper": "put together the paper",
}
# what the wildcards count
PARTS = {
    "slots": ("image", "images"),
    "classes": ("class", "classes"),
    "experts": ("expert", "experts"),
    "epochs": ("epoch", "epochs"),
}
MOST = 2  # methods that are named where more share an artifact


def describe(plan: Plan, node: Node, wildcards: Mapping[str, str]) -> str:
    """A job of `node` in words, as `recover SC-DD, digits, images 1–9`.

    wildcards: the part of the artifact that the job makes: `slots`, `classes`, `experts` or
    `epochs`, each as in the names of files, `0001-0009`. Others are left aside, and so are classes
    where they are all that there are.
    """
    words = [_titles(plan, node), _dataset(plan, node), *_details(plan, node)]
    words += _part(plan, node, wildcards)
    return f"{DOES.get(node.stage, node.stage)} {', '.join(dict.fromkeys(filter(None, words)))}"


def _titles(plan: Plan, node: Node) -> str:
    """Of the methods that share the artifact."""
    titles = list(dict.fromkeys(use.title for use in plan.uses.get(node.key, ())))
    more = [f"{len(titles) - MOST} more"] if len(titles) > MOST else []
    return " + ".join(titles[:MOST] + more)


def _dataset(plan: Plan, node: Node) -> str:
    if node.stage in OF_EXPERIMENTS:
        return node.label
    data = plan.data_of(node).params
    return str(data["folder"] or data["name"])


def _details(plan: Plan, node: Node) -> list[str]:
    """What tells an artifact from the others of its stage and method; empty words for what it does
    not have."""
    params = node.params
    match node.stage:
        case "squeeze":
            method = TITLES.get(params["method"], params["method"])
            return [method, _network(params), _seed(params), _epochs(params)]
        case "probe":
            return [*_details(plan, plan.parent(node, "backbone"))[:-1], _epochs(params)]
        case "informativeness" | "statistics":
            return _details(plan, plan.parent(node, "teacher"))[:-1]
        case "forgetting":
            return [_network(params), _epochs(params)]
        case "patches" if params["method"] == "median":
            return ["around the median"]
        case "patches":
            return [f"factor {params['factor']}"]
        case "learn" | "imageset" | "select" if "ipc" in params:
            return [
                f"IPC {params['ipc']}",
                f"iteration {params['at']}" if "at" in params else "",
                seen_of_order(params["seen"], params["order"]) if "seen" in params else "",
            ]
        case "relabel" | "import_labels" | "verify":
            images = _details(plan, plan.parent(node, "images"))
            return [*images, _protocols(plan, node)]
        case "curriculum":
            return [*_trained_on(plan, node), _network(params["student"]), _epochs(params)]
        case "validate":
            student = [_network(params["student"]), f"seed {params['seed']}", _epochs(params)]
            return [*_trained_on(plan, node), _protocols(plan, node), *student]
    return []


def seen_of_order(count: int, order: int) -> str:
    """The classes of a memory of continual learning."""
    return f"{count} class{'' if count == 1 else 'es'} of order {order}"


def _trained_on(plan: Plan, student: Node) -> list[str]:
    """The images of a student; empty where it sees the whole training set."""
    images = student
    for role in ("labels", "images"):
        if role in images.parents:
            images = plan.parent(images, role)
    return [] if images is student else _details(plan, images)


def _protocols(plan: Plan, node: Node) -> str:
    """Where the plan has several."""
    known = {use.protocol for uses in plan.uses.values() for use in uses}
    if len(known - {None, WHOLE}) < 2:
        return ""
    own = [use.protocol for use in plan.uses.get(node.key, ()) if use.protocol]
    return " + ".join(dict.fromkeys(own))


def _network(params: Mapping[str, object]) -> str:
    network = Network.of(params)
    return Network(network.arch, network.width).label


def _seed(params: Mapping[str, object]) -> str:
    """Where it is not the usual one."""
    return f"seed {params['seed']}" if params.get("seed") else ""


def _epochs(params: Mapping[str, object]) -> str:
    if "epochs" not in params:
        return ""
    return f"{params['epochs']} epoch{'' if params['epochs'] == 1 else 's'}"


def _part(plan: Plan, node: Node, wildcards: Mapping[str, str]) -> list[str]:
    parts = []
    for wildcard, (thing, things) in PARTS.items():
        if wildcard in wildcards:
            first, last = map(int, wildcards[wildcard].split("-"))
            if wildcard != "classes" or last - first + 1 < plan.class_count(node):
                parts.append(f"{thing} {first}" if first == last else f"{things} {first}–{last}")
    return parts
