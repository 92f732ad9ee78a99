"""`model.views = 2`: a lateral film beside the frontal one, where the data says which film that is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from trees import Tree, chexpert_plus, own_folder

from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.catalogue import open_data_set
from fedmrg_core.data.views import with_lateral
from fedmrg_core.errors import DataError
from fedmrg_core.models.relevance import finding_relevance
from tests.toy import Run, toy_spec


def _manifest(root):
    """Twelve studies, grey level = row number; every other one has a lateral film, 100 lighter."""
    own_folder(root, "report,lateral", [f"Clear lungs {at}.,{f'side{at}.png' * (at % 2)}" for at in range(12)])
    for at in range(1, 12, 2):
        Image.fromarray(np.full((20, 20), 100 + at, np.uint8)).save(root / f"side{at}.png")
    return root


def test_films_of_a_manifest_come_in_pairs(tmp_path, change):
    data, cache = change(path=str(_manifest(tmp_path / "data")), deal=1), tmp_path / "cache"
    one, two = (prepare(data, "manifest", 0, 8, cache, None, False, views) for views in (1, 2))
    films = two.images(np.arange(12))
    assert films.shape == (12, 2, 8, 8)
    levels = sorted((int(pair[0, 4, 4]), int(pair[1, 4, 4])) for pair in films)
    assert levels == [(at, 100 + at) if at % 2 else (at, at) for at in range(12)]
    assert np.array_equal(two.frontal(np.arange(12)), one.images(np.arange(12)))
    assert two.left_out == {**one.left_out, "frontal_twice": 6}
    assert one.data_sha256 != two.data_sha256
    again = prepare(data, "manifest", 0, 8, cache, None, False, 2)
    assert again.directory == two.directory


def test_a_lateral_film_that_is_gone_or_changed_is_noticed(tmp_path, change):
    root, cache = _manifest(tmp_path / "data"), tmp_path / "cache"
    data = change(path=str(root), deal=1)
    first = prepare(data, "manifest", 0, 8, cache, None, False, 2)
    Image.fromarray(np.full((20, 20), 200, np.uint8)).save(root / "side3.png")
    assert prepare(data, "manifest", 0, 8, cache, None, False, 2).data_sha256 != first.data_sha256
    (root / "side3.png").unlink()
    with pytest.raises(DataError, match=r"manifest\.csv, row 5: image 'side3\.png' does not exist"):
        prepare(data, "manifest", 0, 8, cache, None, False, 2)


def test_a_lateral_path_cannot_leave_the_folder(tmp_path, change):
    root = own_folder(tmp_path / "data", "report,lateral", ["Clear.,../secret.png"] * 12)
    with pytest.raises(DataError, match=r"row 2: image path '\.\./secret\.png' leaves the data root"):
        open_data_set("manifest", change(path=str(root)), 0).studies()


def test_published_data_sets_know_their_lateral_films(tmp_path, change):
    mimic = Tree(tmp_path / "mimic")
    mimic.add(10000001, 50000001, ["PA", "LATERAL"])
    mimic.add(10000002, 50000002, ["AP", "LL"])
    mimic.add(10000003, 50000003, ["AP", "PA"])
    mimic.write()
    source = open_data_set("mimic_cxr", change(path=str(tmp_path / "mimic")), 0)
    with_lateral(source)
    assert [source.image(study, 8).shape for study in source.studies()] == [(2, 8, 8)] * 3
    keys = [source.image_key(study).split("+") for study in source.studies()]
    assert [first != second for first, second in keys] == [True, True, False]
    assert source.left_out["frontal_twice"] == 1
    (tmp_path / "chexpert").mkdir()
    chexpert_plus(tmp_path / "chexpert", 2)
    source = open_data_set("chexpert_plus", change(path=str(tmp_path / "chexpert")), 0)
    with_lateral(source)
    assert [path.endswith("view2_lateral.png") for path in source.lateral.values()] == [True]


def test_iu_xray_by_layout(tmp_path, change):
    reports = "uid,findings,impression\n1,Clear lungs.,\n2,Clear lungs again.,\n"
    views = "uid,filename,projection\n1,a.png,Lateral\n1,b.png,Frontal\n2,c.png,Frontal\n"
    (tmp_path / "images").mkdir()
    (tmp_path / "indiana_reports.csv").write_text(reports, "utf-8")
    (tmp_path / "indiana_projections.csv").write_text(views, "utf-8")
    source = open_data_set("iu_xray", change(path=str(tmp_path)), 0)
    assert [study.image.rsplit("/")[-1] for study in source.studies()] == ["b.png", "c.png"]
    assert {name: path.rsplit("/")[-1] for name, path in source.lateral.items()} == {"CXR1": "a.png"}


def test_data_of_one_view_says_so(tmp_path, change):
    with pytest.raises(DataError, match=r"phantom has one film per study; use views=1"):
        prepare(change(), "phantom/ci", 0, 8, tmp_path, None, False, 2)
    root = own_folder(tmp_path / "data", "report", [f"Clear lungs {at}." for at in range(12)])
    with pytest.raises(DataError, match=r"no study in .* known to be lateral"):
        prepare(change(path=str(root)), "manifest", 0, 8, tmp_path, None, False, 2)


def test_patches_of_both_views_reach_the_language_model(toy_cache):
    one = Run(toy_spec(toy_cache, "fedmrg")).worker.model.eval()
    two = Run(toy_spec(toy_cache, "fedmrg", "views=2")).worker.model.eval()
    two.load_state_dict(one.state_dict())
    films = torch.randint(0, 256, (3, 2, two.config.image_size, two.config.image_size), dtype=torch.uint8)
    with torch.no_grad():
        first, second = (one.encode(films[:, view]) for view in range(2))
        both, alone = two.encode(films), two.encode(films[:, 0])
        torch.testing.assert_close(both.patches, torch.cat([first.patches, second.patches], dim=1))
        torch.testing.assert_close(both.prefix, torch.cat([first.prefix, second.prefix], dim=1))
        torch.testing.assert_close(both.mean, (first.mean + second.mean) / 2)
        torch.testing.assert_close(alone.diagnosis, first.diagnosis)
    torch.testing.assert_close(finding_relevance(two, films[0, 0]), finding_relevance(one, films[0, 0]))
