"""Distilled images that others made, and their soft labels."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from scdd.data.exported import image_root
from scdd.data.folders import COLOURED, by_index_alone, tensor_files
from scdd.errors import ScddError
from scdd.params.data import Pixels
from scdd.params.experiment import Method
from scdd.params.select import Import
from scdd.plan.datasets import is_in_own_order, whitening
from scdd.plan.draft import Draft
from scdd.plan.imports import check_file, check_set
from scdd.plan.methods.base import LABELLED, Distilled
from scdd.plan.plan import Node


@dataclass(frozen=True)
class Imported(Distilled):
    """A method of others, by its images."""

    images: Import = field(default_factory=lambda: Import(path=""))

    def keys(self, method: Method) -> frozenset[str]:
        """Labels of others take the place of a teacher's."""
        return super().keys(method) - (LABELLED if method.labels else set()) | {
            "imported",
            "labels",
        }

    def pixels(self, method: Method, source: Node) -> Pixels:
        return self.images.pixels

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
        tensors = tensor_files(path)
        if tensors:
            self._check_name(where, tensors[0])
        else:
            self._refuse_folder(where, path)
        draft.note(f"{self.title}: images of others, from {given.name}.")
        if tensors or by_index_alone(path, draft.class_names):
            draft.note(f"{given.name} does not tell its class order; assumed the dataset's.")
        if self.images.learned_labels:
            draft.note(f"{self.title}: hard labels are the learned labels of its images.")
        label, parents = f"{draft.data.label}-imported", {"data": draft.data}
        if self.images.whitened:
            parents["whitening"] = self._whitening(draft, where)
        node = draft.plan.add_section("import_images", label, self.images, parents, sha256=content)
        draft.import_from(node, self.images.path)
        return node

    def _whitening(self, draft: Draft, where: str) -> Node:
        if self.images.matrix is None:
            return whitening(draft)
        node = whitening(draft, check_file(f"{where}.matrix", Path(self.images.matrix)))
        draft.import_from(node, self.images.matrix)
        return node

    def _refuse_folder(self, where: str, path: Path) -> None:
        """Raises ScddError for what is said of tensors where there is an image folder."""
        for key in ("mean", "range"):
            if getattr(self.images, key) is not None:
                raise ScddError(
                    f"{where}.{key}: {path} is an image folder, whose pixels are not normalised. "
                    "Leave mean, std and range out."
                )
        for key in ("whitened", "storage", "learned_labels"):
            if getattr(self.images, key):
                raise ScddError(
                    f"{where}.{key}: {path} is an image folder, of 8-bit images and classes. Leave "
                    f"{key} out."
                )

    def _check_name(self, where: str, file: Path) -> None:
        """Raises ScddError where a tensor file's name contradicts what is said of its tensors:
        values of learned images do not always tell whether they are whitened."""
        name = f"{file.absolute().parent.name}/{file.name}".lower()
        if file.name.startswith(COLOURED):
            if self.images.whitened:
                raise ScddError(
                    f"{where}.whitened: {file} has the images that MTT has brought back from "
                    f"whitened space. Name {file.name.replace(COLOURED, 'images_')}."
                )
        elif ("zca" in name or "whiten" in name) and not re.search("no.?(zca|whiten)", name):
            stated = (self.images.whitened, self.images.mean, self.images.range)
            if not any(stated):
                raise ScddError(
                    f"{where}: {file} is whitened (ZCA) by its name. Set whitened: true in the "
                    "import, or range: normalised if it is not."
                )
