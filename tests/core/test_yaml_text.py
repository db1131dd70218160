"""YAML as people write it: what YAML's own rules would silently replace is refused."""

import pytest
import yaml

from bench.core import load_yaml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "key 'a' is given twice; first in line 1"),
        ("x: {a: 1, a: 1}\n", "key 'a' is given twice"),
        ("b: &b {x: 1}\nd:\n  <<: *b\n  x: 5\n  x: 6\n", "key 'x' is given twice; first in line 4"),
        ("a: 0320\n", "YAML reads 0320 to the base of 8"),
        ("a: [1:30]\n", "YAML reads 1:30 to the base of 60"),
        ("a: 1:30.5\n", "YAML reads 1:30.5 to the base of 60"),
    ],
)
def test_what_would_be_replaced_is_refused(text, message):
    with pytest.raises(yaml.YAMLError) as caught:
        load_yaml(text)
    assert message in str(caught.value)


def test_what_yaml_means_stays():
    text = "a: &one {x: 1, y: 2}\nb: {<<: *one, y: 3}\nc: [0, 0.5, -3, 1.0e-4, 0x10, '0320', '1:30']\n"
    assert load_yaml(text) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": [0, 0.5, -3, 1.0e-4, 16, "0320", "1:30"],
    }
    assert load_yaml(b"\xef\xbb\xbfa: \xc3\xa9") == {"a": "é"}
