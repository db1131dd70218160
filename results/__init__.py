"""Records of trials, their tables and their statistics.

`load(path)` returns the records of a run, a release or several of them as a DataFrame. `compare(base, head)` judges one
run against another. `read` and `write` are for one record. docs/results.md explains the fields.

The package imports neither TensorFlow nor Ray, and of the project only the small files of `bench.core` that every room
may import (docs/architecture.md). A name is loaded when it is first used (PEP 562), so `import results` loads nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results import hand_over, release, scaling, statistics
    from results.comparison import margins
    from results.comparison.alignment import split_alike
    from results.comparison.comparability import MACHINE
    from results.comparison.comparing import compare
    from results.comparison.margins import Margins
    from results.comparison.types import TRIALS, VERDICTS, Comparison, ComparisonRow, Side, Verdict
    from results.counting import counted, counted_devices, duration, time_range
    from results.decision import Decision, decision_of, validation_miou
    from results.lines import History, Line, Point, Step, cell_history, distinct_names
    from results.precedent import Precedent, precedents, precedents_of, write_precedents
    from results.recipe import PublishedScore, Recipe, splits_of
    from results.record import (
        SCHEMA_VERSION,
        SCORING_VERSION,
        UNKNOWN_STATE,
        Artefact,
        ArtefactKind,
        Best,
        Clocks,
        Dataset,
        Epoch,
        Failure,
        Memory,
        ModelCost,
        Record,
        Reference,
        SliceScores,
        Target,
        Throughput,
        TrainMetrics,
        ValMetrics,
        ViewScores,
        WindowState,
        plain,
    )
    from results.release import publish, published, published_runs, verify
    from results.scaling import Row, rows, starts
    from results.scores import class_iou, mean_iou
    from results.store import (
        LOG,
        RECORD,
        Run,
        Stored,
        artefact,
        artefact_path,
        find,
        grid_head,
        iterate,
        locate,
        missing,
        read,
        read_in_place,
        read_manifest,
        read_run,
        refuse_release,
        release_of,
        releases_folder,
        sha256,
        write,
        write_bytes,
        writing,
    )
    from results.table import VIEW_METRICS, classes, history, judged_split, load, slices, trials, write_tables
    from results.targets import target_of, times_to_target
    from results.training_lengths import Course, courses
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
