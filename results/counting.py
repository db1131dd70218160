"""A number with its noun, for every sentence that is made."""


def counted(count: int, noun: str, several: str = "") -> str:
    """Return a number with its noun.

    Args:
        count: the number.
        noun: its singular.
        several: its plural; empty for the noun with an s.

    >>> counted(1, "cell"), counted(2, "cell"), counted(0, "process", "processes")
    ('1 cell', '2 cells', '0 processes')
    """
    return f"{count} {noun if count == 1 else several or f'{noun}s'}"
