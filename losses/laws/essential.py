"""The laws without which a model cannot be trained with a loss, or is trained with another one than it seems."""

import numpy as np
import tensorflow as tf

from losses.laws.examples import VOID, Example
from losses.laws.law import Law, always
from losses.laws.subject import Broken, Outcome, Subject, where

STEP = 1e-2
DIRECTIONS = 5


def shape(subject: Subject, on: Example) -> None:
    """`call` gives one float32 value per image, whose mean is the loss."""
    values = subject.loss.call(on.labels, on.logits)
    if values.shape != (on.shape[0],) or values.dtype != tf.float32:
        raise Broken(f"call gave {values.dtype.name} of shape {values.shape}, expected float32 ({on.shape[0]},)")
    value, mean = subject.eager(on).value, float(tf.reduce_mean(values))
    if not np.isclose(value, mean, rtol=1e-6):
        raise Broken(f"the loss is {value:.6g}, the mean of its values {mean:.6g}")


def finite(subject: Subject, on: Example) -> None:
    """Value and gradient are finite, for extreme logits and void images too, and the gradient is not zero."""
    _finite(subject.eager(on), "at random logits")
    if (on.labels != VOID).any() and not subject.plain(on).gradient.any():
        raise Broken("the gradient is zero: nothing can be learnt")
    for right in (True, False):
        found = subject.traced(on.labels, extreme(on, right))
        _finite(found, f"at logits of 1e4, all pixels {'right' if right else 'wrong'}")
    for logit in (15.0, 25.0, 30.0):  # p of 1e-13 to 1e-26, whose squares and inverses are near float32's ends
        wrong = np.where(on.true, -logit, logit).astype(np.float32)
        _finite(subject.traced(on.labels, wrong), f"at logits of {logit:g}, all pixels wrong")
    _finite(subject.traced(np.full_like(on.labels, VOID), on.logits), "with all pixels void")


def extreme(on: Example, right: bool) -> np.ndarray:
    """Return logits of 1e4 and -1e4 by which all pixels are right, or all wrong."""
    return np.where(on.true == right, 1e4, -1e4).astype(np.float32)


def _finite(found: Outcome, when: str) -> None:
    if not np.isfinite(found.value):
        raise Broken(f"the loss is {found.value} {when}")
    if not np.isfinite(found.gradient).all():
        place = np.argwhere(~np.isfinite(found.gradient))[0]
        raise Broken(f"the gradient is {found.gradient[tuple(place)]} at {where(place)} {when}")


def void(subject: Subject, on: Example) -> None:
    """Pixels with the label ignore_index have no gradient and no influence."""
    found = subject.plain(on)
    ignored = on.labels == VOID
    if found.gradient[ignored].any():
        place = next(p for p in np.argwhere(found.gradient) if ignored[tuple(p[:3])])
        raise Broken(f"the gradient is {found.gradient[tuple(place)]:.4g} at {where(place)}, which is void")
    subject.agree(found, subject.traced(on.labels, np.where(ignored[..., None], -7.0 * on.logits + 3, on.logits)))


def gradient(subject: Subject, on: Example) -> None:
    """The gradient is the slope: central differences along random directions agree with it."""
    if not (on.labels != VOID).any():
        return
    random, found = np.random.default_rng(3), subject.plain(on).gradient.astype(np.float64)
    size = float(np.linalg.norm(found))
    apart, slopes = [], []
    for _ in range(DIRECTIONS):
        direction = random.normal(size=on.logits.shape)
        ahead, behind = (
            subject.traced(on.labels, on.logits + sign * STEP * direction.astype(np.float32)).value for sign in (1, -1)
        )
        slopes.append(((ahead - behind) / (2 * STEP), float((found * direction).sum())))
        noise = 1e-6 * max(abs(ahead), abs(behind)) / STEP
        apart.append(max(0.0, abs(slopes[-1][0] - slopes[-1][1]) - noise) / max(size, 1e-12))
    # The median, because a step may cross a kink, as those of a sort or a maximum.
    middle = int(np.argsort(apart)[len(apart) // 2])
    if not apart[middle] <= 0.05:
        measured, told = slopes[middle]
        raise Broken(f"along a random direction the loss rises by {measured:.4g} per unit, by its gradient {told:.4g}")


def float32(subject: Subject, on: Example) -> None:
    """Logits of any float type, as mixed precision gives them, are computed in float32."""
    for kind in ("float16", "bfloat16", "float64"):
        logits = tf.cast(on.logits, kind)
        first = subject.traced(on.labels, tf.cast(logits, tf.float32).numpy())
        value, slopes = subject.tensors(on.labels, logits)
        if value.dtype != tf.float32:
            raise Broken(f"{kind} logits give a {value.dtype.name} loss")
        second = Outcome(float(value), slopes.numpy())
        if not np.isclose(second.value, first.value, rtol=subject.rtol, atol=0.0):
            raise Broken(f"the loss of {kind} logits is {second.value:.6g}, of the same in float32 {first.value:.6g}")
        if not np.allclose(second.gradient, first.gradient, rtol=0.02, atol=1e-4):
            raise Broken(f"the gradient of {kind} logits is another one than that of the same logits as float32")


def batch(subject: Subject, on: Example) -> None:
    """The order of the images in a batch does not matter."""
    turned = subject.traced(on.labels[::-1], on.logits[::-1])
    subject.agree(subject.plain(on), Outcome(turned.value, turned.gradient[::-1]))


def graph(subject: Subject, on: Example) -> None:
    """A graph for images of any size gives what eager execution gives."""
    weights = on.weights if subject.weighs_pixels else None
    subject.agree(subject.evaluate(on.labels, on.logits, weights), subject.traced(on.labels, on.logits, on.weights))


def xla(subject: Subject, on: Example) -> None:
    """Compiled by XLA it gives what eager execution gives."""
    run = subject.compiled(True, on.shape)
    value, slopes = run(on.labels, on.logits, on.weights)
    weights = on.weights if subject.weighs_pixels else None
    subject.agree(subject.evaluate(on.labels, on.logits, weights), Outcome(float(value), slopes.numpy()))


ESSENTIAL = tuple(
    Law(check.__name__, str(check.__doc__), True, check, always)
    for check in (shape, finite, void, gradient, float32, batch, graph, xla)
)
