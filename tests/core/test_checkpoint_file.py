"""How often a checkpoint is written."""

from bench.core import WritingPace


def test_a_quick_write_delays_none_and_a_slow_one_for_20_times_its_own_time():
    pace = WritingPace()
    assert pace.due(0.0)
    pace.wrote(100.0, 101.0)
    assert pace.due(101.0)
    pace.wrote(200.0, 203.0)
    assert not pace.due(262.9)
    assert pace.due(263.0)
    pace.wrote(263.0, 263.5)  # the storage has recovered
    assert pace.due(263.5)
