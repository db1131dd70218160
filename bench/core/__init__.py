"""What every room needs: errors and exit statuses, the environment, names of files. Imports no other room."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.core import cli, own_code, signals
    from bench.core.checkpoint_file import Checkpoint, WritingPace, as_bytes, read_checkpoint, remove_checkpoint
    from bench.core.cli import command, start
    from bench.core.environment import (
        CACHE_VARIABLE,
        COMMIT_VARIABLE,
        MADE_BY,
        ROOMS,
        cache_folder,
        check_rooms,
        code_version,
        describe,
        differences,
        gpu_names,
        hash_of,
        machine_cores,
        made_by,
        package_versions,
        peak_rss_mb,
        prepare_process,
        present_code_version,
        usable_cores,
    )
    from bench.core.errors import (
        EXIT_INCOMPLETE,
        EXIT_INCONCLUSIVE,
        EXIT_INTERRUPTED,
        EXIT_OK,
        EXIT_REGRESSION,
        EXIT_USAGE,
        HostFailed,
        HostLost,
        StorageLost,
        UsageError,
    )
    from bench.core.faults import Fault, first_fault
    from bench.core.keras_version import KERAS_3, has_addons, settle_keras
    from bench.core.labels import IGNORE_INDEX
    from bench.core.run_progress import PROGRESS_FILE, RunProgress, Underway, read_progress
    from bench.core.shadowing import claim_packages
    from bench.core.suggestions import nearest, runs_beside
    from bench.core.trial_files import ATTEMPTS_FILE, CHECKPOINT_FILE, SPEC_FILE, WEIGHTS_FILE
    from bench.core.yaml_text import load_yaml
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
