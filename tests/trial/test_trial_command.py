"""What the command refuses before it trains, in which order."""

import pytest

from bench.core import has_addons
from bench.trial import __main__ as command
from tests.commands.here import call
from tests.models.hub import WITHOUT_HUB


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param(
            ("model.architecture=keras_hub", "model.output_stride=32"),
            "model.architecture 'keras_hub' comes from KerasHub",
            marks=WITHOUT_HUB,
        ),
        pytest.param(
            ("train.optimizer=novograd",),
            "'novograd' comes from tensorflow-addons",
            marks=pytest.mark.skipif(has_addons(), reason="tensorflow-addons is installed"),
        ),
        (("train.learning_rate=0.1",), "holds a trial already"),
    ],
)
def test_packages_are_missed_before_the_folder_is_looked_at(settings, told, tmp_path, monkeypatch, capsys):
    """`bench.revisions.refusal` asks by a folder that holds a trial: what comes later, it does not see."""
    monkeypatch.setattr(command, "prepare_process", lambda: None)
    (tmp_path / "record.json").touch()
    options = [part for setting in settings for part in ("--set", setting)]
    status, _, error = call(command.main, *options, "--out", tmp_path, cwd=tmp_path, patch=monkeypatch, capsys=capsys)
    assert status == 2
    assert error.count("\n") == 1
    assert told in error
