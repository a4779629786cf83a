"""What the pretraining job refuses before any worker starts, and how it is mended."""

import re
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import small_pairs

from figclip.training import pretrain
from jobs import pretrain as job
from jobs.entry import run

WORDS = "tiny --pairs small --batch-size 8 --epochs 1 --optim.warmup-steps 1"


class WorkersStarted(Exception):
    pass


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Runs the command line as far as to the workers; of the cluster there is only its size."""

    def fit(*_: Any) -> dict[str, Any]:
        raise WorkersStarted

    def command(*words: str) -> None:
        argv = ["jobs.pretrain", *WORDS.split(), "--store", str(tmp_path), *words]
        monkeypatch.setattr(sys, "argv", argv)
        run(job.presets_for, job.main, "pretrain")

    monkeypatch.setattr(job, "joined_ray", lambda config: nullcontext())
    monkeypatch.setattr(pretrain.ray, "cluster_resources", lambda: {"CPU": 4.0})
    monkeypatch.setattr(pretrain, "fit", fit)
    small_pairs.publish_pairs(tmp_path, num_train=24)
    return command


def test_a_vocabulary_that_does_not_fit_the_tower_is_refused_and_the_remedy_that_is_named_works(
    start, tmp_path, capsys
):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join([*special, *(f"word{n}" for n in range(2_500))]) + "\n")
    with pytest.raises(SystemExit) as left:
        start("--tokenizer", str(vocabulary))
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert "the tokenizer's 2505 tokens exceed the model's 2000" in said
    assert not (tmp_path / "runs").exists(), "the version is free for the run that is mended"
    [remedy] = re.findall(r"set (--model\.text\.vocab-size \d+)", said)
    with pytest.raises(WorkersStarted):
        start("--tokenizer", str(vocabulary), *remedy.split())
    assert (tmp_path / "runs" / "encoder-tiny" / "run.json").exists()
