"""Lines of Markdown: broken where a reader sees no difference."""

from reports import markdown

LETTERS = "abcdefghi " * 20  # 200 characters


def test_paragraphs_are_broken_at_120_columns():
    first, second = markdown.wrapped(LETTERS.strip()).split("\n")
    assert first == LETTERS[:119]
    assert second == LETTERS[120:].strip()


def test_a_word_as_long_as_a_line_stays_whole():
    assert markdown.wrapped(f"see {'x' * 130} there") == f"see\n{'x' * 130}\nthere"


def test_no_line_begins_what_would_be_a_list_or_a_heading():
    for mark in ("-", "+", "*", "1.", "23)", "#", "##", ">"):
        broken = markdown.wrapped(f"{LETTERS[:119]} {mark} further words").split("\n")
        assert broken == [LETTERS[:109], f"{LETTERS[110:119]} {mark} further words"]


def test_hyphens_are_no_place_to_break():
    assert markdown.wrapped(f"{LETTERS[:110]}one-sidedly").split("\n") == [LETTERS[:109], "one-sidedly"]


def test_what_follows_an_item_is_indented():
    first, second = markdown.wrapped(f"- {LETTERS.strip()}").split("\n")
    assert first.startswith("- abc")
    assert second.startswith("  abc")


def test_tables_headings_pictures_and_listings_stay_whole():
    whole = f"| {LETTERS}|\n\n## {LETTERS}\n\n![{LETTERS}](a.png)\n\n```\n{LETTERS}\n```"
    assert markdown.wrapped(whole) == whole
