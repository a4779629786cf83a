"""Sentences that say nothing of what can be seen: protocols, acquisition, statistics.

Inline JATS mark-up; `{...}` are filled with random figures. They hold no word of colour, side,
place, size or shape, so that those always speak of the picture.
"""

import random

GENERAL = (
    "Data are mean ± SD of {n} independent experiments (<italic>P</italic> &lt; 0.0{digit}).",
    "<italic>n</italic> = {n} per group; *<italic>P</italic> &lt; 0.05, **<italic>P</italic> &lt; "
    "0.01, two-tailed Student’s <italic>t</italic>-test.",
    "Results were compared by one-way ANOVA followed by Tukey’s <italic>post hoc</italic> test.",
    "Values are given as median and interquartile range ({n}–{n2}).",
    "Representative of {n} experiments with similar results.",
    "The study was approved by the institutional ethics committee (no. {code}).",
    "Abbreviations: CI, confidence interval; SD, standard deviation; IL-1β, interleukin-1β.",
    "See the Methods section for details of the protocol.",
    "Source data are provided with the article.",
    "Samples were collected {n2} h after treatment with {dose} ng/ml TNF-α.",
    "Animals (<italic>Mus musculus</italic>, C57BL/6J) were {n2} weeks of age at the start.",
    "Patients gave informed consent before enrolment between {year} and {year2}.",
    "Cells were kept at 37 °C in 5% CO<sub>2</sub> and passaged every {digit} days.",
    "Two observers, who did not know the group, rated each case (κ = 0.{code2}).",
    "Adapted with permission from an earlier report [{n2}].",
    "Normality was tested with the Shapiro–Wilk test (<italic>α</italic> = 0.05).",
    "The experiment was repeated with {n} biological replicates and {digit} technical replicates.",
    "Outliers beyond {digit} standard deviations were not removed.",
    "*<italic>P</italic> &lt; 0.05 versus control.",
    "The analysis included {code2} cases from {n} centres.",
    "All procedures followed the ARRIVE guidelines.",
    "Raw files were deposited under accession number E-{code}.",
)

BY_FAMILY: dict[str, tuple[str, ...]] = {
    "radiology": (
        "Images were acquired on a {tesla} T or {slices}-slice scanner ({n2} months of follow-up).",
        "Acquisition parameters: TR/TE {code}/{code2} ms, matrix {matrix} × {matrix}.",
        "Section thickness was {digit}.{digit} mm without gap.",
        "The patient, aged {age} years, presented with pain and weight loss.",
        "The tube voltage was {kv} kV with automatic current modulation.",
        "Two radiologists read the examination independently.",
        "Follow-up after {n2} months showed no progression.",
        "Iodinated contrast agent ({dose} ml) was injected at {digit} ml/s.",
        "The finding was confirmed by biopsy.",
        "Reconstruction used a standard kernel and {code2}% iterative noise reduction.",
    ),
    "microscopy": (
        "Tissue was fixed in 4% paraformaldehyde for {n2} h and cut at {digit} μm.",
        "The primary antibody was diluted 1:{code} and incubated overnight at 4 °C.",
        "Images were taken with a {obj}× objective (NA 0.{code2}).",
        "Antigen retrieval was done in citrate buffer, pH 6.{digit}, for {n2} min.",
        "Sections were dehydrated in ethanol and mounted.",
        "Cells were permeabilised with 0.{digit}% Triton X-100 for {n2} min.",
        "Fields were chosen at random by an investigator unaware of the treatment.",
        "Exposure times were {code} ms for each channel.",
        "Maximum projections of {n2} optical sections are shown.",
        "Slides were scanned at {obj}× and analysed with custom software.",
    ),
    "gel": (
        "Equal amounts of protein ({dose} μg) were loaded and β-actin served as the control.",
        "Products of {code} bp were amplified with {n2} cycles of PCR.",
        "Membranes were blocked in 5% milk for {n} h at room temperature.",
        "Proteins were separated on a {n2}% SDS–PAGE gel at {kv} V.",
        "The antibody against p{code2} was used at 1:{code}.",
        "Signals were detected by enhanced chemiluminescence.",
        "Lysates were prepared {n2} h after transfection with siRNA.",
        "Densitometry was normalised to the loading control.",
        "DNA was digested with <italic>Eco</italic>RI and <italic>Hin</italic>dIII for {n} h.",
    ),
    "chart": (
        "The model was adjusted for age, sex and body mass index (kg/m<sup>2</sup>).",
        "The hazard ratio was {digit}.{code2} (95% CI {digit}.{digit}–{n}.{code2}; log-rank test).",
        "Concentrations are given in μmol l<sup>−1</sup>.",
        "Measurements were taken every {n2} min over {n} h.",
        "Expression was measured by qPCR and is relative to <italic>GAPDH</italic>.",
        "The analysis used R version {digit}.{digit} and <italic>χ</italic><sup>2</sup> tests.",
        "A total of {code} participants were followed for {n2} months.",
        "<italic>R</italic><sup>2</sup> = 0.{code2}, <italic>P</italic> &lt; 0.001.",
        "Units are arbitrary and were normalised to day {digit}.",
        "Doses ranged from {digit} to {code} mg/kg.",
    ),
    "diagram": (
        "The protocol follows the CONSORT statement of {year}.",
        "In all, {code} records were screened and {code2} were excluded.",
        "Each stage took {n2} days on average.",
        "Details of every stage are given in the Methods.",
        "The procedure was registered in PROSPERO (CRD{code}).",
        "Participants could withdraw at any time.",
        "Arrows show the order of events.",
        "The pipeline was run with {n} replicates and {code2} GB of memory.",
    ),
}


def invent_prose(rng: random.Random, family: str) -> list[str]:
    """Every sentence that fits the family, in random order, the family's own ones first."""
    own, general = list(BY_FAMILY[family]), list(GENERAL)
    rng.shuffle(own)
    rng.shuffle(general)
    mixed = own[:3] + rng.sample(own[3:] + general, len(own) - 3 + len(general))
    return [sentence.format(**_figures(rng)) for sentence in mixed]


def _figures(rng: random.Random) -> dict[str, int]:
    return {
        "n": rng.randint(3, 9),
        "n2": rng.randint(10, 48),
        "digit": rng.randint(1, 9),
        "code": rng.randint(100, 1900),
        "code2": rng.randint(51, 99),
        "dose": rng.choice((10, 20, 30, 50, 80, 100)),
        "year": rng.randint(2009, 2016),
        "year2": rng.randint(2017, 2026),
        "age": rng.randint(19, 84),
        "tesla": rng.choice((1, 3, 7)),
        "slices": rng.choice((16, 64, 128, 320)),
        "matrix": rng.choice((256, 320, 384, 512)),
        "kv": rng.choice((80, 100, 120, 140)),
        "obj": rng.choice((10, 20, 40, 63)),
    }
