"""Distilled images that others made, and their soft labels."""

from dataclasses import dataclass, field
from pathlib import Path

from scdd.data.exported import image_root
from scdd.data.folders import by_index_alone, tensor_files
from scdd.errors import ScddError
from scdd.params.experiment import Method
from scdd.params.select import Import
from scdd.plan.datasets import is_in_own_order
from scdd.plan.draft import Draft
from scdd.plan.imports import check_set
from scdd.plan.methods.base import Distilled
from scdd.plan.plan import Node


@dataclass(frozen=True)
class Imported(Distilled):
    """A method of others, by its images."""

    images: Import = field(default_factory=lambda: Import(path=""))

    def keys(self, method: Method) -> frozenset[str]:
        """Labels of others take the place of a teacher's."""
        return super().keys(method) - ({"teacher"} if method.labels else set()) | {
            "imported",
            "labels",
        }

    def source(self, draft: Draft, method: Method, ipc: int) -> Node:
        where, given = f"methods.{method.name}.import", Path(self.images.path)
        path = image_root(given)
        if method.labels and len(method.ipc or draft.config.ipc) > 1:
            raise ScddError(
                f"methods.{method.name}.labels: they are of all images of {path}, so there is one "
                "ipc only. Set the method's ipc to it."
            )
        content = check_set(
            where,
            path,
            draft.class_names,
            draft.class_count,
            ipc,
            resolution=draft.resolution,
            in_order=is_in_own_order(draft),
            labelled=bool(method.labels),
        )
        tensors = bool(tensor_files(path))
        for key in ("mean", "range"):
            if getattr(self.images, key) is not None and not tensors:
                raise ScddError(
                    f"{where}.{key}: {path} is an image folder, whose pixels are not normalised. "
                    "Leave mean, std and range out."
                )
        draft.note(f"{self.title}: images of others, from {given.name}.")
        if tensors or by_index_alone(path, draft.class_names):
            draft.note(f"{given.name} does not tell its class order; assumed the dataset's.")
        label, parents = f"{draft.data.label}-imported", {"data": draft.data}
        node = draft.plan.add_section("import_images", label, self.images, parents, sha256=content)
        draft.plan.imports.setdefault(node.key, self.images.path)
        return node
