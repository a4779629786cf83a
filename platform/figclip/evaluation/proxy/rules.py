"""Findings read by rules: words, and what stands before and after them in their clause.

In the manner of NegEx (Chapman et al. 2001) and of CheXpert's labeller (Irvin et al. 2019), with
fewer words than either:

1. A text falls into clauses at the ends of sentences, at semicolons and colons, and at `but`,
   `however`, `although`, `except`, `whereas`, `, with`.
2. A finding is mentioned where one of its phrases stands in a clause.
3. A mention is uncertain where a word of doubt stands before it ("possible", "may") or after it
   ("cannot be excluded"); else negative where a word of denial does ("no", "is absent"), or the
   phrase itself says that all is normal; else positive. No such word reaches over a verb or over
   `with`: "no effusion is seen and the heart is enlarged" denies the effusion alone.
4. Of several mentions a positive one decides, then an uncertain, then a negative one.

What they cannot see: lists whose denial ends at a comma ("no pneumothorax, small effusion"), and
anything that is said in other words.
"""

import re
from collections.abc import Sequence

import numpy as np

from figclip.evaluation.proxy.findings import (
    BLANK,
    FINDINGS,
    NEGATIVE,
    POSITIVE,
    UNCERTAIN,
    Told,
)

BE = r"(?:is|are|was|were|appears?|remains?)"
HEART = r"(?:heart|cardiac)(?: size| silhouettes?| shadow| contours?)*"
MEDIASTINUM = r"(?:cardio)?mediastin(?:um|al)(?: silhouettes?| contours?| shadow)*"
LARGE = r"(?:enlarged|widened|prominent|increased|dilated|broadened)"
NORMAL = r"(?:within )?(?:the )?(?:upper )?(?:limits of )?(?:normal|unremarkable)"

PHRASES: dict[str, tuple[str, ...]] = {
    "Enlarged Cardiomediastinum": (
        rf"{MEDIASTINUM} (?:{BE} )?(?:not )?(?:\w+ly )?{LARGE}",
        rf"{LARGE} {MEDIASTINUM}",
        rf"(?:widening|enlargement) of the {MEDIASTINUM}",
        rf"{MEDIASTINUM} (?:widening|enlargement)",
    ),
    "Cardiomegaly": (
        r"cardiomegaly",
        rf"{HEART} (?:{BE} )?(?:not )?(?:\w+ly )?{LARGE}",
        rf"{LARGE} {HEART}",
        r"cardiac enlargement",
        rf"enlargement of the {HEART}",
    ),
    "Lung Opacity": (
        r"opaci(?:ty|ties|fications?|fied)",
        r"infiltrates?",
        r"air ?space disease",
        r"ground[- ]glass",
        r"(?:increased|hazy) (?:lung |pulmonary )?densit(?:y|ies)",
    ),
    "Lung Lesion": (
        r"mass(?:es)?(?! effect)",
        r"nodul(?:es?|ar)",
        r"(?:lung|pulmonary) (?:lesions?|tumou?rs?|cancer|carcinoma|metastas[ei]s)",
        r"(?:lesions?|tumou?rs?) (?:in|of|within) the (?:\w+ ){0,2}(?:lungs?|lobe)",
        r"cavitary lesions?",
        r"neoplasms?",
    ),
    "Edema": (
        r"o?edema",
        r"(?:vascular|pulmonary) congestion",
        r"heart failure",
        r"chf",
        r"kerley b? ?lines",
    ),
    "Consolidation": (r"consolidat(?:ions?|ed|ive)",),
    "Pneumonia": (
        r"(?:broncho)?pneumonias?",
        r"infectious process",
        r"(?:lung|pulmonary) infections?",
    ),
    "Atelectasis": (
        r"atelecta(?:sis|ses|tic)",
        r"(?:lung|lobe|lobar|segmental) collapse",
        r"collapse of the (?:\w+ ){0,2}(?:lung|lobe)",
        r"collapsed (?:\w+ ){0,2}(?:lung|lobe)",
    ),
    "Pneumothorax": (r"(?:hydro|h[ae]+mo)?pneumothora(?:x|ces|xes)",),
    "Pleural Effusion": (
        r"(?<!pericardial )(?<!joint )effusions?",
        r"pleural fluid",
        r"(?:hydro|h[ae]+mo)(?:pneumo)?thorax",
    ),
    "Pleural Other": (
        r"pleural (?:thickening|plaques?|scar(?:ring|s)?|calcifications?|fibrosis)",
        r"fibrothorax",
    ),
    "Fracture": (r"fractur(?:es?|ed)",),
    "Support Devices": (
        r"pace-?makers?|pacers?|icd|defibrillators?",
        r"catheters?|picc|port-?a-?cath",
        r"(?:endotracheal|tracheostomy|nasogastric|orogastric|feeding|chest|et|ng|pleural) tubes?",
        r"(?:central|venous|arterial|subclavian|jugular) lines?",
        r"(?:prosthetic|mechanical|artificial) (?:\w+ )?valves?|valve replacement",
        r"stents?|(?:sternal|pacing) wires?|sternotomy wires?|drains?|surgical clips",
    ),
}
NORMALS: dict[str, tuple[str, ...]] = {
    "Enlarged Cardiomediastinum": (
        rf"{MEDIASTINUM} (?:{BE} )?{NORMAL}",
        rf"(?:normal|unremarkable) {MEDIASTINUM}",
    ),
    "Cardiomegaly": (rf"{HEART} (?:{BE} )?{NORMAL}", rf"(?:normal|unremarkable) {HEART}"),
}
"""Phrases that deny a finding by what they call normal."""

