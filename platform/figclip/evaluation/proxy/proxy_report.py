"""The `evaluation` artifact of the proxy analysis: a line for each finding, after Fig. 5B."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from figclip.config import UsageError
from figclip.evaluation.beside import encoder_of
from figclip.evaluation.datasets.opening import folder_digest
from figclip.evaluation.leakage import (
    Learned,
    leaked_cell,
    learned_by,
    said_of,
    versions_of,
)
from figclip.evaluation.proxy.agreement import MEAN, PAPER_RECALL, Share
from figclip.evaluation.proxy.agreement_plot import draw_agreement
from figclip.evaluation.proxy.analysis import (
    RULES,
    ProxyConfig,
    ProxyResult,
    analysed,
)
from figclip.evaluation.proxy.private import PrivateSet
from figclip.evaluation.proxy.seclusion import Isolation
from figclip.evaluation.sources import made_by, published_as
from figclip.statistics.tables import Table
from figclip.statistics.themes import DARK, LIGHT
from figclip.statistics.wording import per_cent
from figclip.store import Manifest, Store

TABLE_FILE, JSON_FILE = "proxy.md", "proxy.json"
PLOTTED = {"": LIGHT, "-dark": DARK}
NOTE = (
    "Recall and F1 of the findings that the nearest public figure's caption tells, against the "
    "private picture's own; uncertain, blank and negative count as negative. “–”: no picture has "
    "the finding. The mean is over the findings that some picture has. The paper's numbers are of "
    "its own 980 radiographs, read by CheXbert."
)
Results = Mapping[str, Sequence[ProxyResult]]
"""Version of the embeddings → a result for each set."""


def evaluate_proxy(
    store: Store,
    *,
    embeddings: Sequence[str],
    data: str,
    private: Sequence[PrivateSet],
    version: str,
    config: ProxyConfig,
    command: str,
    encoder: str | None = None,
    trained_on: Sequence[str] = (),
    device: str = "cpu",
    isolation: Isolation | None = None,
) -> Manifest:
    """Publish `evaluation/{version}`: `proxy.md`, `proxy.json` and a plot of each set.

    Every version of the embeddings is judged by the encoder that made it; `encoder` is the first
    one's, where it is named. Private pictures are opened by a process without a network alone: this
    one sees names and sizes of the files, and keeps their hash.
    """
    if encoder is not None and encoder_of(store, embeddings[0]) != encoder:
        raise UsageError(
            f"embeddings@{embeddings[0]} are of encoder {encoder_of(store, embeddings[0])}, not of "
            f"{encoder}: name its own"
        )
    settings = config.model_dump(mode="json") | {
        "sets": [one.model_dump(mode="json") for one in private],
        "files": {one.name: folder_digest(Path(data, one.place)) for one in private},
    }
    if config.labeller != RULES:
        settings["labeller_files"] = folder_digest(Path(config.labeller))
    encoders = {one: encoder_of(store, one) for one in embeddings}
    learned = learned_by(store, [*dict.fromkeys(encoders.values())], trained_on)
    settings["trained_on"] = {name: list(one) for name, one in versions_of(learned).items()}
    looked_in = dict.fromkeys(pairs for one in learned.values() for pairs in one.pairs)
    inputs = tuple(f"embeddings@{one}" for one in embeddings)
    inputs += tuple(f"pairs@{one}" for one in looked_in)
    if store.already_published("evaluation", version, settings, inputs):
        return store.manifest("evaluation", version)
    results: Results = {
        name: [
            analysed(
                store,
                name,
                one,
                data,
                config,
                trained_on=learned[encoders[name]].pairs,
                device=device,
                isolation=isolation,
            )
            for one in private
        ]
        for name in embeddings
    }
    plain = {
        name: [one.model_dump(mode="json") for one in found] for name, found in results.items()
    }
    files: dict[str, str | bytes] = {
        TABLE_FILE: f"{proxy_text(results, learned)}\n{made_by(command)}\n",
        JSON_FILE: json.dumps(plain, indent=1),
    }
    for place, one in enumerate(private):
        these = {name: found[place] for name, found in results.items()}
        files |= {f"{one.name}{on}.png": draw_agreement(these, PLOTTED[on]) for on in PLOTTED}
    counts = {
        name: {
            one.title: {
                "recall": _value(one.agreements[-1].recall),
                "f1": _value(one.agreements[-1].f1),
            }
            for one in found
        }
        for name, found in results.items()
    }
    return published_as(store, version, settings, inputs, files=files, counts=counts)


def proxy_text(results: Results, learned: Mapping[str, Learned]) -> str:
    """For each set how proxies were had, and what they tell."""
    parts = ["# Public figures in place of private pictures"]
    for place in range(len(next(iter(results.values())))):
        these = {name: found[place] for name, found in results.items()}
        first = next(iter(these.values()))
        parts += [f"## {first.title}, captions read by {first.labeller}", isolation_text(first)]
        parts += [steps_table(these).as_markdown(), agreement_table(these).as_markdown()]
        parts += [detail_table(these).as_markdown()]
    parts += [said_of(learned)]
    return "\n\n".join(parts) + "\n"


def isolation_text(result: ProxyResult) -> str:
    """What kept the pictures on this machine."""
    held = {
        "network namespace": "in a network namespace of its own, without any interface that is up, "
        "and behind Python's audit hook",
        "audit hook": "behind Python's audit hook alone, without a network namespace: the hook "
        "does not see what code in C does past Python's own modules",
    }[result.isolation]
    return (
        f"The pictures were opened by one process, {held}. It tried to connect before it read any "
        f"of them, and was refused; all that left it are the numbers below."
    )


def steps_table(results: Mapping[str, ProxyResult]) -> Table:
    rows = [["embeddings", "encoder", "figures", "seeds", "candidates", "kept", "pictures"]]
    rows[0] += ["unreadable", "figures that stand for them"]
    for name, one in results.items():
        lost = f"{one.num_unreadable}"
        if one.unreadable_lines:
            lost += f" (line {', '.join(map(str, one.unreadable_lines))})"
        numbers = (one.num_figures, one.num_seeds, one.num_candidates, one.num_pool, one.num_images)
        cells = [f"{number:,}" for number in numbers]
        rows.append([name, one.encoder, *cells, lost, f"{one.num_distinct:,}"])
    return Table(rows)


def agreement_table(results: Mapping[str, ProxyResult]) -> Table:
    """A line a finding, of each encoder recall and F1 in per cent."""
    head = [f"{name}, {what}" for name in results for what in ("recall", "F1")]
    rows = [["", "pictures", *head, "paper's recall"]]
    first = next(iter(results.values()))
    for place, finding in enumerate(first.agreements):
        these = [one.agreements[place] for one in results.values()]
        cells = [_cell(share) for one in these for share in (one.recall, one.f1)]
        paper = PAPER_RECALL.get(finding.finding)
        quoted = "–" if paper is None else f"{100 * paper:.2f}"
        num = "–" if finding.finding == MEAN else f"{finding.num_true:,}"
        rows.append([finding.finding, num, *cells, quoted])
    return Table(rows, NOTE)


def detail_table(results: Mapping[str, ProxyResult]) -> Table:
    """A line for every number."""
    rows = [["encoder", "labels by", "finding", "measure", "%", "95 % interval"]]
    rows[0] += ["true", "told", "both", "n", "leaked", "% without", "checksum"]
    for result in results.values():
        for one in result.agreements:
            numbers = [f"{number:,}" for number in (one.num_true, one.num_told, one.num_both)]
            rows += [
                [
                    *(result.encoder, result.labeller, one.finding, name),
                    *(_cell(share), share.interval, *numbers),
                    *(f"{result.num_images:,}", leaked_cell(result.num_leaked)),
                    per_cent(result.unleaked.get(f"{name}: {one.finding}")),
                    result.checksum[:12],
                ]
                for name, share in (("recall", one.recall), ("F1", one.f1))
                if share is not None
            ]
    return Table(rows)


def _cell(share: Share | None) -> str:
    return "–" if share is None else f"{100 * share.value:.2f}"


def _value(share: Share | None) -> float | None:
    return None if share is None else share.value
