"""Sentences of radiology reports whose labels never move by accident: each condition present, absent and uncertain, and
what a labeler gets wrong most easily (scope of a negation, lists, sides, headings, devices, history)."""

from __future__ import annotations

from fedmrg_core.metrics.labeler import label_many

SENTENCES = (
    "The mediastinum is widened.",
    "No mediastinal widening.",
    "The mediastinum may be widened.",
    "There is severe cardiomegaly.",
    "The heart is normal in size.",
    "Questionable cardiac enlargement.",
    "Hazy opacity in the left lower lung zone.",
    "No focal airspace opacity.",
    "Possible faint opacity in the right upper lobe.",
    "A large nodular lesion is present in the right mid lung zone.",
    "No pulmonary nodule or mass.",
    "A small pulmonary nodule cannot be excluded.",
    "Moderate interstitial pulmonary edema.",
    "No interstitial edema is seen.",
    "Findings may represent mild pulmonary edema.",
    "Dense consolidation of the left lower lobe.",
    "No focal consolidation.",
    "Consolidation in the right lung base cannot be excluded.",
    "Findings are consistent with pneumonia in the left lower lung zone.",
    "No evidence of pneumonia.",
    "Pneumonia is possible.",
    "Linear atelectasis at the left base.",
    "No atelectasis.",
    "Possible bibasilar atelectasis.",
    "Probable bibasilar atelectasis.",
    "Large right apical pneumothorax.",
    "No pneumothorax.",
    "Possible tiny pneumothorax.",
    "Small left pleural effusion.",
    "Negative for pleural effusion.",
    "There may be a trace left effusion.",
    "Apical pleural thickening.",
    "No pleural thickening.",
    "Possible pleural thickening.",
    "Acute fracture of the left seventh rib.",
    "No rib fracture.",
    "Possible nondisplaced rib fracture.",
    "Endotracheal tube ends above the carina.",
    "The right internal jugular catheter has been removed.",
    "Normal chest.",
    "No pneumothorax, but a small left effusion.",
    "No effusion, pneumothorax or focal consolidation.",
    "HEART: Not enlarged. LUNGS: Right upper lobe nodule. PLEURA: No effusion.",
    "Pneumothorax: None. Effusion: Small.",
    "INDICATION: Pneumonia, chest tube. FINDINGS: Small effusion.",
    "Resolution of the left effusion; no new opacity.",
    "",
)


def labels() -> dict[str, str]:
    """Sentence -> its 14 label states, one digit each."""
    return {
        said: "".join(map(str, map(int, states))) for said, states in zip(SENTENCES, label_many(SENTENCES), strict=True)
    }
