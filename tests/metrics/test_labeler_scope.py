"""What a denial, a doubt, a heading or a line break reaches: sentences with the right states of every condition."""

from __future__ import annotations

import pytest

from fedmrg_core.metrics.labeler import label
from fedmrg_core.types import CONDITIONS, LabelState

P, N, U = LabelState.POSITIVE, LabelState.NEGATIVE, LabelState.UNCERTAIN

ECM, CMG, OPA, LES, EDE, CON, PNA, ATE, PTX, EFF, _, FRX, DEV, _ = CONDITIONS

SENTENCES = [
    ("- No pneumothorax\n- Small left pleural effusion", {PTX: N, EFF: P}),
    ("- No pneumothorax - Small left pleural effusion", {PTX: N, EFF: P}),
    ("* No pneumothorax * Small left pleural effusion", {PTX: N, EFF: P}),
    ("1. No pneumothorax 2. Small left pleural effusion", {PTX: N, EFF: P}),
    ("1) No pneumothorax\n2) Small left pleural effusion", {PTX: N, EFF: P}),
    ("1) No pneumothorax 2) Small left pleural effusion", {PTX: N, EFF: P}),
    ("\u2022 No pneumothorax \u2022 Small left pleural effusion", {PTX: N, EFF: P}),
    ("No pneumothorax\nSmall left pleural effusion", {PTX: N, EFF: P}),
    ("No pneumothorax Small left pleural effusion", {PTX: N, EFF: P}),
    ("No evidence of\npneumothorax or effusion", {PTX: N, EFF: N}),
    ("No evidence of\nPneumothorax", {PTX: N}),
    ("HISTORY: pneumonia\nFINDINGS: Lungs are clear", {}),
    ("HISTORY: pneumonia FINDINGS: Lungs are clear", {}),
    ("History: pneumonia Findings: Small effusion", {EFF: P}),
    ("INDICATION: Pneumonia, chest tube\nCHEST RADIOGRAPH: Small effusion", {EFF: P}),
    ("FINDINGS AND IMPRESSION: Small effusion.", {EFF: P}),
    ("FINDINGS/IMPRESSION: Small effusion.", {EFF: P}),
    ("Pleural effusion: No", {EFF: N}),
    ("Pneumothorax: none.", {PTX: N}),
    ("Pneumothorax: absent", {PTX: N}),
    ("Pneumothorax: not seen", {PTX: N}),
    ("Pneumothorax: none seen", {PTX: N}),
    ("Pneumothorax - no.", {PTX: N}),
    ("Pneumothorax? No.", {PTX: N}),
    ("Pneumothorax: no, pleural effusion: small", {PTX: N, EFF: P}),
    ("Pneumothorax: No Pleural effusion: Small", {PTX: N, EFF: P}),
    ("PNEUMOTHORAX: None EFFUSION: Small", {PTX: N, EFF: P}),
    ("Pleural effusion: small. Pneumothorax: none.", {PTX: N, EFF: P}),
    ("Pneumothorax: No change.", {PTX: P}),
    ("Pneumonia: possible.", {PNA: U}),
    ("Pneumonia: unlikely.", {PNA: N}),
    ("Cardiomegaly: Yes.", {CMG: P}),
    ("Lines and tubes: None.", {DEV: N}),
    ("Pneumothorax isn't seen.", {PTX: N}),
    ("Pneumothorax isn\u2019t seen.", {PTX: N}),
    ("No pneumothorax or effusion's seen.", {PTX: N, EFF: N}),
    ("There aren't any effusions.", {EFF: N}),
    ("Doesn't show pneumonia.", {PNA: N}),
    ("We can't see a pneumothorax.", {PTX: N}),
    ("Pneumothorax can't be seen.", {PTX: N}),
    ("Pneumothorax has not been identified.", {PTX: N}),
    ("The pneumothorax has not resolved.", {PTX: P}),
    ("The pneumothorax hasn't resolved.", {PTX: P}),
    ("The effusion has not completely cleared.", {EFF: P}),
    ("Pneumothorax has failed to resolve.", {PTX: P}),
    ("The effusion has nearly completely resolved.", {EFF: P}),
    ("No improvement in the right lower lobe consolidation.", {CON: P}),
    ("No significant interval change in bilateral effusions.", {EFF: P}),
    ("No resolution of the pneumothorax.", {PTX: P}),
    ("Without improvement in the effusion.", {EFF: P}),
    ("The opacity is not improved.", {OPA: P}),
    ("The edema is no better.", {EDE: P}),
    ("The pneumothorax is no larger.", {PTX: P}),
    ("The chest tube has not been removed.", {DEV: P}),
    ("No interval increase in the effusion.", {EFF: P}),
    ("No enlargement of the heart.", {CMG: N}),
    ("No progression of the edema.", {EDE: P}),
    ("No new consolidation.", {CON: N}),
    ("No pneumothorax, small left effusion.", {PTX: N, EFF: P}),
    ("No pneumothorax, a small left effusion.", {PTX: N, EFF: P}),
    ("No pneumothorax \u2013 small left effusion.", {PTX: N, EFF: P}),
    ("No pneumothorax\u2014small left effusion.", {PTX: N, EFF: P}),
    ("No pneumothorax - left effusion.", {PTX: N, EFF: P}),
    ("No pneumothorax and mild cardiomegaly.", {CMG: P, PTX: N}),
    ("No pneumothorax, stable cardiomegaly.", {CMG: P, PTX: N}),
    ("No pneumothorax, mild left basilar atelectasis or scarring.", {ATE: U, PTX: N}),
    ("No consolidation, large effusion, or pneumothorax.", {CON: N, PTX: N, EFF: N}),
    ("No pneumothorax, effusion persists.", {PTX: N, EFF: P}),
    ("No effusion, left or right.", {EFF: N}),
    ("No pneumothorax, left effusion.", {PTX: N, EFF: P}),
    ("No pneumothorax, the heart is enlarged.", {CMG: P, PTX: N}),
    ("Negative for effusion, positive for pneumothorax.", {PTX: P, EFF: N}),
    ("Pneumonia can't be ruled out.", {PNA: U}),
    ("Pneumonia cannot be excluded.", {PNA: U}),
    ("Can't exclude pneumonia.", {PNA: U}),
    ("Pneumonia couldn't be ruled out.", {PNA: U}),
    ("Pneumonia hasn't been excluded.", {PNA: U}),
    ("?pneumonia in the left base.", {PNA: U}),
    ("? pneumonia", {PNA: U}),
    ("Pneumonia?", {PNA: U}),
    ("Left base opacity, ?consolidation.", {OPA: P, CON: U}),
    ("+/- small effusion", {EFF: U}),
    ("HEART: Mildly enlarged.", {CMG: P}),
    ("HEART: Normal.", {CMG: N}),
    ("Heart: Mildly enlarged. Lungs: Clear. Pleura: No effusion.", {CMG: P, EFF: N}),
    ("LUNGS: Clear HEART: Mildly enlarged BONES: Intact", {CMG: P}),
    ("MEDIASTINUM: Widened.", {ECM: P}),
    ("CARDIAC SILHOUETTE: Enlarged.", {CMG: P}),
    ("HEART/MEDIASTINUM: Normal.", {ECM: N, CMG: N}),
    ("Mild pulmonary oedema.", {EDE: P}),
    ("Pleural tumour.", {LES: P}),
    ("Haemopneumothorax on the right.", {PTX: P}),
    ("No pneumothorax is visualised.", {PTX: N}),
    ("ETT in good position.", {DEV: P}),
    ("NGT in the stomach. CVC tip in the SVC.", {DEV: P}),
    ("No PTX. No PNA.", {PNA: N, PTX: N}),
    ("Lungs clear w/o effusion.", {EFF: N}),
    ("Opacity c/w pneumonia.", {OPA: P, PNA: P}),
    ("No e/o effusion.", {EFF: N}),
    ("Findings s/p removal of chest tube.", {DEV: N}),
    ("Nil pneumothorax.", {PTX: N}),
    ("Pneumothorax is not definitely seen.", {PTX: U}),
    ("Small left effusion, pneumothorax not seen.", {PTX: N, EFF: P}),
    ("Effusion and pneumothorax are not seen.", {PTX: N, EFF: N}),
    ("Pneumothorax, effusion, and consolidation are absent.", {CON: N, PTX: N, EFF: N}),
    ("Evaluation for pneumothorax is limited.", {}),
    ("No pneumothorax. No effusion, consolidation: none.", {CON: N, PTX: N, EFF: N}),
    ("PLEURAL EFFUSION: None. CARDIOMEGALY: Mild.", {CMG: P, EFF: N}),
    ("no pneumothorax . small left pleural effusion .", {PTX: N, EFF: P}),
    ("NO PNEUMOTHORAX. SMALL LEFT PLEURAL EFFUSION.", {PTX: N, EFF: P}),
    ("FINDINGS: NO PNEUMOTHORAX. HEART: ENLARGED.", {CMG: P, PTX: N}),
    ("COMPARISON: Chest radiograph with effusion.\n\nFINDINGS:\nNo effusion.\n\nIMPRESSION:\n1. Normal.", {EFF: N}),
    ("The chest tube is in place. Comparison: Effusion.", {DEV: P}),
    ("EXAM: Chest. HISTORY: ?pneumonia. FINDINGS: Clear lungs.", {}),
    ("No rib fracture, healed clavicle fracture.", {FRX: P}),
    ("No pneumothorax, with small effusion.", {PTX: N, EFF: P}),
    ("No pneumothorax but effusion.", {PTX: N, EFF: P}),
    ("The consolidation hasn't cleared.", {CON: P}),
    ("The edema has not yet resolved.", {EDE: P}),
    ("No significant decrease in the pneumothorax.", {PTX: P}),
    ("No difference in the opacity.", {OPA: P}),
    ("Consolidation unchanged.", {CON: P}),
    ("Effusion - none.", {EFF: N}),
    ("Effusions: bilateral, small.", {EFF: P}),
    ("Consolidation: no evidence.", {CON: N}),
    ("Is there a pneumothorax? No", {PTX: N}),
    ("Pneumothorax=no", {PTX: N}),
    ("The picc's tip is in the SVC.", {DEV: P}),
    ("Tracheal tube in situ.", {DEV: P}),
    ("Intercostal drain in situ.", {DEV: P}),
    ("No hydropneumothorax, persistent effusion.", {PTX: N, EFF: P}),
    ("There isn't a pneumothorax, but there's an effusion.", {PTX: N, EFF: P}),
    ("No cardiomegaly, oedema or effusion.", {CMG: N, EDE: N, EFF: N}),
    ("The heart isn't enlarged.", {CMG: N}),
    ("Heart: not enlarged.", {CMG: N}),
    ("Lungs: No consolidation. Pleura: Small effusion. Bones: No fracture.", {CON: N, EFF: P, FRX: N}),
    ("Cardiac silhouette: Mildly enlarged", {CMG: P}),
    ("Cardiomegaly: no. Oedema: mild.", {CMG: N, EDE: P}),
    ("No focal consolidation, pneumothorax or large pleural effusion identified.", {CON: N, PTX: N, EFF: N}),
    ("No consolidation, effusion or pneumothorax is seen.", {CON: N, PTX: N, EFF: N}),
    ("No pneumothorax or effusion. Cardiomegaly, unchanged.", {CMG: P, PTX: N, EFF: N}),
    ("No evidence of pneumothorax, effusion or oedema.", {EDE: N, PTX: N, EFF: N}),
    ("Tubes: ETT, NGT.", {DEV: P}),
    ("Pneumothorax not excluded.", {PTX: U}),
    ("Pneumonia not entirely excluded.", {PNA: U}),
    ("Pneumonia is difficult to exclude.", {PNA: U}),
]  # fmt: skip


