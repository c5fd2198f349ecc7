"""The stages as plain calls, for a notebook without Snakemake (docs/notebook.md):

    from scdd import notebook as dd

    data = dd.open_data("photos/")
    backbone = dd.squeeze(data, "mocov2")
    teacher = dd.probe(backbone)
    images = dd.recover(teacher, ipc=10)
    labels = dd.relabel(teacher, images, "scdd-paper")
    print(dd.validate(images, labels).top1)

Keyword arguments are the keys of the configuration's sections. What is not given has the published
value for such images, as in the workflow, and the engines and the numbers are the workflow's.
"""

from scdd.notebook.calls import as_images, probe, recover, relabel, squeeze, validate
from scdd.notebook.data import Data, open_data
from scdd.notebook.values import Backbone, Images, SoftLabels, Student, Teacher

__all__ = [
    "Backbone",
    "Data",
    "Images",
    "SoftLabels",
    "Student",
    "Teacher",
    "as_images",
    "open_data",
    "probe",
    "recover",
    "relabel",
    "squeeze",
    "validate",
]
