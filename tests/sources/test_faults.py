"""Every object of the real bucket, from a real S3 server, through a proxy that spoils answers."""

import hashlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fault_proxy as fault_proxy_module
import pytest
import s3_process
from fault_proxy import KINDS, FaultPlan, FaultProxy

from figclip.config import UsageError
from figclip.sources.buckets import S3Bucket, Unreachable
from figclip.sources.pmc_cloud import CloudSource

BUCKET = "pmc-oa-opendata"
PATIENT = {"num_tries": 12, "wait_s": 0.002, "longest_wait_s": 0.05}


def behind(proxy: FaultProxy, name: str = BUCKET, **changes: object) -> S3Bucket:
    return S3Bucket(name, endpoint=proxy.url, **{**PATIENT, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def real(moto_process: str, shared_folder: Callable[[str], Path]) -> dict[str, bytes]:
    """The files of the real bucket, which the server now has."""
    folder = shared_folder(BUCKET)
    s3_process.upload(moto_process, folder, BUCKET)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def small(moto_process: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("small")
    objects = {f"{n:02d}.bin": bytes([n]) * (700 * n) for n in range(1, 13)}
    for key, data in objects.items():
        (folder / key).write_bytes(data)
    s3_process.upload(moto_process, folder, "small")
    return objects


def fetched(bucket: S3Bucket, keys: list[str]) -> dict[str, bytes]:
    with ThreadPoolExecutor(6) as pool:
        return dict(zip(keys, pool.map(bucket.get, keys), strict=True))


@pytest.mark.real
@pytest.mark.parametrize(
    ("fraction", "step"),
    [
        (0.05, 4),
        (0.3, 5),
        pytest.param(0.05, 1, marks=pytest.mark.slow),
        pytest.param(0.3, 1, marks=pytest.mark.slow),
    ],
)
def test_every_object_arrives_as_it_is_whatever_happens_on_its_way(
    real: dict[str, bytes], moto_process: str, fault_proxy: Callable, fraction: float, step: int
):
    proxy = fault_proxy(moto_process, FaultPlan(seed=7, fraction=fraction, delay_s=0.05))
    keys = sorted(real)[::step]
    assert fetched(behind(proxy), keys) == {key: real[key] for key in keys}
    spoilt = {kind: proxy.counts[kind] for kind in KINDS}
    assert min(spoilt.values()) >= 1, spoilt
    share = sum(spoilt.values()) / proxy.counts["answers"]
    assert share == pytest.approx(fraction, abs=0.6 * fraction)


@pytest.mark.real
def test_the_list_and_the_articles_of_a_faulty_service_are_those_of_a_sound_one(
    real: dict[str, bytes], moto_process: str, fault_proxy: Callable
):
    proxy = fault_proxy(moto_process, FaultPlan(seed=3, fraction=0.3, delay_s=0.02))
    faulty = CloudSource(behind(proxy))
    sound = CloudSource(S3Bucket(BUCKET, endpoint=moto_process))
    versions = sound.list_versions()
    assert faulty.list_versions() == versions
    ids = versions["version_id"].to_pylist()
    etags = [hashlib.md5(real[f"metadata/{v}.json"]).hexdigest() for v in ids]
    assert versions["etag"].to_pylist() == etags
    assert faulty.list_versions(ids[:9]) == versions.slice(0, 9)
    for version_id in ids[:5]:
        metadata = faulty.metadata(version_id)
        assert metadata == sound.metadata(version_id)
        assert faulty.xml(metadata) == real[f"{version_id}/{version_id}.xml"]
        for name in metadata.media:
            assert faulty.media(metadata, name) == real[f"{version_id}/{name}"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_fault_alone_is_survived(
    kind: str, small: dict[str, bytes], moto_process: str, fault_proxy: Callable
):
    """All first two answers are spoilt, those of lists too; a late answer counts as none."""
    plan = FaultPlan(fraction=1.0, kinds=(kind,), first_answers=2, delay_s=0.2)
    proxy = fault_proxy(moto_process, plan)
    bucket = behind(proxy, "small", read_timeout_s=0.1 if kind == "delayed" else 5.0)
    assert list(bucket.keys("")) == sorted(small)
    assert fetched(bucket, sorted(small)) == small
    # No ETag stands behind a list, so none of its bytes is flipped.
    assert proxy.counts[kind] == 2 * (len(small) + (kind != "flipped"))
    with bucket.open("12.bin", at_most=10**6) as file:
        assert file.read() == small["12.bin"]


def test_signed_requests_are_tried_again_as_well(
    small: dict[str, bytes],
    moto_process: str,
    fault_proxy: Callable,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    proxy = fault_proxy(moto_process, FaultPlan(seed=2, fraction=0.6, delay_s=0.01))
    bucket = behind(proxy, "small", anonymous=False, num_tries=40)
    assert fetched(bucket, list(bucket.keys(""))) == small
    assert all(proxy.counts[kind] for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_faults_that_never_end_are_told_with_the_remedy(
    kind: str, small: dict[str, bytes], moto_process: str, fault_proxy: Callable
):
    proxy = fault_proxy(moto_process, FaultPlan(fraction=1.0, kinds=(kind,), delay_s=0.1))
    bucket = behind(proxy, "small", num_tries=2, read_timeout_s=0.05)
    with pytest.raises(Unreachable, match=r"02\.bin .* 2 times; check the network"):
        bucket.get("02.bin")
    with pytest.raises(Unreachable, match=r"02\.bin .* 2 times; check the network"):
        bucket.open("02.bin", at_most=10**6)
    assert issubclass(Unreachable, UsageError)


def test_the_same_seed_spoils_the_same_answers_in_any_order():
    plan = FaultPlan(seed=5, fraction=0.5)
    asked = [(f"GET /b/{key}", number) for key in range(200) for number in range(3)]
    first = {one: plan.fault(*one) for one in asked}
    assert {one: FaultPlan(seed=5, fraction=0.5).fault(*one) for one in asked[::-1]} == first
    assert {one: FaultPlan(seed=6, fraction=0.5).fault(*one) for one in asked} != first
    assert set(first.values()) == {"", *KINDS}


def test_the_proxy_changes_nothing_without_faults_and_one_bit_when_it_flips(
    small: dict[str, bytes], moto_process: str, fault_proxy: Callable
):
    for kinds, num_bits in (((), 0), (("flipped",), 1)):
        plan = FaultPlan(fraction=1.0 if kinds else 0.0, kinds=kinds or KINDS)
        client = s3_process.writer(fault_proxy(moto_process, plan).url)
        for key, data in small.items():
            found = client.get_object(Bucket="small", Key=key)["Body"].read()
            assert len(found) == len(data)
            pairs = zip(found, data, strict=True)
            assert sum((a ^ b).bit_count() for a, b in pairs) == num_bits
        body = b"through the proxy" * 5000
        client.put_object(Bucket="small", Key="written", Body=body)
        assert (
            s3_process.writer(moto_process).get_object(Bucket="small", Key="written")["Body"].read()
            == body
        )
        client.delete_object(Bucket="small", Key="written")


def test_the_proxy_runs_as_a_process_and_counts_what_it_did(
    small: dict[str, bytes], moto_process: str
):
    words = ["--upstream", moto_process, "--fraction", "1", "--kinds", "slow_down"]
    words += ["--first-answers", "1"]
    process = subprocess.Popen(
        [sys.executable, fault_proxy_module.__file__, *words], stdout=subprocess.PIPE, text=True
    )
    try:
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        assert S3Bucket("small", endpoint=url, wait_s=0.01).get("03.bin") == small["03.bin"]
        with urllib.request.urlopen(f"{url}/_faults") as answer:
            counts = json.load(answer)
    finally:
        process.terminate()
        told, _ = process.communicate(timeout=20)
    assert counts == {"slow_down": 1, "fine": 1, "answers": 2}
    assert json.loads(told) == counts
