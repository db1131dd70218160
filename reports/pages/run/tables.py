"""Further tables of a run: several data sets, views, replicas."""

from reports.document import Block, Code, Field, Heading, Paragraph, Table, Text
from reports.format import DASH, estimate, number, percent, percent_range
from reports.summary import Summary


def across(summary: Summary) -> list[Block]:
    """Return interquartile means and profiles over several data sets, never a plain mean; empty with one data set."""
    if not summary.across:
        return []
    thresholds = summary.across[0].thresholds
    head = ["cell", "IQM of mIoU, %", "data sets", *(f"> {percent(t, 0)} %" for t in thresholds)]
    rows: list[list[Field | Text]] = []
    for method in summary.across:
        iqm = method.iqm
        ends = percent_range(iqm.low, iqm.high, 1)
        shown = percent(iqm.value) if ends == DASH else f"{percent(iqm.value)} ({ends})"
        profile = (Field(percent(share, 0), share) for share in method.profile)
        rows.append([method.label, Field(shown, iqm.value), str(method.tasks), *profile])
    note = (
        "IQM: mean of the middle half of all seeds on all data sets, with a 95 % interval (seeds resampled inside "
        "their data set); then the performance profile, the percentage of runs above each mIoU."
    )
    return [Heading("Across data sets"), Table(head, rows, frozenset({"cell"})), Paragraph(note)]


def views(summary: Summary) -> Table:
    """Return a row per cell and view: its scores and the speed of its evaluation."""
    rows: list[list[Field | Text]] = [
        [
            view.label,
            Code(view.name),
            Field(estimate(view.interval), view.interval.mean),
            percent(view.boundary_iou),
            number(view.images_per_second, 1),
        ]
        for view in summary.views
    ]
    head = ["cell", "view", "mIoU, %", "Boundary IoU, %", "images/s"]
    return Table(head, rows, frozenset({"cell", "view"}), cells=tuple(view.key for view in summary.views))


def scaling(summary: Summary) -> Table:
    """Return a row per series and number of replicas: throughput, efficiency with its interval, share of input wait."""
    rows: list[list[Field | Text]] = []
    for row in summary.scaling:
        ends = "" if row.low is None or row.high is None else f" ({number(row.low, 2)} to {number(row.high, 2)})"
        rows.append(
            [
                row.series,
                row.devices,
                str(row.batch),
                Field(number(row.images_per_second, 1), row.images_per_second),
                Field(f"{number(row.efficiency, 2)}{ends}", row.efficiency),
                DASH if row.input_share is None else percent(row.input_share, 0),
            ]
        )
    return Table(
        ["series", "replicas", "batch", "images/s", "efficiency", "input share, %"], rows, frozenset({"series"})
    )
