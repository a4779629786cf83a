"""The `evaluation` artifact of visual question answering: every encoder and set in one table."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from figclip.evaluation.datasets.pictures import picture
from figclip.evaluation.leakage import (
    REPEATED,
    Leaks,
    Learned,
    among,
    leaked_cell,
    learned_by,
    said_of,
    versions_of,
)
from figclip.evaluation.sources import begun, made_by, published_as
from figclip.evaluation.vqa.answers import IN_VOCABULARY, KINDS
from figclip.evaluation.vqa.asking import VqaConfig, VqaResult, ask, run_of
from figclip.evaluation.vqa.learning import Learn
from figclip.evaluation.vqa.questions import VqaSet
from figclip.evaluation.vqa.reading import marks_asked, questions_digest
from figclip.evaluation.vqa.showing import Shown, chosen, draw_answers
from figclip.statistics.themes import DARK, LIGHT
from figclip.statistics.wording import markdown
from figclip.store import Manifest, Store

TABLE_FILE, JSON_FILE = "vqa.md", "vqa.json"
NUM_SHOWN = 6
"""Questions of a set in its picture."""
SCORES = ("accuracy", "token F1")
NOTE = (
    "Per cent; laid out as the paper's Fig. 4A, whose bars have no numbers: its text says that "
    "BiomedCLIP's overall accuracy is about one point above PubMedCLIP's on VQA-RAD and six on "
    "SLAKE. An answer that no question learned from has counts as wrong; intervals draw pictures "
    "anew, each with its questions."
)


def evaluate_vqa(
    store: Store,
    *,
    encoders: Sequence[str],
    data: str,
    sets: Sequence[VqaSet],
    version: str,
    config: VqaConfig,
    command: str,
    learn: Learn,
    trained_on: Sequence[str] = (),
) -> Manifest:
    """Publish `evaluation/{version}`: `vqa.md`, `vqa.json`, and of each set a picture of questions
    and answers in both themes.

    Killed and called again with the same words, it goes on from the last epoch. `UsageError` where
    sets or encoders are not whole.
    """
    learned = learned_by(store, encoders, trained_on)
    settings, inputs = begun(store, encoders, (), data, config, trained_on=versions_of(learned))
    settings["questions"] = {one.name: questions_digest(one, data) for one in sets}
    if store.already_published("evaluation", version, settings, inputs):
        run_of(store, version).clear()
        return store.manifest("evaluation", version)
    leaks, results = Leaks(store, learned), dict[str, list[VqaResult]]()
    for name in encoders:
        leaked = leaks.of(name, partial(marks_asked, sets, data))
        results[name] = [
            ask(
                store,
                name,
                one,
                data,
                config,
                run_of(store, version, name, one),
                learn,
                leaked=among(leaked, one.title),
            )
            for one in sets
        ]
    numbers = {name: [plain_result(one) for one in found] for name, found in results.items()}
    files: dict[str, str | bytes] = {
        TABLE_FILE: f"{vqa_text(results, learned)}\n{made_by(command)}\n",
        JSON_FILE: json.dumps(numbers, indent=1),
        **pictures_of(results, data),
    }
    counts = {name: measures_of(found) for name, found in results.items()}
    manifest = published_as(store, version, settings, inputs, files=files, counts=counts)
    run_of(store, version).clear()
    return manifest


def measures_of(results: Sequence[VqaResult]) -> dict[str, float]:
    """Flat: `vqa_slake_accuracy_open` and so on."""
    return {
        f"vqa_{one.declared.name}_{name.replace(', ', '_').replace(' ', '_')}": value
        for one in results
        for name, value in one.values.items()
    }


def vqa_text(results: Mapping[str, Sequence[VqaResult]], learned: Mapping[str, Learned]) -> str:
    """The paper's figure as a table, what stands behind each number, and answers to look at."""
    parts = ["# Visual question answering", summary_table(results), NOTE, detail_table(results)]
    parts += [REPEATED, said_of(learned)]
    for found in next(iter(results.values())):
        title = found.declared.title
        parts += [f"## {title}", f"![questions and answers]({found.declared.name}.png)"]
    return "\n\n".join(parts) + "\n"


