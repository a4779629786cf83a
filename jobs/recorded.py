"""What jobs that read the record of a sweep are told, and how they find it."""

from pathlib import Path

from figclip.config import UsageError
from figclip.tuning.record import SweepRecord, read_sweep
from figclip.tuning.storage import FILE, open_storage, shown
from jobs.entry import Job


class RecordedJob(Job):
    """What reads the record of a sweep."""

    storage: str | None = None
    """Where sweeps are recorded: `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`; unset:
    `sweeps.db` in the store."""

    @property
    def recorded(self) -> str:
        """The storage's URL; `UsageError` where there is none, which reading must not make."""
        url = self.storage or f"sqlite:///{Path(self.store).absolute() / FILE}"
        file = url.removeprefix("sqlite:///").partition("?")[0]
        if url.startswith("sqlite:///") and not Path(file).is_file():
            raise UsageError(
                f"no sweep is recorded in {url}: name its storage with --storage, or run one with "
                f"`python -m jobs.sweep`"
            )
        return url

    def read(self, name: str) -> SweepRecord:
        """`UsageError` lists the sweeps that there are, where this one is not."""
        names = sorted(study.study_name for study in open_storage(self.recorded).get_all_studies())
        if name not in names:
            there = ", ".join(names) or "none"
            raise UsageError(
                f"no sweep {name!r} is recorded in {shown(self.recorded)}; recorded are: {there}"
            )
        return read_sweep(self.recorded, name)


def given(word: str, usage: str) -> str:
    if not word:
        raise UsageError(f"a name is missing: python -m jobs.sweep {usage}")
    return word
