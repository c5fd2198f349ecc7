"""gpu/<card>.json, which says what is done, and gpu/<card>.md, which people read."""

import json
import platform
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from gpu.steps import PARTS, STEPS
from scdd.artifacts.files import write_json, write_text


@dataclass(frozen=True)
class Outcome:
    """How a step ended: 'done', 'failed' or 'skipped'; lines: of Markdown; figures: by name."""

    state: str
    seconds: float
    lines: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


@dataclass
class Report:
    """Of one card and one state of the code. Each change is written at once."""

    folder: Path  # gpu/<card>
    card: str
    key: str  # of the code
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, card: str, key: str) -> "Report":
        """What an earlier start left; nothing if that was of other code."""
        report = cls(folder, card, key)
        path = folder.with_suffix(".json")
        before = json.loads(path.read_text()) if path.exists() else {}
        if before.get("key") == key:
            report.outcomes = {k: Outcome(**v) for k, v in before["steps"].items()}
        return report

    def done(self, name: str) -> bool:
        return name in self.outcomes and self.outcomes[name].state == "done"

    def add(self, name: str, outcome: Outcome) -> None:
        self.outcomes[name] = outcome
        content = {
            "card": self.card,
            "key": self.key,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "steps": {name: asdict(each) for name, each in self.outcomes.items()},
        }
        write_json(self.folder.with_suffix(".json"), content)
        write_text(self.folder.with_suffix(".md"), self.markdown())

    def figure(self, name: str) -> float | None:
        """One that any step has measured."""
        for outcome in self.outcomes.values():
            if name in outcome.figures:
                return outcome.figures[name]
        return None

    def markdown(self) -> str:
        lines = [
            f"## {self.card}",
            "",
            f"torch {torch.__version__}, Python {platform.python_version()}, code {self.key}.",
        ]
        for part, title in PARTS.items():
            lines += ["", f"### {part}. {title}"]
            for name, step in STEPS.items():
                if step.part == part:
                    outcome = self.outcomes.get(name, Outcome("not reached", 0))
                    spent = f", {outcome.seconds:.0f} s" if outcome.seconds else ""
                    lines += ["", f"**{step.title}** ({outcome.state}{spent})", "", *outcome.lines]
        return "\n".join(lines) + "\n"


def file_name(card: str) -> str:
    """A card's name as that of a file, e.g. nvidia-h200."""
    return re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-")


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Of Markdown; all columns but the first are of numbers."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]
