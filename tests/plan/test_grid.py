"""Grids: the shipped ones resolve, values win in the stated order, and faults name file, path and nearest name."""

import re
from pathlib import Path

import pytest

import losses
from bench.core import UsageError
from bench.plan import grid

SEVEN = ["cross_entropy", "dice", "bce", "dice_bce", "focal", "tversky", "focal_tversky"]


def test_the_losses_grid_is_the_seven_for_good():
    resolved = grid.load("losses", preset="quick")
    assert [cell.label for cell in resolved.cells] == SEVEN
    assert [cell.axes for cell in resolved.cells] == [{"loss": name} for name in SEVEN]
    assert resolved.seeds == 3
    assert set(SEVEN) <= set(losses.names())


def test_a_preset_chooses_the_decoder_where_a_cell_has_one_and_says_nothing_of_it(tmp_path):
    """Those of other architectures, and those that name a part of the decoder, keep what they have."""
    text = """axes: {model: [
      {label: free, set: {}},
      {label: paper, set: {model.skip_strides: []}},
      {label: narrow, set: {model.low_level_channels: 64}},
      {label: older, set: {model.architecture: deeplabv3}},
      {label: theirs, set: {model.architecture: keras_cv, model.output_stride: 32}}]}"""
    path = tmp_path / "g.yaml"
    path.write_text(text)
    models = {cell.label: cell.spec.model for cell in grid.load(str(path), preset="quick").cells}
    assert {label: (model.skip_strides, model.low_level_channels) for label, model in models.items()} == {
        "free": ((8, 16), 256), "paper": ((), 48), "narrow": ((), 64), "older": ((), 48), "theirs": ((), 48)
    }  # fmt: skip
    one = grid.single([], "quick", "float32").model
    assert (one.skip_strides, one.low_level_channels) == ((8, 16), 256)
    assert grid.single(["model.skip_strides=[]"], "quick", "float32").model.low_level_channels == 48


@pytest.mark.parametrize("name", grid.names())
@pytest.mark.parametrize("preset", ["smoke", "quick", "full"])
def test_every_shipped_grid_resolves_into_different_cells(name, preset):
    cells = grid.load(name, preset=preset).cells
    # What is measured on other devices is another trial, though of the same cell.
    placed = [(cell.spec.placement.gpus, cell.spec.placement.hosts) for cell in cells]
    assert len({(cell.spec.cell, *devices) for cell, devices in zip(cells, placed, strict=True)}) == len(cells)
    assert len(cells) == 1 if name.startswith("recipes/") else len(cells) >= 2
    assert len({cell.trial(0)[0] for cell in cells}) == len(cells)


@pytest.mark.parametrize("name", grid.names())
def test_the_description_of_a_grid_is_true_of_a_part_of_it(name):
    """Reports have it as their title; --only and --seeds change how many there are."""
    number = r"\b(\d+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
    counted = rf"{number}( [\w-]+)? (cells?|seeds?|losses|heads|backbones|optimisers|replicas|hosts)\b"
    assert not re.search(counted, grid.load(name).description, re.IGNORECASE)


