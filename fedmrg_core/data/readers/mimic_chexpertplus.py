"""MIMIC-CXR, CheXpert Plus and IU X-ray as one federation: a folder for each, named as the data set."""

from __future__ import annotations

from fedmrg_core.data.catalogue import data_set
from fedmrg_core.data.readers.composite import CompositeSource


@data_set(
    "mimic_chexpertplus",
    default_split="mimic_chexpertplus/iu_unseen",
    detect=lambda root: MimicChexpertPlus.detect(root),
    looked_for="the folders chexpert_plus/, iu_xray/ and mimic_cxr/",
    impressions=True,
)
class MimicChexpertPlus(CompositeSource):
    """Three hospitals, one per data set."""

    parts = ("chexpert_plus", "iu_xray", "mimic_cxr")
