"""Pictures stored per second of CPU time, beside img2dataset on the same URLs.

Both sides fetch the same media from one local server and leave JPEGs of at most 512 pixels and
quality 90 in a folder, with the media's sha256. The time is that of all processes of a side, user
and system, without its start: img2dataset runs once more on a single URL, and that is taken off.
"""

import http.client
import io
import os
import random
import resource
import subprocess
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean, median
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from figclip.config import UsageError
from figclip.pictures.images import store_image
from figclip.pictures.opening import ImageError
from figclip.sources.synthetic.figures import draw_figure, plan_figure

LONGEST_SIDE = 512
QUALITY = 90
PEER = "img2dataset==1.47.0"
NUM_FETCHES = 960
"""In a round; the media are fetched again and again until there are so many."""
ROUNDS = 3
REAL_FOLDERS = ("pmc-oa-opendata", "panels/images")

Pictures = dict[str, bytes]


def images(shared: Path | None) -> dict[str, float]:
    """`image_ratio` and what it comes from; `shared` is the folder of real articles."""
    with tempfile.TemporaryDirectory(prefix="figclip-images-") as temporary:
        folder = Path(temporary)
        python = install_peer(folder / "venv")
        media = (real_media(shared) if shared else {}) or drawn_media()
        for name, data in media.items():
            path = folder / "www" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        names = (list(media) * (NUM_FETCHES // len(media) + 1))[:NUM_FETCHES]
        with serving(folder / "www") as site:
            urls = [f"{site}/{name}" for name in names]
            rounds = [one_round(folder / f"round{n}", python, urls) for n in range(ROUNDS)]
        ours = median(mine for mine, _ in rounds)
        theirs = median(other for _, other in rounds)
        return {
            "image_ratio": round(median(other / mine for mine, other in rounds), 3),
            "images_per_cpu_s": round(len(urls) / ours, 1),
            "img2dataset_images_per_cpu_s": round(len(urls) / theirs, 1),
            "num_media": len(media),
            "mean_media_kb": round(mean(map(len, media.values())) / 1_000, 1),
            **likenesses(folder / "round0", media),
        }


def one_round(folder: Path, python: Path, urls: Sequence[str]) -> tuple[float, float]:
    """CPU seconds of our side and of img2dataset."""
    folder.mkdir()
    mine = store_all(urls, folder / "ours")
    start = peer_seconds(python, urls[:1], folder / "start")
    return mine, peer_seconds(python, urls, folder / "theirs") - start


def store_all(urls: Sequence[str], folder: Path) -> float:
    """Fetch, store and write every picture; CPU seconds."""
    folder.mkdir()
    start = time.process_time()
    connection = http.client.HTTPConnection(urlsplit(urls[0]).netloc)
    for number, url in enumerate(urls):
        connection.request("GET", urlsplit(url).path)
        data = connection.getresponse().read()
        try:
            picture = store_image(data, longest_side=LONGEST_SIDE)
        except ImageError:
            continue
        (folder / f"{number:09d}.jpg").write_bytes(picture.data)
    return time.process_time() - start


def install_peer(folder: Path) -> Path:
    """An environment of its own for img2dataset; its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PEER]
    if subprocess.run(pip).returncode:
        raise UsageError(f"pip cannot install {PEER}, which this benchmark compares with")
    return python


def peer_seconds(python: Path, urls: Sequence[str], folder: Path) -> float:
    """CPU seconds of img2dataset and all its processes, start included."""
    folder.mkdir()
    (folder / "urls.txt").write_text("\n".join(urls))
    options = {
        "url_list": str(folder / "urls.txt"),
        "output_folder": str(folder / "out"),
        "output_format": "files",
        "image_size": LONGEST_SIDE,
        "resize_mode": "keep_ratio_largest",
        "resize_only_if_bigger": True,
        "skip_reencode": True,  # a JPEG that is small enough is kept, as we keep it
        "encode_quality": QUALITY,
        "encode_format": "jpg",
        "extract_exif": False,
        "processes_count": 1,
        "thread_count": 4,
    }
    script = folder / "fetch.py"
    call = f"img2dataset.download(**{options!r})"
    script.write_text(f"import img2dataset\nif __name__ == '__main__':\n    {call}\n")
    before = children_seconds()
    with (folder / "log").open("wb") as log:
        offline = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1", "PYTHONPATH": ""}
        done = subprocess.run(
            [str(python), str(script)], env=offline, stdout=log, stderr=subprocess.STDOUT
        )
    if done.returncode or not any((folder / "out").rglob("*.jpg")):
        raise UsageError(f"img2dataset failed: {(folder / 'log').read_text()[-2_000:]}")
    return children_seconds() - before


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Quiet(SimpleHTTPRequestHandler):
    """Files by kept connections, without a log line each."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True  # no packet waits for an acknowledgement

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _serve(folder: str, port: Connection) -> None:
    def handler(*args: Any) -> Quiet:
        return Quiet(*args, directory=folder)

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        port.send(server.server_port)
        server.serve_forever()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A process that serves the folder's files: its URL."""
    context = get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=_serve, args=(str(folder), there), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        server.terminate()
        server.join()


def real_media(shared: Path) -> Pictures:
    """The `.jpg` files of the real articles and annotated figures: nearly all media are such."""
    paths = [path for name in REAL_FOLDERS for path in sorted((shared / name).rglob("*.jpg"))]
    return {f"{number:04d}.jpg": path.read_bytes() for number, path in enumerate(paths)}


def drawn_media(count: int = 60) -> Pictures:
    """Drawn figures of 1,500 pixels."""
    return {f"{n:04d}.jpg": _drawn(n) for n in range(count)}


def _drawn(seed: int) -> bytes:
    small = draw_figure(plan_figure(random.Random(seed)))
    scale = 1_500 / max(small.size)
    size = (round(small.width * scale), round(small.height * scale))
    stream = io.BytesIO()
    small.resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def likenesses(folder: Path, media: Pictures) -> dict[str, float]:
    """Mean PSNR in dB of the shrunk pictures against two ideals, made from all pixels.

    Lanczos keeps the most detail; the mean over each pixel's exact area is the ideal of a sensor.
    """
    found: dict[str, list[float]] = {}
    for number, data in enumerate(media.values()):
        whole = opened(data)
        for side, prefix in (("ours", ""), ("theirs", "img2dataset_")):
            path = next(folder.glob(f"{side}/**/*{number:09d}.jpg"), None)
            if path is None or max(whole.size) <= LONGEST_SIDE:
                continue
            shrunk = opened(path.read_bytes())
            lanczos = np.asarray(whole.resize(shrunk.size, Image.Resampling.LANCZOS), float)
            for name, ideal in (("lanczos", lanczos), ("area", area_means(whole, shrunk.size))):
                key = f"{prefix}psnr_{name}_db"
                found.setdefault(key, []).append(psnr(np.asarray(shrunk, float), ideal))
    return {key: round(mean(values), 2) for key, values in sorted(found.items())}


def opened(data: bytes) -> Image.Image:
    """In RGB, on white."""
    image = Image.open(io.BytesIO(data))
    if not image.has_transparency_data:
        return image.convert("RGB")
    page = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(page, image.convert("RGBA")).convert("RGB")


def area_means(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Every pixel the mean of the area that it covers."""
    levels = np.asarray(image, float)
    for axis, count in ((1, size[0]), (0, size[1])):
        levels = np.moveaxis(levels, axis, 0)
        sums = np.concatenate([np.zeros_like(levels[:1]), np.cumsum(levels, 0)])
        edges = np.linspace(0, len(levels), count + 1)
        low = np.minimum(edges.astype(int), len(levels) - 1)
        part = (edges - low)[:, None, None]
        at_edges = sums[low] * (1 - part) + sums[low + 1] * part
        means = np.diff(at_edges, axis=0) / (len(levels) / count)
        levels = np.moveaxis(means, 0, axis)
    return levels


def psnr(found: np.ndarray, ideal: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-6, np.square(found - ideal).mean())))
