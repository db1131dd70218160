"""Steps beside what memory and reference do."""

from bench.perf.cores import Moment, additions, table


def test_the_table_has_quarters_by_memory_and_both_correlations():
    # Four near moments, four far ones: more GB/s, slower steps, the same reference in another order.
    found = [Moment(50 + i, reference, 70.0 + i) for i, reference in enumerate((190, 200, 195, 198))]
    found += [Moment(80 + i, reference, 90.0 + i) for i, reference in enumerate((198, 195, 200, 190))]
    lines = table(found[::-1])
    assert lines[2:6] == ["| 50 | 195 | 70.5 |", "| 52 | 196 | 72.5 |", "| 80 | 196 | 90.5 |", "| 82 | 195 | 92.5 |"]
    assert lines[-1] == (
        "8 moments. Rank correlation of the time of a step with the rate of the additions +1.00, "
        "with the reference +0.00."
    )


def test_the_rate_of_the_additions_is_one_of_memory():
    assert 0.1 < additions(1)() < 2000  # GB/s; arrays that are not added would take no time
