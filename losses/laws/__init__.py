"""The laws of losses: properties on any image. The tests hold every loss against them, `check-loss` one of your own."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from losses.laws.essential import ESSENTIAL
    from losses.laws.examples import example
    from losses.laws.further import FURTHER
    from losses.laws.law import Finding, Law, hold
    from losses.laws.subject import Broken, Outcome, Subject
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
