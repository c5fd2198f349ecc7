"""One page with the numbered tables and figures of several experiments."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import MinLen

from scdd.params.base import Distinct, Matches, Name, Section, param

Number = Annotated[str, Matches(r"^(Table|Figure) [A-Z]?\d+[a-z]?$")]


@dataclass(frozen=True)
class Part(Section):
    """A table or a figure of the paper."""

    number: Number = param(meaning="its number on the page: Table 1, Figure 3, Table A2")
    title: str = param(meaning="beside the number")
    experiment: Name = param(meaning="one of the experiments, by its name")
    show: Annotated[tuple[Name, ...], MinLen(1), Distinct] = param(
        meaning="what is shown of its report: main, ablation, continual, backbone_curves, ..."
    )


@dataclass(frozen=True)
class Paper(Section):
    """The page. `experiments`, the files of its experiments, stand beside it."""

    name: Name = param(meaning="names its folder: results/paper/<name>/")
    title: str = param(meaning="above the page")
    parts: Annotated[tuple[Part, ...], MinLen(1)] = param(meaning="in the order of the page")

    def __post_init__(self) -> None:
        numbers = [part.number for part in self.parts]
        for number in numbers:
            if numbers.count(number) > 1:
                raise ValueError(f"two parts are {number}")