@pytest.mark.parametrize(("report", "expected"), SENTENCES)
def test_a_sentence_states_these_conditions_and_no_other(report: str, expected: dict[str, LabelState]) -> None:
    states = dict(zip(CONDITIONS, map(LabelState, label(report)), strict=True))
    found = {name: state for name, state in states.items() if state and name != "No Finding"}
    assert found == expected


REPORTS = [
    "FINDINGS:\nThe heart is enlarged.\nNo pneumothorax.\n\nIMPRESSION:\nCardiomegaly.",
    "INDICATION: Pneumonia?\nCOMPARISON: Effusion on the prior film.\nFINDINGS: Small right effusion.",
    "- No pneumothorax\n- Small left pleural effusion\n- Heart is enlarged",
    "1. No pneumothorax\n2. Small left pleural effusion",
    "HEART: Mildly enlarged\nLUNGS: No consolidation\nPLEURA: Small effusion\nBONES: No fracture",
    "Pneumothorax: No\nPleural effusion: Small\nConsolidation: None",
    "No pneumothorax\nSmall left pleural effusion\nHeart is enlarged",
    "HISTORY: chest tube\nFINDINGS: Lungs are clear\nIMPRESSION: No acute disease",
    "There is no evidence of\nconsolidation, effusion or\npneumothorax. ETT in good\nposition.",
]


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_without_its_line_breaks_has_the_same_labels(report: str) -> None:
    assert any(label(report))
    assert label(" ".join(report.split())) == label(report)
    assert label(report.replace("\n", "\r\n")) == label(report)


def test_an_organ_heading_speaks_only_of_what_follows_it() -> None:
    states = dict(zip(CONDITIONS, label("HEART: The aorta is enlarged. LUNGS: Clear."), strict=True))
    assert states["Cardiomegaly"] == 0
