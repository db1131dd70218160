"""Code of the user's own: how it is found, hashed and kept, without importing it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.core import UsageError, own_code

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `minepkg` in the working directory, whose import would fail."""
    made = tmp_path / "here" / "minepkg"
    (made / "parts").mkdir(parents=True)
    (made / "__init__.py").write_text("raise SystemExit('imported')")
    (made / "losses.py").write_text("class Mine: ...")
    (made / "parts" / "table.csv").write_text("1,2\n")
    monkeypatch.chdir(made.parent)
    monkeypatch.setattr(own_code, "_finder", own_code._OwnFinder())  # that of this process may hold other folders
    return made


def digest(text="minepkg.losses:Mine"):
    return own_code.source(text).digest


def test_every_file_of_the_package_is_hashed_wherever_it_lies(package, tmp_path, monkeypatch):
    first = digest()
    assert first == digest("minepkg:Other"), "the hash is that of the package"
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "losses.cpython-311.pyc").write_bytes(b"compiled")
    (package / ".notes").write_text("hidden")
    (package.parent / "beside.py").write_text("no part of it")
    assert digest() == first
    shutil.copytree(package.parent, tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    assert digest() == first
    Path("minepkg/parts/table.csv").write_text("1,3\n")
    changed = digest()
    Path("minepkg/parts/table.csv").rename("minepkg/parts/other.csv")
    assert len({first, changed, digest()}) == 3


def test_a_module_alone_is_hashed_alone(package):
    Path("single.py").write_text("x = 1")
    found = own_code.source("single:x")
    assert (found.top, [path.name for path in found.files]) == ("single", ["single.py"])


def test_an_installed_distribution_is_hashed_by_its_version(tmp_path):
    found = own_code.source("yaml.loader:SafeLoader")
    assert (found.version, found.files) == (f"PyYAML {yaml.__version__}", ())
    own_code.keep("yaml.loader:SafeLoader", found.digest, tmp_path)
    assert own_code.kept([found.digest], tmp_path) == []


def test_a_kept_copy_has_the_hash_and_what_changed_since_is_refused(package, tmp_path):
    planned = digest()
    own_code.keep("minepkg.losses:Mine", planned, tmp_path / "code")
    (package / "losses.py").write_text("class Mine: changed = True")
    (place,) = own_code.kept([planned, "0" * 12], tmp_path / "code")
    assert own_code.source("minepkg.losses:Mine", [place]).digest == planned
    with pytest.raises(UsageError, match=f"its code has the hash {digest()}, planned was {planned}: start a new run"):
        own_code.verify({"minepkg.losses:Mine": planned})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mypkg.losses:", "expected package.module:Class"),
        ("my-pkg:Mine", "expected package.module:Class"),
        ("a:b:c", "expected package.module:Class"),
        ("models.net:Net", "the suite has a package 'models' of its own; give yours another name"),
        ("bench:Net", "the suite has a package 'bench'"),
        ("random:Net", "Python has a module 'random' of its own"),
        ("no_such_package:Net", "no module 'no_such_package' in .*here, on PYTHONPATH or among installed packages"),
        ("minepkg.loses:Mine", "'minepkg' has no module 'loses'; did you mean 'losses'?"),
        ("minepkg.losses.more:Mine", "'minepkg.losses' has no module 'more'"),
    ],
)
def test_a_reference_that_leads_nowhere_is_one_line(package, text, message):
    with pytest.raises(ValueError, match=message) as error:
        own_code.source(text)
    assert "\n" not in str(error.value)
    assert text in str(error.value)


def test_a_package_too_large_to_be_kept_is_refused(package, monkeypatch):
    monkeypatch.setattr(own_code, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="move all but the code elsewhere"):
        digest()


def test_the_users_package_is_imported_and_not_one_of_the_same_name(tmp_path):
    """In a process that has neither on its path of imports at first; a package `models` of theirs stays out."""
    for name in ("here/minepkg", "here/models", "elsewhere/minepkg"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text(f"place = {name!r}")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from bench.core import own_code;"
        "own_code.make_importable(['minepkg:place']); import minepkg, models; print(minepkg.place, models.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path / "elsewhere")], cwd=tmp_path / "here",
        env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["here/minepkg", str(PROJECT / "models" / "__init__.py")]