def _file(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_defaults_preset_base_set_and_axes_win_in_this_order(tmp_path):
    path = _file(
        tmp_path, "base: {train.steps_per_epoch: 7, train.epochs: 9}\naxes: {loss: [dice], train.batch_size: [4]}\n"
    )
    spec = grid.load(path, preset="quick", settings=["train.epochs=11"]).cells[0].spec
    assert spec.train.power == 0.9  # the spec's default
    assert spec.data.val_limit == 40  # the preset
    assert spec.train.steps_per_epoch == 7  # base over preset
    assert spec.train.epochs == 11  # --set over base
    assert spec.train.batch_size == 4  # the axis


def test_axes_multiply_and_only_keeps_a_part(tmp_path):
    path = _file(tmp_path, "axes: {loss: [dice, bce], head: [bilinear, subpixel]}\n")
    labels = [cell.label for cell in grid.load(path, preset="quick").cells]
    assert labels == ["dice bilinear", "dice subpixel", "bce bilinear", "bce subpixel"]
    kept = grid.load(path, preset="quick", only=["loss=bce"])
    assert [cell.label for cell in kept.cells] == labels[2:]


def test_named_bundles_set_several_fields():
    cells = {cell.label: cell.spec.train for cell in grid.load("optimizers", preset="quick").cells}
    assert (cells["sgd"].optimizer, cells["sgd"].learning_rate) == ("sgd", 0.05)
    assert (cells["lamb"].optimizer, cells["lamb"].learning_rate) == ("lamb", 0.005)


def test_auto_precision_is_resolved_before_the_cell_is_hashed():
    by_default = grid.load("smoke", precision="mixed_bfloat16").cells[0].spec
    by_hand = grid.load("smoke", settings=["train.precision=mixed_bfloat16"]).cells[0].spec
    assert by_default.train.precision == "mixed_bfloat16"
    assert by_default.cell == by_hand.cell != grid.load("smoke", precision="float32").cells[0].spec.cell


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("axes: {loss: [dice]}\nbasis: {}\n", "unknown key 'basis'; did you mean 'base'?"),
        ("axes: {los: [dice]}\n", "axes: unknown axis 'los'; did you mean 'loss'?"),
        ("axes: {loss: [dicee]}\n", "cell 'dicee': loss: unknown loss 'dicee'; did you mean 'dice'?"),
        (
            "axes: {loss: [dice]}\nbase: {train.epoch: 3}\n",
            "base: unknown field 'train.epoch'; did you mean 'train.epochs'?",
        ),
        ("axes: {loss: [dice]}\nbase: {train.epochs: many}\n", "train.epochs: must be a whole number"),
        ("axes: {loss: [dice, dice]}\n", "cells 'dice' and 'dice' are the same trial"),
        ("axes: {loss: dice}\n", "axes.loss: must be a list, got 'dice'"),
        (
            "seeds: 100001\naxes: {loss: [dice]}\n",
            "1 cell x 100001 seeds are more than 100000 trials; take fewer",
        ),
        ("seeds: 0\naxes: {loss: [dice]}\n", "seeds: must be at least 1, got 0"),
        ("- a\n", "a grid is a mapping with `axes`, got list"),
        ("axes: [\n", "not readable as YAML"),
        ("axes: {loss: []}\n", "axes.loss: is empty"),
        ("axes: {}\n", "axes: is empty"),
        ("seeds: true\naxes: {loss: [dice]}\n", "seeds: expected a number, not true"),
        ("axes: {loss: [dice]}\nbase: {train.learning_rate: .inf}\n", "learning_rate: must be a finite number"),
        ("axes: {loss: [dice]}\nbase: {train: {epoch: 3}}\n", "base: unknown field 'train.epoch'; did you mean 'tr"),
        ("axes: {loss: [dice]}\nsearch: {values: [true, 0.1]}\n", "search.values.0: expected a number, not true"),
        ("axes: {loss: [dice]}\nsearch: {values: [0.1, 0.1]}\n", "search: values: one is given twice"),
        ("axes: {loss: [dice]}\nsearch: {values: [-1, 0.1]}\n", "search: train.learning_rate: must be above 0, got -1"),
        (
            "axes: {train.learning_rate: [0.1, 0.2]}\nsearch: {values: [0.3, 0.4]}\n",
            "search: the axis train.learning_rate varies its field too; leave out one of the two",
        ),
        ('axes: {x: [{label: "a\\nb", set: {train.epochs: 2}}]}\n', "axes.x.0: label 'a\\nb' is no name in one line"),
        (
            "axes: {x: [{label: a, set: {train: {epochs: 2}}}], train.epochs: [3, 4]}\n",
            "axes x and train.epochs both set train.epochs; leave it to one",
        ),
        ("base: {train.epochs: 8}\naxes: {loss: [dice]}\nbase: {data.crop: 64}\n", "key 'base' is given twice"),
        ("axes: {loss: [dice]}\nbase: {data.crop: 0320}\n", "YAML reads 0320 to the base of 8; write the number in"),
        (
            "axes: {optimizer: [{label: a, set: {train.epochs: 2}}], train.epochs: [3, 4]}\n",
            "axes optimizer and train.epochs both set train.epochs; leave it to one",
        ),
        ("description: x\n", "axes: is missing"),
        ("axis: {loss: [dice]}\n", "unknown key 'axis'; did you mean 'axes'?"),
        ("axes: {loss: [{label: a, loss.name: dice}]}\n", "axes.loss.0: unknown key 'loss.name'; give {label: ..."),
        (
            "axes: {loss: [{label: a, set: {loss.name: dice}}, {label: a, set: {loss.name: focal}}]}\n",
            "two cells have the label 'a'; give each its own",
        ),
        ("axes: {loss: [dice]}\nsearch: {}\n", "search: give either values or log"),
        (
            "axes: {loss: [dice]}\nsearch: {field: train.rate, values: [1]}\n",
            "unknown field 'train.rate'; did you mean 'train.",
        ),
    ],
)
def test_faults_in_a_file(tmp_path, text, message):
    path = _file(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        grid.load(path, preset="quick")
    assert str(caught.value).startswith(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_section_as_a_mapping_leaves_the_fields_that_it_does_not_name(tmp_path):
    plain = grid.load(_file(tmp_path, "axes: {loss: [dice]}\n"), preset="quick").cells[0].spec
    text = "base: {train.epochs: 7, train: {batch_size: 4}}\naxes: {loss: [dice]}\n"
    spec = grid.load(_file(tmp_path, text), preset="quick", settings=["data={crop: 96}"]).cells[0].spec
    assert spec.train == plain.train.model_copy(update={"epochs": 7, "batch_size": 4})
    assert spec.data == plain.data.model_copy(update={"crop": 96})


def test_a_long_label_still_names_a_folder(tmp_path):
    label = "a long name " * 40 + "here"
    text = f"axes: {{x: [{{label: '{label}', set: {{train.epochs: 2}}}}]}}\n"
    (cell,) = grid.load(_file(tmp_path, text), preset="quick").cells
    (tmp_path / f"{cell.trial(3)[0]}-batch8").mkdir()
    assert cell.label == label


def test_a_file_may_have_anchors_and_a_byte_order_mark(tmp_path):
    text = "base: &b {train.epochs: 2}\naxes: {loss: [dice, {label: long, set: {<<: *b, train.epochs: 3}}]}\n"
    path = tmp_path / "g.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert [cell.spec.train.epochs for cell in grid.load(str(path), preset="quick").cells] == [2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "losses", "settings": ["loss.params={alpha: 1, alpha: 2}"]}, "key 'alpha' is given twice"),
        ({"source": "loses"}, "unknown grid 'loses'; did you mean 'losses'?"),
        ({"source": "absent.yaml"}, "grid file absent.yaml does not exist"),
        ({"source": "losses", "preset": "quik"}, "unknown preset 'quik'; did you mean 'quick'?"),
        ({"source": "losses", "settings": ["loss.name=dice"]}, "--set loss.name: the grid varies this field"),
        ({"source": "losses", "settings": ["train.epoch=3"]}, "--set: unknown field 'train.epoch'; did you mean"),
        ({"source": "losses", "settings": ["train.epochs"]}, "expected field=value"),
        (
            {"source": "heads", "settings": ["loss=dice"]},
            "--set: loss is a section; set one of its fields, e.g. loss.name",
        ),
        ({"source": "heads", "settings": ["loss.params=", "loss.params.gamma=2"]}, "'params' was set to None"),
        (
            {"source": "losses", "settings": ["seed=7"]},
            "--set: seed: the seeds are 0, 1, ...; --seeds sets their number",
        ),
        ({"source": "losses", "settings": ["placement.cpus=1"]}, "--set: placement.cpus: a trial gets its share"),
        ({"source": "losses", "only": ["loss=dise"]}, "loss has no 'dise'; did you mean 'dice'?"),
        ({"source": "losses", "only": ["head=bilinear"]}, "expected axis=value"),
    ],
)
def test_faults_in_options(options, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        grid.load(**options)


def test_all_losses_are_those_that_train_alone():
    cells = grid.load("losses-all").cells
    assert [cell.spec.loss.name for cell in cells] == list(losses.names_alone())
    assert "boundary" in set(losses.names()) - set(losses.names_alone())
    assert len(cells) >= 35


def test_the_core_holds_the_first_seven_and_its_calibrated_twin_differs_in_that_alone():
    core, calibrated, first = (grid.load(name).cells for name in ("losses-core", "losses-calibrated", "losses"))
    assert len(core) == 12
    assert {cell.spec.loss.name for cell in first} <= {cell.spec.loss.name for cell in core}
    for plain, twin in zip(core, calibrated, strict=True):
        assert twin.spec == plain.spec.model_copy(
            update={"loss": plain.spec.loss.model_copy(update={"calibrated": True})}
        )


def test_a_search_has_the_same_candidates_for_every_cell(tmp_path):
    path = _file(tmp_path, "axes: {loss: [dice]}\nsearch: {log: [1.0e-4, 1.0e-2, 5]}\n")
    assert grid.load(path, preset="quick").search.candidates == (1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2)
    assert grid.load("losses-tuned").search.field == "train.learning_rate"
    assert grid.load("losses").search is None


def test_the_scaling_grid_keeps_the_batch_of_a_replica_or_the_global_one():
    cells = {cell.label: cell.spec for cell in grid.load("scaling").cells}
    one = cells.pop("1")
    assert {label.split()[0] for label in cells} == {"weak", "strong"}
    for label, spec in cells.items():
        of_a_replica = spec.train.batch_size // spec.placement.gpus
        assert one.train.batch_size == (of_a_replica if "weak" in label else spec.train.batch_size)
        assert (spec.cell == one.cell) == ("strong" in label)  # what is learnt does not depend on the devices


def test_a_name_is_the_model_of_another_library(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("axes: {loss: [dice]}\nreferences: [keras_hub, {label: plain, set: {train.warmup: 0}}]\n")
    _, hub, plain = grid.load(str(path)).cells
    assert (hub.label, hub.spec.model.architecture, hub.spec.model.output_stride) == ("keras_hub", "keras_hub", 32)
    assert (plain.label, plain.spec.train.warmup) == ("plain", 0)
    path.write_text("axes: {loss: [dice]}\nreferences: [keras_hubs]\n")
    with pytest.raises(UsageError, match="references: unknown model 'keras_hubs' of another library; did you mean"):
        grid.load(str(path))


def test_references_are_no_part_of_the_combinations():
    heads = grid.load("heads")
    assert [cell.label for cell in heads.cells] == [
        "bilinear 16", "bilinear 32", "subpixel 16", "subpixel 32", "keras_cv"
    ]  # fmt: skip
    stock = heads.cells[-1]
    assert (stock.spec.model.architecture, stock.axes) == ("keras_cv", {"beside": "keras_cv"})
    assert stock.spec.train == heads.cells[0].spec.train
    assert "keras_cv" not in [cell.label for cell in grid.load("heads", only=["head=bilinear"]).cells]


def test_a_fault_of_a_reference_names_it(tmp_path):
    path = _file(tmp_path, "references: [{label: x, set: {model.hed: subpixel}}]\naxes: {loss: [dice]}\n")
    with pytest.raises(UsageError, match=r"references: .*model\.hed.*did you mean"):
        grid.load(path)


def test_a_fault_of_set_is_no_fault_of_the_file():
    with pytest.raises(UsageError, match=r"^--set: train.epochs: must be a whole number, got 'three'$"):
        grid.load("smoke", settings=["train.epochs=three"])


def test_the_old_name_of_references_is_read(tmp_path):
    text = "{key}: [{{label: subpixel, set: {{model.head: subpixel}}}}]\naxes: {{loss: [dice, bce]}}\n"
    named, old = (grid.load(_file(tmp_path, text.format(key=key)), preset="quick") for key in ("references", "beside"))
    assert [cell.label for cell in named.cells] == ["dice", "bce", "subpixel"]
    assert old == named
    with pytest.raises(UsageError, match=r"beside\.0: set is missing; give {label: ..., set: {field: value}}$"):
        grid.load(_file(tmp_path, "beside: [{label: x}]\naxes: {loss: [dice]}\n"))
    both = text.format(key="beside") + "references: []\n"
    with pytest.raises(UsageError, match="unknown key 'beside'"):
        grid.load(_file(tmp_path, both))


def test_a_root_without_a_name_is_the_user_s_own_folder(tmp_path):
    def specs(**options):
        return {(cell.spec.data.dataset, cell.spec.data.root) for cell in grid.load("smoke", **options).cells}

    assert specs(fixed={"data.root": "/cats"}) == specs(settings=["data.root=/cats"]) == {("folder", "/cats")}
    assert specs(fixed={"data.root": "/street", "data.dataset": "camvid"}) == {("camvid", "/street")}
    assert specs(fixed={"data.root": "/street"}, settings=["data.dataset=camvid"]) == {("camvid", "/street")}
    path = str(_file(tmp_path, "base: {data.dataset: camvid}\naxes: {loss: [dice]}\n"))
    assert {cell.spec.data.dataset for cell in grid.load(path, fixed={"data.root": "/street"}).cells} == {"camvid"}
    assert grid.single(["data.root=/cats"], "quick", "float32").data.dataset == "folder"
    given = grid.data_fields(None, Path("/cats"))
    assert grid.single([], "quick", "float32", given).data == grid.single(["data.root=/cats"], "quick", "float32").data
    assert grid.data_fields("camvid", None) == {"data.dataset": "camvid"}
