"""recovery_<method>.{png,gif}, learned_<method>_ipc<n>.{png,gif}: images on their way."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scdd.report import html
from scdd.report.measured import Measured
from scdd.report.section import RECOVERIES, Contents, Entry, Params, Section

if TYPE_CHECKING:
    import numpy as np

FRAME, LAST_FRAME = 600, 2400  # milliseconds that the moving picture shows one


def stems(params: Params) -> dict[str, str]:
    """File names without .png or .gif -> the frames that they show."""
    recovered = {f"recovery_{run['method']}": run["frames"] for run in params["recoveries"]}
    learned = {
        f"learned_{run['method']}_ipc{run['ipc']}": run["frames"]
        for run in params.get("learned", ())
    }
    return recovered | learned


def files(params: Params) -> list[str]:
    return [f"{stem}.{kind}" for stem in stems(params) for kind in ("png", "gif")]


def inputs(params: Params) -> list[str]:
    return [*stems(params).values()]


def make(measured: Measured) -> dict[str, bytes]:
    from scdd.artifacts.frames import load_frames

    contents: dict[str, bytes] = {}
    for stem, path in stems(measured.params).items():
        frames = load_frames(measured.results / path)
        drawn = draw(
            frames.images.numpy(),
            frames.iterations,
            frames.classes,
            measured.params["figures"]["scale"],
        )
        contents |= {f"{stem}.{kind}": content for kind, content in drawn.items()}
    return contents


def draw(
    frames: np.ndarray, iterations: Sequence[int], names: Sequence[str], scale: int
) -> dict[str, bytes]:
    """The bytes of a 'png' and of a 'gif'.

    `frames` are uint8 [frames, classes, 3, H, W], drawn as `pictures.sheet` says: in the PNG one
    row a class and one column a frame, in the GIF all classes side by side, one frame after the
    other.
    """
    from scdd.report import pictures

    heads = [str(iteration) for iteration in iterations]
    still = pictures.sheet(frames.swapaxes(0, 1), names, scale, heads)
    # the moving picture is a sheet too, cut into its rows
    sheet = pictures.sheet(frames, [f"iteration {head}" for head in heads], scale)
    height = (sheet.height + pictures.GAP) // len(frames)
    first, *more = (
        sheet.crop((0, top, sheet.width, top + height - pictures.GAP))
        for top in range(0, sheet.height, height)
    )
    file = io.BytesIO()
    durations = [FRAME] * len(more) + [LAST_FRAME]
    first.save(file, "GIF", save_all=True, append_images=more, duration=durations, loop=0)
    return {"png": pictures.png(still), "gif": file.getvalue()}


def body(measured: Measured, contents: Contents) -> list[str]:
    """All in motion, below each other, so that they run together; then the still pictures."""
    params = measured.params
    moving: list[str] = []
    still: list[str] = []
    titles = [run["title"] for run in params["recoveries"]]
    titles += [f"{run['title']}, IPC {run['ipc']}" for run in params.get("learned", ())]
    for stem, title in zip(stems(params), titles, strict=True):
        for parts, kind in ((moving, "gif"), (still, "png")):
            picture = html.picture(contents[f"{stem}.{kind}"], kind, title)
            parts.append(f'{html.heading(title)}<div class="scroll">{picture}</div>')
    return [*moving, "<hr>", html.heading("Still pictures, iteration by iteration"), *still]


SECTION = Section(files, inputs, make, Entry("recoveries", "Images on their way", RECOVERIES, body))
