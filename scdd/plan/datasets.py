"""The dataset of an experiment: its classes, its size, and how students are tested on it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scdd.data import sets
from scdd.data.folders import class_folders
from scdd.data.layouts import require_training, require_validation
from scdd.errors import ScddError, nearest
from scdd.params.data import VAL, Data, Whiten
from scdd.params.experiment import Experiment
from scdd.plan.draft import Draft
from scdd.plan.plan import Node, Plan

LARGEST = 64  # pixels a side of whitened images: the matrix takes 1.2 GB in float64


def draft(plan: Plan, config: Experiment, check_files: bool) -> Draft:
    """The experiment with its dataset in the plan.

    Without `check_files` the dataset's folder need not exist, as long as no name depends on it.
    Raises ScddError for what no job could do.
    """
    dataset = config.dataset
    name = dataset.name
    if name not in sets.names():
        raise ScddError(f"dataset.name: unknown {name!r}. {nearest(name, sets.names())}")
    facts = _without_holdout(sets.module(name).FACTS, dataset.holdout)
    if dataset.download and not facts.downloads:
        raise ScddError(f"dataset.download: {name} cannot be downloaded.")
    root = Path(dataset.root)
    if check_files and not dataset.download:
        _require_files(facts, name, root)
    classes, count = _classes(facts, dataset.classes, root)
    if count < 2:
        key = f"root: {root / 'train'}" if dataset.classes is None else "classes"
        raise ScddError(f"dataset.{key}: one class is not enough; at least two are needed.")
    if dataset.val != VAL and not facts.photos:
        raise ScddError(f"dataset.val: {name} has no folders. Leave it out.")
    if check_files and facts.photos and not dataset.holdout:
        _require_validation(root, dataset.val, classes or sets.class_folders(root))
    resolution = dataset.resolution or facts.resolution
    # a user's folder has no name but its own
    label = name if facts.classes is not None else root.resolve().name
    params = Data(
        name=name,
        resolution=resolution,
        mean=dataset.mean or facts.mean,
        std=dataset.std or facts.std,
        classes=None if classes is None else tuple(classes),
        folder=None if facts.classes is not None else label,
        holdout=dataset.holdout,
        val=VAL if dataset.holdout else dataset.val,
    )
    holdout = f"-holdout{dataset.holdout:g}" if dataset.holdout else ""
    node = plan.add_section("data", f"{label}-{resolution}{holdout}", params, {})
    where = {"root": dataset.root, "download": dataset.download}
    if plan.roots.setdefault(node.key, where) != where:
        raise ScddError(f"dataset.root: two experiments read {label} from different places.")
    plan.classes[node.key] = count
    plan.train[node.key] = _training_images(facts, count)
    return _started(plan, config, facts, resolution, node)


def draft_of_tensors(
    config: Experiment, classes: Sequence[str], resolution: int, counts: Sequence[int], content: str
) -> Draft:
    """An experiment whose images are tensors, in a plan of its own: as those of a user's folder.

    classes: names in order; counts: how many training images each has; content: a hash of all
    images. `config.dataset` has the name 'imagefolder' and no root.
    """
    dataset, plan = config.dataset, Plan()
    facts = replace(
        sets.module(dataset.name).FACTS,
        classes=tuple(classes),
        resolution=resolution,
        train=sum(counts),
        per_class=min(counts),
        needs=None,
        photos=False,
    )
    params = Data(
        name="tensors",
        resolution=resolution,
        mean=dataset.mean or facts.mean,
        std=dataset.std or facts.std,
        classes=tuple(classes),
    )
    identity = {**params.identity(), "content": content}
    node = plan.add("data", f"tensors-{resolution}", params.dump(), {}, identity)
    plan.classes[node.key], plan.train[node.key] = len(classes), facts.train
    return _started(plan, config, facts, resolution, node)


def _started(
    plan: Plan, config: Experiment, facts: sets.Facts, resolution: int, node: Node
) -> Draft:
    family = facts.family or _family(config.dataset.name, resolution)
    started = Draft(plan, config, facts, resolution, family, node)
    started.tested_on = {"val_resize": _val_resize(started)}
    return started


def is_in_own_order(draft: Draft) -> bool:
    """Whether each class of the experiment has the index that it has in the whole dataset."""
    dataset, known = draft.config.dataset, draft.facts.classes
    wanted = dataset.classes
    own = known if isinstance(known, tuple) else sets.class_folders(Path(dataset.root))
    return not isinstance(wanted, tuple) or wanted == tuple(own[: len(wanted)])


def whitening(draft: Draft, matrix: str | None = None) -> Node:
    """The dataset's ZCA whitening, for methods whose images are learned in that space.

    matrix: the content hash of a file that has it; None: it is fitted on the training images.
    Raises ScddError where it would not fit in memory, or students are to be tested on other cuts of
    the validation images than the whitened ones.
    """
    if draft.resolution > LARGEST:
        raise ScddError(
            f"dataset.resolution: {draft.resolution}, but whitening (ZCA) has a matrix of the "
            f"square of all pixels, for which {LARGEST} is the most."
        )
    if (short := draft.tested_on["val_resize"]) is not None:
        raise ScddError(
            f"dataset.val_resize: {short}, but whitened images are tested whole. Leave it out."
        )
    given = {} if matrix is None else {"matrix": matrix}
    return draft.plan.add_section(
        "whiten", f"{draft.data.label}-zca", Whiten(), {"data": draft.data}, **given
    )


def _val_resize(draft: Draft) -> int | None:
    """The shorter side of the students' validation images, None for whole squares."""
    dataset, size, photos = draft.config.dataset, draft.resolution, draft.facts.photos
    short = dataset.val_resize
    if short is None:  # as torchvision and all published figures of ImageNet have it
        large = _family(dataset.name, size) == draft.family == "imagenet"
        short = round(size * 256 / 224) if large and photos else size
    if short < size:
        raise ScddError(
            f"dataset.val_resize: {short}, but the images have {size} pixels a side. "
            f"Set it to {size} or more."
        )
    if short > size and not photos:
        raise ScddError(
            f"dataset.val_resize: {dataset.name} has no images of other sizes to cut from. "
            "Leave it out."
        )
    if short == size:
        return None
    draft.note(
        f"Students are tested on the centre {size}x{size} of validation images whose shorter "
        f"side is resized to {short}; probes on whole centre squares."
    )
    return short