def summary_table(results: Mapping[str, Sequence[VqaResult]]) -> str:
    """A line for each encoder of each set: accuracy and token F1 of open, closed and all."""
    columns = [f"{score}, {kind}" for score in SCORES for kind in KINDS]
    rows = [["set", "", *(f"{column} (%)" for column in columns)]]
    for place, first in enumerate(next(iter(results.values()))):
        rows += [
            [first.declared.title, name, *(_per_cent(values.get(column)) for column in columns)]
            for name, found in results.items()
            for values in [found[place].values]
        ]
    return markdown(rows)


def detail_table(results: Mapping[str, Sequence[VqaResult]]) -> str:
    """A line for each measure of each set and encoder, with all that it depends on."""
    head = [
        "set",
        "encoder",
        "measure",
        "%",
        "95 % interval",
        "n",
        "leaked",
        "repeated",
        "% without",
    ]
    head += ["learned from", "classes"]
    head += ["outside the vocabulary (%)", "unreadable", "cut", "F1 of"]
    rows = [[*head, "learned", "asked"]]
    for name, found in results.items():
        for one in found:
            facts = [f"{one.num_train:,}", f"{one.num_classes:,}"]
            facts += [_per_cent(1 - one.values[IN_VOCABULARY])]
            facts += [str(one.num_unreadable), str(one.num_cut), one.tokenizer]
            facts += [part[:12] for part in one.checksum.split("+")]
            rows += [
                [
                    one.declared.title,
                    name,
                    measure,
                    _per_cent(value),
                    one.intervals[measure].in_per_cent,
                    f"{len(one.questions):,}",
                    leaked_cell(one.num_leaked),
                    f"{one.num_repeated:,}",
                    _per_cent(one.unleaked.get(measure)),
                    *facts,
                ]
                for measure, value in one.values.items()
            ]
    return markdown(rows)


def pictures_of(results: Mapping[str, Sequence[VqaResult]], data: str) -> dict[str, bytes]:
    """File name → a PNG; on a dark page the one that says so."""
    first, files = next(iter(results.values())), {}
    for place, of_first in enumerate(first):
        found = {name: each[place] for name, each in results.items()}
        root = Path(data, of_first.declared.place)
        asked = chosen(found, num=NUM_SHOWN)
        for theme, end in ((LIGHT, ""), (DARK, "-dark")):
            shown = [
                Shown(
                    picture((root / of_first.questions[number].picture).read_bytes()),
                    of_first.questions[number].text,
                    of_first.questions[number].answer,
                    {name: one.answers[number] for name, one in found.items()},
                )
                for number in asked
            ]
            files[f"{of_first.declared.name}{end}.png"] = draw_answers(shown, theme)
    return files


def plain_result(result: VqaResult) -> dict[str, Any]:
    """As JSON has it, every question with its answer."""
    return {
        "set": result.declared.model_dump(mode="json"),
        "encoder": result.encoder,
        "num_train": result.num_train,
        "num_classes": result.num_classes,
        "num_questions": len(result.questions),
        "num_unreadable": result.num_unreadable,
        "unreadable": dict(result.unreadable),
        "num_leaked": result.num_leaked,
        "num_repeated": result.num_repeated,
        "unleaked": dict(result.unleaked),
        "num_cut": result.num_cut,
        "checksum": result.checksum,
        "tokenizer": result.tokenizer,
        "losses": list(result.losses),
        "values": dict(result.values),
        "intervals": {name: [one.low, one.high] for name, one in result.intervals.items()},
        "answers": [
            {"question": one.text, "picture": one.picture, "truth": one.answer, "answer": answer}
            for one, answer in zip(result.questions, result.answers, strict=True)
        ],
    }


def _per_cent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}"
