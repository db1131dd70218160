"""A grid as a step of a pipeline: begun once, resumed after a crash, its folder outside of the artifact.

TFX deletes the outputs of a component that failed. So the trials lie in a storage that it does not know, and a
repeated step goes on where the first one ended.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from bench.core import UsageError, code_version
from bench.tfx import processes
from bench.tfx.handover import Facts, read_facts


@dataclass(frozen=True)
class TrialsRequest:
    """A grid to run on the examples of a pipeline.

    Attributes:
        examples: folder of an Examples artifact.
        grid: name of a grid, or path of a grid file.
        storage: folder of runs.
        name: the run's name; a hash of what is run is appended to it.
        options: further options of `bench.run`, as one would type them.
        address: of a Ray cluster; empty to start Ray on this machine.
        python: interpreter of the project's environment; empty for this one.
    """

    examples: Path
    grid: str
    storage: Path
    name: str = "trials"
    options: str = ""
    address: str = ""
    python: str = ""

    @property
    def folder(self) -> Path:
        """The run's folder. Another grid, other options, examples or code of the suite have another one."""
        file = Path(self.grid)
        grid = file.read_bytes() if file.is_file() else self.grid.encode()
        parts = (grid, self.options.encode(), str(self.examples).encode(), code_version().encode())
        digest = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:8]
        return self.storage.absolute() / f"{self.name}-{digest}"

    def arguments(self) -> list[str]:
        """Return the arguments of `bench.run`: those that begin the run, or those that resume it."""
        cluster = ["--address", self.address] if self.address else []
        if (self.folder / "run.json").is_file():
            return ["--resume", str(self.folder), *cluster]
        data = ["--dataset", "tfrecord", "--data-root", str(self.examples)]
        place = ["--out", str(self.folder.parent), "--name", self.folder.name]
        return ["--grid", self.grid, *data, *place, *cluster, *shlex.split(self.options)]


def run_trials(request: TrialsRequest, model: Path, facts: Path) -> Facts:
    """Run the trials that a run lacks, write the model of its best cell, and return what the run found.

    Args:
        request: the run.
        model: folder of a Model artifact.
        facts: file for what the run found.

    Raises:
        UsageError: the run or the model could not be made; what is done is kept, and the line says where.
    """
    python = processes.interpreter(request.python)
    arguments = request.arguments()
    status = processes.run(python, "bench.run", arguments).status
    if status:
        kept = f"; repeat the pipeline to go on with {request.folder}" if request.folder.exists() else ""
        raise UsageError(f"bench.run {shlex.join(arguments)}: exit status {status}, its reason is above{kept}")
    return hand_over(python, request.folder, model, facts)


def hand_over(python: str, source: Path, model: Path, facts: Path) -> Facts:
    """Have the model of a run or of a lone trial written for TFX, and return what its records say.

    Args:
        python: interpreter of the project's environment.
        source: folder of the run or trial.
        model: folder of a Model artifact, new or empty.
        facts: file for what the records say.

    Raises:
        UsageError: it has no weights, or the model cannot be written.
    """
    done = processes.run(python, "bench.tfx.handover", [str(source), str(model), str(facts)])
    if done.status:
        raise UsageError(f"{source}: no model was handed over, the reason is above")
    return read_facts(facts)
