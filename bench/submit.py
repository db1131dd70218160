"""`python -m bench.submit --head URL --grid losses ...`: run a grid on a cluster from another machine."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import __version__, run
from bench.core import EXIT_INTERRUPTED, EXIT_OK, UsageError, cli, command

if TYPE_CHECKING:
    from bench.jobs import Job, JobServer

console = cli.console()


class Kind(StrEnum):
    """A kind of file that runs a grid on a cluster of its own."""

    kuberay = "kuberay"
    slurm = "slurm"


@command
def main(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="OPTIONS...", help="Options of bench.run; not --address.")
    ] = None,
    head: Annotated[
        str | None, typer.Option(metavar="URL", help="Dashboard of the cluster's head, e.g. http://localhost:8265.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Send the run, and do not follow its output.")] = False,
    logs: Annotated[str | None, typer.Option(metavar="JOB", help="Follow the output of a job from its start.")] = None,
    stop: Annotated[str | None, typer.Option(metavar="JOB", help="End a job; what ran gets its record.")] = None,
    print_: Annotated[Kind | None, typer.Option("--print", help="Print a file for this kind of cluster.")] = None,
    nodes: Annotated[int, typer.Option(min=1, help="With --print: number of nodes.")] = 1,
    gpus_per_node: Annotated[int, typer.Option(min=0, help="With --print: GPUs of each node.")] = 4,
    cpus_per_node: Annotated[int, typer.Option(min=1, help="With --print: CPUs of each node.")] = 32,
    memory_per_node: Annotated[int, typer.Option(min=1, help="With --print: GiB of memory of each node.")] = 128,
    image: Annotated[
        str, typer.Option(help="With --print kuberay: the image of docs/cluster/Dockerfile.")
    ] = f"REGISTRY/segmentation-bench:{__version__}",
    hours: Annotated[float, typer.Option(min=0.2, help="With --print slurm: hours until the job is ended.")] = 24.0,
) -> int:
    """Send a run to a cluster's job server and follow it, or print a file for KubeRay or Slurm.

    All options that are not listed here are those of bench.run. Exit status: that of the run; 2 for bad input or if
    nobody answers; 130 if the job was stopped or following it was interrupted.
    """
    from bench.jobs import JobServer, Nodes, job, kuberay, slurm

    if (logs or stop) and words:
        raise UsageError(f"{'--logs' if logs else '--stop'} takes no options of bench.run: {words[0]}")
    made = None if logs or stop else job(words or [], _parsed(words or []))
    if print_ is not None and made is not None:
        machines = Nodes(nodes, cpus_per_node, gpus_per_node, memory_per_node)
        print(kuberay(made, machines, image) if print_ is Kind.kuberay else slurm(made, machines, hours), end="")
        return EXIT_OK
    if head is None:
        raise UsageError("--head is missing: the URL of the dashboard of the cluster's head, or --print for a file")
    server = JobServer(head)
    if stop is not None:
        console.print(f"Job {stop}: {server.stop(stop)}.", soft_wrap=True)
        return EXIT_OK
    if logs is not None:
        return _followed(server, head, logs)
    assert made is not None
    return _sent(server, head, made, detach)


def _parsed(words: list[str]) -> dict[str, Any]:
    """Return the values of options of `bench.run` by the names of its parameters.

    Raises:
        UsageError: an option is unknown or has a wrong value.
    """
    parser = typer.main.get_command(cli.app(run.main))
    try:
        return parser.make_context("bench.run", list(words)).params
    except Exception as error:
        if not hasattr(error, "format_message"):  # Typer has a copy of Click, whose errors are other classes
            raise
        raise UsageError(f"bench.run: {error.format_message()}") from None


def _sent(server: JobServer, head: str, made: Job, detach: bool) -> int:
    name = server.send(made)
    console.print(f"Job {name}: {made.entrypoint()}", soft_wrap=True)
    if detach:
        _tell(head, name)
        return EXIT_OK
    return _followed(server, head, name)


def _followed(server: JobServer, head: str, name: str) -> int:
    try:
        return server.follow(name, lambda piece: print(piece, end="", flush=True))
    except KeyboardInterrupt:
        console.print("\nThe job goes on.")
        _tell(head, name)
        return EXIT_INTERRUPTED


def _tell(head: str, name: str) -> None:
    for option in ("--logs", "--stop"):
        console.print(f"python -m bench.submit --head {head} {option} {name}", soft_wrap=True)


app = cli.app(main, ignore_unknown_options=True)

if __name__ == "__main__":
    cli.start(app)
