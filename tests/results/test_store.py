"""Records on disk: strictness, atomicity, errors that name the file, tables that lose nothing."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

import results
from results import record as schema
from results import table

ROOT = Path(__file__).parents[2]


DAY = {"feature": "time", "value": "day", "images": 1}


def make(**changes):
    base = {"trial": "dice-s0", "cell": "c", "label": "dice", "axes": {"loss": "dice"}, "seed": 0, "status": "ok"}
    base["dataset"] = {"name": "d", "version": "v", "class_names": ["a", "b"], "colors": [(0, 0, 0), (9, 9, 9)]}
    base["views"] = [{"images": 3, "miou": 0.5, "iou": [0.5, None], "loss": 1.5, "confusion": [[1, 2], [3, 4]]}]
    base["history"] = [{"epoch": 1, "step": 2, "images": 8, "val": {"miou": 0.25}}]
    return results.Record(**{**base, **changes})


def failed(**changes):
    error = {"kind": "Diverged", "message": "NaN at step 3"}
    return make(trial="dice-s1", seed=1, status="diverged", error=error, views=[], history=[], **changes)


def test_a_record_is_its_own_round_trip_and_strict_json(tmp_path):
    nan = float("nan")
    before = make(
        spec={"a": nan, "b": (1, np.float32(2))},
        views=[{"images": np.int64(3), "miou": np.float32(0.5), "iou": np.array([0.5, nan]), "loss": float("inf")}],
        started="2026-01-01T01:00:00+01:00",
    )
    path = results.write(tmp_path / "t", before)
    data = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"bare {name}"))
    assert results.read(path) == results.read(tmp_path / "t") == before
    assert data["spec"] == {"a": None, "b": [1, 2.0]}
    assert data["views"][0]["iou"] == [0.5, None]
    assert data["views"][0]["loss"] is None
    assert data["started"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": "red"},
        {"status": "fine"},
        {"error": {"kind": "E", "message": "yet ok"}},
        {"views": [{"images": 1, "iou": [0.5], "confusion": [[1, 2], [3, 4]]}]},
        {"views": [{"images": 1, "confusion": [[1, 2], [3]]}]},
        {"views": [{"images": 1}, {"images": 1}]},
        {"views": [{"images": 1, "confusion": [[1, 2], [3, 4]], "slices": [{**DAY, "confusion": [[1, 2]]}]}]},
        {"views": [{"images": 1, "confusion": [[1, 2], [3, 4]], "slices": [{**DAY, "confusion": [[1, 2], [3]]}]}]},
        {"artefacts": [{"kind": "log", "path": "../x", "sha256": "0" * 64}]},
        {"artefacts": [{"kind": "log", "path": "/x", "sha256": "0" * 64}]},
        {"started": "2026-01-01T00:00:00"},
        {"schema_version": 10},
        {"scoring": 0},
        {"seed": -1},
        {"seed": 2**63},
        {"views": [{"images": 1, "miou": 57.3}]},
        {"views": [{"images": 1, "iou": [0.5, 57.3]}]},
        {"views": [{"images": 1, "boundary_iou": -0.1}]},
    ],
)
def test_what_the_schema_does_not_know_is_refused(changes):
    with pytest.raises(ValidationError):
        make(**changes)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "cut off"),
        (lambda text: "", "cut off"),
        (lambda text: "[1, 2]", "object is expected, found list"),
        (lambda text: text.replace('"miou": 0.5', '"miou": NaN'), "NaN is not JSON"),
        (lambda text: text.replace('"seed": 0', '"seed": "x"'), "seed: "),
        (lambda text: text.replace('"schema_version": 9', '"schema_version": 99'), "version 99 is newer"),
        (lambda text: text.replace('"schema_version": 9', '"schema_version": 0'), "version 0 is not known"),
        (lambda text: text.replace('"schema_version": 9', '"version": 2'), "no schema_version"),
    ],
)
def test_a_damaged_record_is_refused_in_one_line_that_names_it(tmp_path, damage, reason):
    path = results.write(tmp_path, make())
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=reason) as caught:
        results.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).count(str(path)) == 1
    assert "\n" not in str(caught.value)


def test_old_records_climb_the_migrations(tmp_path, monkeypatch):
    monkeypatch.setitem(schema.MIGRATIONS, 0, lambda old: {**old, "schema_version": 1, "label": old["label"].upper()})
    path = results.write(tmp_path, make())
    path.write_text(path.read_text().replace('"schema_version": 9', '"schema_version": 0'))
    assert results.read(path).label == "DICE"


@pytest.mark.parametrize("version", range(1, results.SCHEMA_VERSION))
def test_a_real_record_of_every_earlier_version_is_read_whole(tmp_path, version):
    old = json.loads((Path(__file__).parent / "records" / f"v{version}.json").read_text())
    assert old["schema_version"] == version
    record = results.read(Path(__file__).parent / "records" / f"v{version}.json")
    assert record.schema_version == results.SCHEMA_VERSION
    # Until version 4 a record does not say beside what its speed was measured.
    comparable = version > 4 and old["throughput"]["comparable"]
    reason = old["throughput"]["reason"] or (None if comparable else schema.UNKNOWN_STATE)
    assert (record.throughput.comparable, record.throughput.reason) == (comparable, reason)
    # Nothing else of it is lost: what is there now holds every value that was there then.
    new = record.model_dump(mode="json")
    new["throughput"] |= {name: old["throughput"][name] for name in ("comparable", "reason")}

    def holds(new, old):
        if isinstance(old, dict):
            return all(name in new and holds(new[name], value) for name, value in old.items())
        return len(new) == len(old) and all(map(holds, new, old)) if isinstance(old, list) else new == old

    assert holds(new, {**old, "schema_version": results.SCHEMA_VERSION})


def test_a_record_tells_by_which_rule_its_scores_were_made(tmp_path):
    folder = Path(__file__).parent / "records"
    assert {results.read(path).scoring for path in folder.glob("v[123].json")} == {1}
    assert results.read(results.write(tmp_path, make())).scoring == results.SCORING_VERSION == 2
    frame = results.trials(results.iterate([str(folder / "v3.json"), str(tmp_path)]))
    assert frame["scoring"].tolist() == [1, 2]


def test_death_between_write_and_rename_leaves_the_old_record(tmp_path):
    results.write(tmp_path, make())
    kill = (
        "import os, sys, results\n"
        "record = results.read(sys.argv[1])\n"
        "os.replace = lambda *names: os._exit(9)\n"
        "results.write(sys.argv[1], record.model_copy(update={'label': 'new'}))\n"
    )
    assert subprocess.run([sys.executable, "-c", kill, str(tmp_path)], cwd=ROOT, check=False).returncode == 9
    assert len(list(tmp_path.iterdir())) == 2, "the half-done file should lie beside the old one"
    assert results.read(tmp_path).label == "dice"
    assert len(results.load(tmp_path)) == 1


def test_a_failed_write_leaves_no_litter(tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *names: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        results.write(tmp_path, make())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    results.write(folder / "trials" / "dice-s0", make())
    results.write(folder / "trials" / "dice-s1", failed())
    return folder


def test_load_takes_every_kind_of_path(run):
    one = run / "trials" / "dice-s0"
    for path, rows in [
        (run, 2), (str(run), 2), (run / "trials", 2), (run.parent, 2), (one, 1), (one / "record.json", 1),
        (f"{run}/trials/*", 2), (f"{run}/trials/*/record.json", 2), ([one, run], 2),
    ]:  # fmt: skip
        assert len(results.load(path)) == rows, path


def test_load_says_what_is_not_there(run, tmp_path):
    with pytest.raises(ValueError, match=r"no such file or folder, nor a release; did you mean .*run\?"):
        results.load(tmp_path / "runn")
    with pytest.raises(ValueError, match="nothing matches"):
        results.load(f"{run}/x*")
    (tmp_path / "empty" / "trials").mkdir(parents=True)
    with pytest.raises(ValueError, match="there is no record of a trial"):
        results.load(tmp_path / "empty")


def test_failed_trials_are_rows_with_empty_metrics(run):
    frame = results.load(run).set_index("trial")
    assert frame.loc["dice-s0", ["miou", "loss_value", "loss", "status"]].tolist() == [0.5, 1.5, "dice", "ok"]
    row = frame.loc["dice-s1"]
    assert (row["status"], row["error"], row["split"], row["seed"]) == ("diverged", "NaN at step 3", "val", 1)
    assert np.isnan(row["miou"])
    assert pd.isna(row["best_epoch"])


def test_axes_never_shadow_a_column_and_mixed_types_are_written(run):
    results.write(run / "trials" / "x", make(trial="x", axes={"seed": 3, "rate": 0.1}))
    results.write(run / "trials" / "y", make(trial="y", axes={"seed": 3, "rate": "auto"}))
    results.write_tables(run)
    frame = pd.read_parquet(run / "tables" / "trials.parquet").set_index("trial")
    assert frame.loc["x", ["axis_seed", "rate"]].tolist() == [3, "0.1"]
    assert frame.loc["y", "rate"] == "auto"


@pytest.fixture
def large(tmp_path):
    """A folder of enough records that its table is kept beside them; a function that writes one of them."""

    def write(seed, miou):
        return results.write(
            tmp_path / f"t{seed}", make(trial=f"t{seed}", seed=seed, views=[{"images": 3, "miou": miou}])
        )

    for seed in range(table._WORTH_KEEPING):
        write(seed, seed / 1000)
    return tmp_path, write


def kept(folder):
    return [*(folder / ".cache").glob("*.parquet")]


def test_the_kept_table_of_a_large_folder_is_the_records_whatever_happens_to_them(large):
    folder, write = large
    first = results.load(folder)
    (file,) = kept(folder)
    made = file.stat().st_mtime_ns
    pd.testing.assert_frame_equal(results.load(folder), first)
    assert file.stat().st_mtime_ns == made, "read, not made again"
    write(7, 0.9)
    assert results.load(folder).set_index("seed")["miou"][7] == 0.9
    write(table._WORTH_KEEPING, 0.8)
    grown = results.load(folder)
    assert len(grown) == len(first) + 1
    (folder / "t7" / "record.json").unlink()
    assert 7 not in set(results.load(folder)["seed"])
    assert len(kept(folder)) == 1, "one table, not one for each state of the folder"
    pd.testing.assert_frame_equal(results.load(folder), table.trials(results.store.iterate(folder)))


def test_a_large_folder_that_cannot_be_written_is_read(large):
    folder, _ = large
    (folder / ".cache").write_text("not a folder")
    assert len(results.load(folder)) == table._WORTH_KEEPING


def test_a_small_folder_keeps_no_table(run):
    results.load(run)
    assert not (run / ".cache").exists()


def test_tables_equal_the_records(run):
    first = [path.read_bytes() for path in results.write_tables(run)]
    frame = pd.read_parquet(run / "tables" / "trials.parquet")
    pd.testing.assert_frame_equal(frame, results.load(run), check_dtype=False)
    pd.testing.assert_series_equal(pd.read_csv(run / "tables" / "trials.csv")["miou"], frame["miou"])
    history = pd.read_parquet(run / "tables" / "history.parquet")
    assert history[["trial", "epoch", "val_miou"]].to_numpy().tolist() == [["dice-s0", 1, 0.25]]
    classes = pd.read_csv(run / "tables" / "classes.csv")
    assert classes["class_name"].tolist() == ["a", "b"]
    assert classes["pixels"].tolist() == [3, 7]
    assert classes["iou"].iloc[0] == 0.5
    assert np.isnan(classes["iou"].iloc[1])
    assert first == [path.read_bytes() for path in results.write_tables(run)]


def test_artefacts_are_checked(tmp_path):
    (tmp_path / "log.txt").write_text("abc")
    log = results.artefact(tmp_path, tmp_path / "log.txt", "log", {"n": 1})
    assert log.path == "log.txt"
    assert log.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    stored = results.Stored(tmp_path, make())
    assert results.artefact_path(stored, log) == tmp_path / "log.txt"
    (tmp_path / "log.txt").write_text("abd")
    with pytest.raises(ValueError, match=r"log.txt: .*dice-s0"):
        results.artefact_path(stored, log)
    (tmp_path / "log.txt").unlink()
    with pytest.raises(ValueError, match="missing"):
        results.artefact_path(stored, log)


def test_one_unreadable_record_hides_no_other(run):
    (run / "trials" / "dice-s1" / "record.json").write_text("{")
    read = results.read_run(run)
    assert [one.record.trial for one in read.trials] == ["dice-s0"]
    assert len(read.problems) == 1
    with pytest.raises(ValueError, match="dice-s1"):
        results.load(run)


def test_a_copy_of_a_trial_is_no_further_trial(run):
    shutil.copytree(run / "trials" / "dice-s0", run / "trials" / "dice-s0 (copy)")
    read = results.read_run(run)
    assert [one.record.trial for one in read.trials] == ["dice-s0", "dice-s1"]
    assert "a copy of the trial dice-s0, which is there too; remove " in read.problems[0]
    with pytest.raises(ValueError, match="a copy of the trial dice-s0"):
        results.load(run)
    assert results.read(run / "trials" / "dice-s0 (copy)").trial == "dice-s0"  # by itself it is a record as any


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ("", "not JSON, or cut off"),
        ('{"cells": null}', "cells: must be a list; restore the file"),
        ('{"cells": {"c": {}}}', "cells: must be a list"),
        ('{"cells": [{"label": "dice"}]}', "cells.0.cell: is missing"),
        ('{"cells": [{"cell": "c", "label": null}]}', "cells.0.label: must be text"),
        ('{"cells": [{"cell": "c", "seeds": 3}]}', "cells.0.seeds: must be a list"),
        ('{"cells": [{"cell": "c", "seeds": ["0"]}]}', "cells.0.seeds.0: must be a whole number"),
        ('{"runs": null}', "runs: must be a list"),
        ('{"schema_version": 2}', "schema version 2 is newer than this software knows"),
    ],
)
def test_a_damaged_manifest_is_refused_in_one_line_that_names_it(run, manifest, reason):
    (run / "run.json").write_text(manifest)
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        results.read_run(run)
    assert str(caught.value).startswith(f"{run / 'run.json'}: ")
    assert "\n" not in str(caught.value)


def test_a_manifest_whose_link_is_broken_is_not_absent(run):
    (run / "run.json").unlink(missing_ok=True)
    assert results.read_manifest(run) == {}
    (run / "run.json").symlink_to("gone.json")
    with pytest.raises(ValueError, match="cannot be read"):
        results.read_manifest(run)


def test_neither_tensorflow_nor_ray_is_imported(run):
    code = (
        "import sys, results, reports\n"
        "assert not {'pandas', 'matplotlib', 'pydantic'} & set(sys.modules), 'import is not lazy'\n"
        "results.load(sys.argv[1]); reports.write(sys.argv[1])\n"
        "assert not {'tensorflow', 'keras', 'ray'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(run)], cwd=ROOT, check=True)


def test_the_table_of_slices_has_their_miou_and_is_written_where_there_are_some(tmp_path):
    results.write(tmp_path / "plain/trials/t", make())
    assert {path.stem for path in results.write_tables(tmp_path / "plain")} == {"trials", "history", "classes"}
    night = {**DAY, "value": "night", "images": 2, "confusion": [[0, 1], [0, 3]]}
    view = {"images": 3, "confusion": [[1, 2], [3, 4]], "slices": [{**DAY, "confusion": [[1, 1], [3, 1]]}, night]}
    results.write(tmp_path / "sliced/trials/t", make(views=[view]))
    written = results.write_tables(tmp_path / "sliced")
    (path,) = [path for path in written if path.name == "slices.csv"]
    frame = pd.read_csv(path)
    assert frame[["trial", "seed", "split", "feature"]].drop_duplicates().to_numpy().tolist() == [
        ["dice-s0", 0, "val", "time"]
    ]
    assert frame[["value", "images", "pixels"]].to_numpy().tolist() == [["day", 1, 6], ["night", 2, 4]]
    # day: 1 of 1 + 1 + 3, 1 of 1 + 1 + 3; night: 0 of 1, 3 of 3 + 1.
    assert frame["miou"].tolist() == pytest.approx([(1 / 5 + 1 / 5) / 2, (0 + 3 / 4) / 2])
