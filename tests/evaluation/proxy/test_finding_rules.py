"""The rules' readings, judged by a table that was typed by hand."""

import numpy as np
import pytest

from figclip.evaluation.proxy.findings import (
    BLANK,
    FINDINGS,
    NEGATIVE,
    POSITIVE,
    UNCERTAIN,
    positive,
)
from figclip.evaluation.proxy.rules import PHRASES, Rules

WORDS = {"+": POSITIVE, "-": NEGATIVE, "?": UNCERTAIN}

TABLE: list[tuple[str, dict[str, str]]] = [
    ("Chest X-ray showing cardiomegaly.", {"Cardiomegaly": "+"}),
    ("The heart is enlarged.", {"Cardiomegaly": "+"}),
    ("The heart is normal in size.", {"Cardiomegaly": "-"}),
    ("Heart size within normal limits.", {"Cardiomegaly": "-"}),
    ("The cardiac silhouette is not enlarged.", {"Cardiomegaly": "-"}),
    ("Mildly enlarged cardiac silhouette.", {"Cardiomegaly": "+"}),
    ("Enlargement of the heart is suspected.", {"Cardiomegaly": "?"}),
    ("Widened mediastinum after trauma.", {"Enlarged Cardiomediastinum": "+"}),
    ("No mediastinal widening.", {"Enlarged Cardiomediastinum": "-"}),
    ("The cardiomediastinal silhouette is unremarkable.", {"Enlarged Cardiomediastinum": "-"}),
    ("Bilateral patchy opacities.", {"Lung Opacity": "+"}),
    ("Ground-glass changes of both lungs.", {"Lung Opacity": "+"}),
    ("Opacification of the left hemithorax has resolved.", {"Lung Opacity": "-"}),
    ("Pulmonary infiltrates were not seen.", {"Lung Opacity": "-"}),
    ("A 2.5 cm nodule in the right upper lobe.", {"Lung Lesion": "+"}),
    ("CT excludes a pulmonary mass.", {"Lung Lesion": "-"}),
    ("The tumor causes a mass effect.", {}),
    ("Lesion (arrow) of the left lung.", {}),
    ("Pulmonary edema with Kerley B lines.", {"Edema": "+"}),
    ("Radiograph without vascular congestion or edema.", {"Edema": "-"}),
    ("Findings suggestive of pulmonary oedema.", {"Edema": "?"}),
    ("Left lower lobe consolidation consistent with pneumonia.",
     {"Consolidation": "+", "Pneumonia": "+"}),
    ("Consolidation versus atelectasis.", {"Consolidation": "?", "Atelectasis": "?"}),
    ("Atelectasis vs. pneumonia at the right base.", {"Atelectasis": "?", "Pneumonia": "?"}),
    ("Pneumonia cannot be excluded.", {"Pneumonia": "?"}),
    ("Cannot exclude pneumonia.", {"Pneumonia": "?"}),
    ("This opacity may represent pneumonia.", {"Lung Opacity": "+", "Pneumonia": "?"}),
    ("Pneumonia was ruled out.", {"Pneumonia": "-"}),
    ("Radiograph to rule out pneumonia.", {"Pneumonia": "?"}),
    ("Collapse of the left lower lobe.", {"Atelectasis": "+"}),
    ("Bibasilar atelectasis.", {"Atelectasis": "+"}),
    ("No focal consolidation, effusion, or pneumothorax.",
     {"Consolidation": "-", "Pleural Effusion": "-", "Pneumothorax": "-"}),
    ("Large right pneumothorax; no effusion.", {"Pneumothorax": "+", "Pleural Effusion": "-"}),
    ("No pneumothorax is seen and the heart is enlarged.",
     {"Pneumothorax": "-", "Cardiomegaly": "+"}),
    ("No pneumothorax, but a small left pleural effusion.",
     {"Pneumothorax": "-", "Pleural Effusion": "+"}),
    ("A small effusion is seen and pneumothorax is absent.",
     {"Pleural Effusion": "+", "Pneumothorax": "-"}),
    ("Pneumothorax and effusion are absent.", {"Pneumothorax": "-", "Pleural Effusion": "-"}),
    ("There is no significant change in the left effusion.", {"Pleural Effusion": "+"}),
    ("Echocardiogram with pericardial effusion.", {}),
    ("Pleural effusion (?) on the right.", {"Pleural Effusion": "?"}),
    ("No effusion on day 1. Effusion on day 5.", {"Pleural Effusion": "+"}),
    ("Effusion possible on day 1. No effusion on day 5.", {"Pleural Effusion": "?"}),
    ("Calcified pleural plaques.", {"Pleural Other": "+"}),
    ("Neither pleural thickening nor fracture.", {"Pleural Other": "-", "Fracture": "-"}),
    ("Fractures of the third and fourth ribs.", {"Fracture": "+"}),
    ("Probable rib fracture with pneumothorax.", {"Fracture": "?", "Pneumothorax": "+"}),
    ("A bright metallic pacemaker is in place.", {"Support Devices": "+"}),
    ("Endotracheal tube and right subclavian line.", {"Support Devices": "+"}),
    ("The chest tube has been removed; pneumothorax has resolved.",
     {"Support Devices": "+", "Pneumothorax": "-"}),
    ("Free of support: no catheter, no drains.", {"Support Devices": "-"}),
    ("Kaplan–Meier survival curves of two groups.", {}),
    ("", {}),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "expected"), TABLE)
def test_a_sentence_is_read_as_a_person_reads_it(sentence: str, expected: dict[str, str]):
    (told,) = Rules().label([sentence])
    found = {name: code for name, code in zip(FINDINGS, told, strict=True) if code != BLANK}
    assert found == {name: WORDS[sign] for name, sign in expected.items()}


def test_the_table_has_sentences_for_every_finding_and_every_reading():
    assert len(TABLE) >= 40
    seen = {(name, sign) for _, expected in TABLE for name, sign in expected.items()}
    assert {name for name, sign in seen if sign == "+"} == {*FINDINGS} == {*PHRASES}
    assert {sign for _, sign in seen} == {*WORDS}


def test_of_all_readings_only_positive_counts():
    told = np.array([[BLANK, POSITIVE, NEGATIVE, UNCERTAIN] + [BLANK] * 9])
    assert positive(told).tolist() == [[False, True] + [False] * 11]


def test_texts_are_read_each_for_itself_and_in_order():
    texts = [sentence for sentence, _ in TABLE]
    together = Rules().label(texts)
    assert together.shape == (len(TABLE), 13)
    for row, sentence in zip(together, texts, strict=True):
        np.testing.assert_array_equal(row, Rules().label([sentence])[0])
    assert Rules().label([]).shape == (0, 13)
