"""The commands that a page shows."""

import re
import shlex

_SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`((?:segbench|python -m bench\.\w+) [^`]+)`")


def commands_of(page):
    """The arguments of each command of ours in the shell examples of a page."""
    for line in "".join(_SHELL.findall(page.read_text(encoding="utf-8"))).replace("\\\n", " ").splitlines():
        if words := _ours(line):
            yield words


def inline_commands_of(page):
    """The arguments of each command of ours in the sentences and tables of a page."""
    for text in _INLINE.findall(page.read_text(encoding="utf-8")):
        if words := _ours(text):
            yield words


def _ours(line):
    words = shlex.split(line, comments=True)
    if words[:1] == ["segbench"]:
        return words[1:]
    if words[:2] == ["python", "-m"] and words[2].startswith("bench."):
        return [words[2].removeprefix("bench.").replace("_", "-"), *words[3:]]
    return []
