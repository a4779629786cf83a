"""All that can be judged by below one folder: captions, labels, questions, private pictures."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.datasets.opening import folder_digest
from figclip.evaluation.proxy.private import PrivateSet
from figclip.evaluation.sources import captions_digest
from figclip.evaluation.vqa.questions import VqaSet
from figclip.evaluation.vqa.reading import questions_digest

Part = Literal["retrieval", "zero_shot", "probe", "vqa", "proxy", "types"]


@dataclass(frozen=True)
class Sets:
    data: str
    """The folder."""
    captioned: tuple[str, ...] = ()
    """Folders with a `captions.csv`."""
    labelled: tuple[Dataset, ...] = ()
    asked: tuple[VqaSet, ...] = ()
    private: tuple[PrivateSet, ...] = ()

    def only(self, parts: Collection[Part]) -> "Sets":
        """What these parts of an evaluation judge by."""
        return replace(
            self,
            captioned=self.captioned if "retrieval" in parts else (),
            labelled=self.labelled if {"zero_shot", "probe"} & {*parts} else (),
            asked=self.asked if "vqa" in parts else (),
            private=self.private if "proxy" in parts else (),
        )

    def digests(self) -> dict[str, Any]:
        """The state of the files, of labelled sets apart (`sources.begun` has theirs)."""
        return {
            "captions": {name: captions_digest(self.data, name) for name in self.captioned},
            "questions": {one.name: questions_digest(one, self.data) for one in self.asked},
            "private": {
                one.name: folder_digest(Path(self.data, one.place)) for one in self.private
            },
        }
