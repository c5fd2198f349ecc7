"""The steps, in their order: what each does, and its share of the time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A step is `gpu.<module>.<function>(place)`, which returns the lines of its report.

    share: of the whole time, at most; least: seconds below which it is not begun on a GPU.
    """

    part: int
    function: str
    title: str
    share: float
    least: float


PARTS = {1: "Does it run", 2: "How fast", 3: "A row of CIFAR-100"}
STEPS = {
    "default": Step(1, "workflows.default", "the default experiment", 0.2, 30),
    "everything": Step(1, "workflows.everything", "every stage and squeeze", 0.25, 40),
    "theirs": Step(1, "workflows.theirs", "imported images and labels", 0.1, 15),
    "streams": Step(1, "checks.streams", "a set that streams from its files", 0.1, 10),
    "golden": Step(1, "checks.golden", "a step of the recovery against float64", 0.05, 5),
    "replay": Step(1, "checks.replay", "labels again, of the views that students see", 0.05, 5),
    "captured": Step(1, "checks.captured", "captured and compiled steps against plain", 0.2, 20),
    "product": Step(2, "speed.product", "what the card can do", 0.03, 5),
    "recover-cifar": Step(2, "speed.recover_cifar", "recovery, CIFAR, ResNet-18", 0.15, 15),
    "recover-r18": Step(2, "speed.recover_r18", "recovery, ImageNet, ResNet-18", 0.12, 20),
    "recover-r50": Step(2, "speed.recover_r50", "recovery, ImageNet, ResNet-50", 0.15, 25),
    "squeeze": Step(2, "speed.squeeze", "squeeze, MoCo v2, ResNet-18", 0.12, 15),
    "student": Step(2, "speed.student", "students and labels, ResNet-18", 0.2, 20),
    "together": Step(2, "speed.together", "students side by side", 0.12, 20),
    "profile": Step(2, "speed.profile", "where the time goes", 0.06, 10),
    "row": Step(3, "row.row", "SC-DD, SRe2L and random images", 1.0, 60),
    "fadrm": Step(3, "row.fadrm", "the same images by FADRM's protocol", 1.0, 60),
}
