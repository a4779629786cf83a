"""A stand-in for a private set: drawn radiographs of chests, in the layout that a set has.

Its table has the traps of the published ones: findings in CheXpert's order with "No Finding" among
them, values written `1.0`, uncertain and blank ones, and a picture that cannot be read.
"""

import csv
from pathlib import Path

from figclip.evaluation.datasets.drawn import drawing
from figclip.evaluation.proxy.findings import FINDINGS
from figclip.evaluation.proxy.private import FILE, PrivateSet
from figclip.sources.synthetic.xrays import XRAY

DRAWN = PrivateSet(name="ward_drawn", title="Ward (drawn)")
HEARTS = ("normal in size", "enlarged")
HARDWARE = ("none", "some")
SIDE_PX = 96


def write_ward(data: Path, *, num: int, num_seeds: int, seed: int = 0) -> None:
    """`ward_drawn/` below the folder of all sets, of `num` pictures and a broken one."""
    root = data / DRAWN.place
    (root / "images").mkdir(parents=True)
    (root / DRAWN.seeds).mkdir()
    lines = []
    for number in range(num):
        heart, hardware = HEARTS[number % 2], HARDWARE[number // 2 % 2]
        name = f"patient-{seed}-{number:05d}.png"
        _draw(root / "images" / name, heart, hardware, f"ward {seed} {number}")
        known = {
            "Lung Opacity": "1.0",
            "Cardiomegaly": "1.0" if heart == "enlarged" else "0.0",
            "Support Devices": "1.0" if hardware == "some" else "",
            "Edema": "-1.0" if number % 3 == 0 else "",
            "No Finding": "",
        }
        lines.append([name, *(known.get(one, "") for one in ("No Finding", *FINDINGS))])
    for number in range(num_seeds):
        choice = HEARTS[number % 2], HARDWARE[number // 2 % 2]
        _draw(root / DRAWN.seeds / f"{number:05d}.png", *choice, f"seeds {seed} {number}")
    (root / "images" / "broken.png").write_bytes(b"\x89PNG cut")
    lines.append(["broken.png", *[""] * (len(FINDINGS) + 1)])
    with (root / DRAWN.table).open("w", newline="") as file:
        csv.writer(file).writerows([["image", "No Finding", *FINDINGS], *lines])
    (root / FILE).write_text(DRAWN.to_json())


def _draw(path: Path, heart: str, hardware: str, seed: str) -> None:
    looks = {"part": "chest", "scale": "usual", "heart": heart, "hardware": hardware}
    drawing(XRAY, looks | {"mark": "none"}, seed, (SIDE_PX, SIDE_PX)).save(path, compress_level=1)