CLAUSE = re.compile(
    r"[.!?](?=\s|$)|[;:\n]|\b(?:but|however|although|though|except|whereas|while)\b|, with\b"
)
NO_CUE = re.compile(
    r"\b(?:no|not|without) (?:\w+ )?(?:change|increase|decrease|difference)s?(?: in| of)?\b"
    r"|\bnot only\b"
)
"""Denials that deny another thing than the finding: blotted out first."""
END = re.compile(
    r"\b(?:is|are|was|were|has|have|had|shows?|showed|showing|demonstrat\w+|reveal\w+|seen|noted"
    r"|with|there|which)\b"
)
"""Over these no cue reaches."""
DOUBT_BEFORE = re.compile(
    r"\b(?:possibl[ey]|probabl[ey]|likely|may|might|could|suspect\w*|suspicio\w+|concern\w* for"
    r"|suggest\w*|question\w*|versus|cannot (?:exclude|rule out)|(?:rule|ruling) out"
    r"|(?:evaluate|assess) for|presum\w+|differential)\b"
)
DOUBT_AFTER = re.compile(
    rf"(?:\b(?:cannot|can not|could not|not) be (?:\w+ly )?(?:excluded|ruled out)"
    rf"|\b{BE} (?:not excluded|suspected|possible|questionable|likely|questioned)"
    r"|\bversus|\A (?:possible|questionable|suspected))\b|\(\?\)"
)
DENIAL_BEFORE = re.compile(
    r"\b(?:no|not|without|neither|nor|absence of|lack of|free of|clear of|negative for|never"
    r"|resolution of|excludes?|excluding|rather than)\b"
)
DENIAL_AFTER = re.compile(
    rf"\b(?:{BE} |(?:has|have|had) (?:been )?)?"
    r"(?:not (?:seen|identified|present|visible|evident|detected|found)|no longer \w+|absent"
    r"|excluded|ruled out|resolved|cleared|unlikely)\b"
)


class Rules:
    """Reads findings by the rules of this module."""

    name = "rules"

    def label(self, texts: Sequence[str]) -> Told:
        told = [[told_of(finding, text) for finding in FINDINGS] for text in texts]
        return np.array(told, dtype=np.int64).reshape(len(texts), len(FINDINGS))


def told_of(finding: str, text: str) -> int:
    """What a text says of a finding: `BLANK`, `POSITIVE`, `NEGATIVE` or `UNCERTAIN`."""
    found = {one for clause in clauses(text) for one in _mentions(finding, clause)}
    return next((one for one in (POSITIVE, UNCERTAIN, NEGATIVE) if one in found), BLANK)


def clauses(text: str) -> list[str]:
    """In small letters, blanks folded."""
    small = re.sub(r"\bvs\b\.?", "versus", " ".join(text.lower().split()))
    return [clause for clause in CLAUSE.split(NO_CUE.sub(" ", small)) if clause.strip()]


def _mentions(finding: str, clause: str) -> list[int]:
    normal = [NEGATIVE for phrase in NORMALS.get(finding, ()) if _search(phrase, clause)]
    return normal + [
        _judged(clause[: found.start()], found[0], clause[found.end() :])
        for phrase in PHRASES[finding]
        for found in re.finditer(rf"\b(?:{phrase})\b", clause)
    ]


def _search(phrase: str, clause: str) -> re.Match[str] | None:
    return re.search(rf"\b(?:{phrase})\b", clause)


def _judged(before: str, mention: str, after: str) -> int:
    if _reaches_on(DOUBT_BEFORE, before) or _reaches_back(DOUBT_AFTER, after):
        return UNCERTAIN
    if re.search(r"\bnot\b", mention):
        return NEGATIVE
    if _reaches_on(DENIAL_BEFORE, before) or _reaches_back(DENIAL_AFTER, after):
        return NEGATIVE
    return POSITIVE


def _reaches_on(cue: re.Pattern[str], before: str) -> bool:
    return any(not END.search(before[found.end() :]) for found in cue.finditer(before))


def _reaches_back(cue: re.Pattern[str], after: str) -> bool:
    return any(not END.search(after[: found.start()]) for found in cue.finditer(after))
