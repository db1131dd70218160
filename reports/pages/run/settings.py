"""What was trained: the settings that the cells share, and a row per cell of what differs between them."""

import results
from reports.document import Block, Facts, Field, Heading, Paragraph, Table, Text
from reports.format import DASH
from reports.pages.phrases import listed
from reports.settings import Settings, Tuned, settings
from reports.summary import Summary


def section(run: results.Run, summary: Summary) -> list[Block]:
    """Return the block of settings; empty if no record tells any."""
    found = settings(run)
    if not found.shared and not found.differing:
        return []
    differing = [*next(iter(found.differing.values()), {})]
    facts: list[tuple[str, Text]] = [("differs between cells", ", ".join(differing))] if differing else []
    facts += found.shared.items()
    if found.tuned:
        facts += [(_name(one), _offered(one)) for one in {_name(one): one for one in found.tuned.values()}.values()]
    blocks: list[Block] = [Heading("What was trained"), Facts(facts)]
    columns = _columns(found, summary)
    if columns:
        blocks += [_table(found, summary, columns), *_at_the_edge(found, summary)]
    return blocks


def title(run: results.Run) -> str:
    """Return the question, which is how the grid's description begins, and the run's name."""
    name, question = run.folder.resolve().name, _description(run)[0]
    return f"{question} · {name}" if question else name


def description(run: results.Run) -> list[Block]:
    """Return the rest of the grid's description; empty if its first sentence says all."""
    return [Paragraph(rest)] if (rest := _description(run)[1]) else []


def _description(run: results.Run) -> tuple[str, str]:
    """Return the first sentence of the grid's description without its full stop, and the rest."""
    first, stop, rest = " ".join(str(results.grid_head(run.folder).get("description") or "").split()).partition(". ")
    return (first, rest) if stop else (first.rstrip("."), "")


def _columns(found: Settings, summary: Summary) -> list[str]:
    """Return the names of the settings that differ, unless every cell's label is the setting itself."""
    labels = {cell.key: cell.label for cell in summary.cells}
    names = [*next(iter(found.differing.values()), {})]
    kept = [name for name in names if any(values[name] != labels.get(key) for key, values in found.differing.items())]
    return [*kept, *sorted({_name(one) for one in found.tuned.values()})]


def _table(found: Settings, summary: Summary, columns: list[str]) -> Table:
    rows: list[list[Field | Text]] = []
    for cell in summary.cells:
        texts = found.differing.get(cell.key, {})
        tuned = found.tuned.get(cell.key)
        row: list[Field | Text] = [cell.label]
        for name in columns:
            if tuned and name == _name(tuned):
                row.append(_chosen(tuned))
            else:
                row.append(texts.get(name) or DASH)
        rows.append(row)
    words = frozenset({"cell", *(name for name in columns if not name.startswith("searched"))})
    return Table(["cell", *columns], rows, words, cells=tuple(cell.key for cell in summary.cells))


def _name(tuned: Tuned) -> str:
    return f"searched {tuned.field.rpartition('.')[2].replace('_', ' ')}"


def _offered(tuned: Tuned) -> str:
    return f"per cell among {', '.join(f'{value:g}' for value in tuned.candidates)}" if tuned.candidates else "per cell"


def _chosen(tuned: Tuned) -> Field:
    text = f"{tuned.chosen:g}" + (" (edge)" if tuned.at_edge else "")
    return Field(text, tuned.chosen, "unsure" if tuned.at_edge else "")


def _at_the_edge(found: Settings, summary: Summary) -> list[Block]:
    cells = [cell.label for cell in summary.cells if (one := found.tuned.get(cell.key)) and one.at_edge]
    if not cells:
        return []
    words = "The chosen value lies at the edge of the candidates, so that a better one may lie beyond them"
    return [Paragraph(f"{words}: {listed(cells)}.", "unsure")]
