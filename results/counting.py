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


def counted_devices(cpus: int, gpus: int) -> str:
    """Return CPUs and GPUs in words; no GPU is not mentioned.

    >>> counted_devices(1, 0), counted_devices(8, 1)
    ('1 CPU', '8 CPUs and 1 GPU')
    """
    return counted(cpus, "CPU") + (f" and {counted(gpus, 'GPU')}" if gpus else "")
