"""The files of MTT's replay buffers. Pure Python: the plan uses it too."""

from pathlib import Path


def buffer_files(path: Path) -> list[Path]:
    """The files replay_buffer_<n>.pt in a folder, by their numbers; or the file itself."""
    if path.is_file():
        return [path]
    numbers = {file: file.stem.rpartition("_")[2] for file in path.glob("replay_buffer_*.pt")}
    return sorted((f for f, n in numbers.items() if n.isdigit()), key=lambda f: int(numbers[f]))
