"""The table of the user's own metrics: means over the seeds that have a value."""

import reports
import results
from tests.invented_runs import lifelike as fake
from tests.reports.text import text_of


def test_own_metrics_are_means_over_the_seeds_of_each_cell(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["a", "b"], seeds=2, pictures=0)
    assert "Metrics of your own" not in text_of(folder)
    values = {("a", 0): 0.25, ("a", 1): 0.5, ("b", 0): 3.0, ("b", 1): None}
    for path in folder.glob("trials/*"):
        record = results.read(path)
        first, *others = record.views
        own = {"pkg.parts:recall": values[record.label, record.seed]}
        results.write(path, record.model_copy(update={"views": [first.model_copy(update={"own": own}), *others]}))
    text = reports.write(folder).read_text()
    table = text.partition("Metrics of your own")[2].split("##")[0]
    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    assert rows[0] == ["cell", "pkg.parts:recall"]
    assert {row[0]: row[1] for row in rows[2:]} == {"a": "0.375", "b": "3"}
