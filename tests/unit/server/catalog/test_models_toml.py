"""models.toml is read strictly: an error names the key and what is allowed."""

import pytest

from server.catalog.models_toml import Policies, Policy, read
from server.errors import ArtifactError


def test_without_a_file_every_model_serves_its_newest(tmp_path):
    assert read(tmp_path, models=["m"]) == Policies()
    assert Policies().of("m") == Policy("newest", "", 0.0, ())


def test_every_key_is_read(tmp_path):
    text = 'default = "m"\n[models.m]\nstable = "3"\ncanary = "newest"\ncanary_weight = 0.05\nkeep = ["1", "2"]\n'
    (tmp_path / "models.toml").write_text(text)
    expected = Policies("m", {"m": Policy("3", "newest", 0.05, ("1", "2"))})
    assert read(tmp_path, models=["m", "n"]) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("models = 3", "models is 3; it must be tables such as [models.m]"),
        ("[models]\nm = 3", "models.m is 3; it must be a table"),
        ("[models.x]", "[models.x]: there is no such model; there are m"),
        (
            "[models.m]\npinned = '3'",
            "unknown key of [models.m] 'pinned'; allowed: stable, canary, canary_weight, keep",
        ),
        ("[models.m]\nstable = 3", 'models.m.stable is 3; it must be "newest" or a version such as "3"'),
        ("[models.m]\ncanary = 'v4'", 'models.m.canary is \'v4\'; it must be "newest" or a version such as "3"'),
        ("[models.m]\nstable = '3'\ncanary = '3'", "models.m.canary is '3', the stable one; it must be another"),
        ("[models.m]\ncanary = 'newest'", "models.m.canary is 'newest', the stable one; it must be another"),
        ("[models.m]\ncanary = '3'\ncanary_weight = 5", "models.m.canary_weight is 5; it must be 0..1"),
        ("[models.m]\ncanary = '3'\ncanary_weight = true", "models.m.canary_weight is True; it must be 0..1"),
        ("[models.m]\ncanary = '3'\ncanary_weight = nan", "models.m.canary_weight is nan; it must be 0..1"),
        ("[models.m]\ncanary_weight = 0.1", "models.m.canary_weight needs a canary"),
        ("[models.m]\nkeep = '1'", "models.m.keep is '1'; it must be a list of versions such as [\"1\"]"),
        ("[models.m]\nkeep = [1]", 'models.m.keep is 1; it must be a version such as "3"'),
    ],
)
def test_an_error_names_the_key_and_what_is_allowed(tmp_path, text, complaint):
    (tmp_path / "models.toml").write_text(text)
    with pytest.raises(ArtifactError) as refused:
        read(tmp_path, models=["m"])
    assert str(refused.value) == f"{tmp_path}/models.toml: {complaint}"