def _require_files(facts: sets.Facts, name: str, root: Path) -> None:
    """The dataset's folder must exist, and, if there are folders at all, that of the training
    images in it."""
    if facts.photos and root.is_dir() and class_folders(root):
        try:
            require_training(root)
        except ScddError as error:
            raise ScddError(f"dataset.root: {error}") from None
    if facts.needs is not None and not (folder := root / facts.needs).is_dir():
        raise ScddError(
            f"dataset.root: the folder {folder} does not exist; {name} is read from there."
        )


def _require_validation(root: Path, val: str, classes: Sequence[str]) -> None:
    """Where there are training images, there must be a place for those of validation."""
    if val == "train":
        raise ScddError("dataset.val: train has the training images. Name another folder.")
    if (root / "train").is_dir():
        try:
            require_validation(root, val, classes)
        except ScddError as error:
            raise ScddError(f"dataset.val: {error}") from None


def _without_holdout(facts: sets.Facts, share: float) -> sets.Facts:
    """What remains of a dataset for training where a share of it is held out.

    Raises ScddError where nothing would remain of the smallest class.
    """
    if not share:
        return facts
    train, least = facts.train, facts.per_class
    if least is not None and sets.held_out(least, share) >= least:
        raise ScddError(
            f"dataset.holdout: {share:g}, which leaves none of the {least} training images of the "
            "smallest class to train on. Lower it."
        )
    return replace(
        facts,
        train=train and round(train * (1 - share)),
        per_class=least and least - sets.held_out(least, share),
    )


def _training_images(facts: sets.Facts, count: int) -> int | None:
    """Of so many of the dataset's classes, as if all had equally many; None: not known."""
    known = facts.classes if isinstance(facts.classes, int) else len(facts.classes or ())
    if facts.train is None or not known:
        return None
    return round(facts.train * count / known)


def _family(name: str, resolution: int) -> str:
    """Whose published parameters fit images of this size; digits have none."""
    if name == "digits":
        return "digits"
    return "cifar" if resolution <= 40 else "tiny" if resolution <= 96 else "imagenet"


def _classes(
    facts: sets.Facts, wanted: int | tuple[str, ...] | None, root: Path
) -> tuple[list[str] | None, int]:
    """The class subset as far as it is known before the first job, and how many classes it has.

    None stands for all classes of a dataset that has a name. A user's folder has no name, so its
    class list is part of its identity.
    """
    known = facts.classes
    names = list(known) if isinstance(known, tuple) else sets.class_folders(root)
    if not names and (isinstance(wanted, int) or (known is None and wanted is None)):
        raise ScddError(f"dataset.root: {root / 'train'} has no class folders.")
    count = known if isinstance(known, int) and not names else len(names)
    if wanted is None:
        if isinstance(known, int) and count != known:
            raise ScddError(
                f"dataset.root: {root / 'train'} has {count} class folders, not {known}. "
                "Set dataset.classes to use a subset."
            )
        return (names if known is None else None), count
    if isinstance(wanted, int):
        if wanted > count:
            raise ScddError(f"dataset.classes: {wanted}, but there are {count} classes.")
        return names[:wanted], wanted
    for name in wanted:
        if names and name not in names:
            raise ScddError(f"dataset.classes: no class {name!r}. {nearest(name, names)}")
    if len(set(wanted)) < len(wanted):
        raise ScddError("dataset.classes: a class appears twice.")
    return list(wanted), len(wanted)
