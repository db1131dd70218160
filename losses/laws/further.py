"""Further laws: what most losses have in common, and some break by their definition."""

import keras
import numpy as np

from losses.composite import Composite
from losses.core.base import FormulaLoss, SegmentationLoss
from losses.laws.essential import extreme
from losses.laws.examples import VOID, Example
from losses.laws.law import Law, always, with_weights
from losses.laws.subject import Broken, Outcome, Subject

STEPS = 80


def void_image(subject: Subject, on: Example) -> None:
    """An image without a labelled pixel changes nothing."""
    labels = np.concatenate([on.labels, np.full_like(on.labels[:1], VOID)])
    more = subject.traced(labels, np.concatenate([on.logits, on.logits[:1]]))
    subject.agree(subject.plain(on), Outcome(more.value, more.gradient[: on.shape[0]]))


def all_void(subject: Subject, on: Example) -> None:
    """A batch without a labelled pixel has loss zero."""
    found = subject.traced(np.full_like(on.labels, VOID), on.logits)
    if found.value != 0 or found.gradient.any():
        raise Broken(f"the loss is {found.value:.4g}, its largest slope {np.abs(found.gradient).max():.4g}")


def class_permutation(subject: Subject, on: Example) -> None:
    """Classes have no order."""
    order = np.roll(np.arange(on.classes), 1)
    labels = np.where(on.labels == VOID, VOID, np.argsort(order)[np.minimum(on.labels, on.classes - 1)])
    value, slopes = subject.plain(on)
    subject.agree(Outcome(value, slopes[..., order]), subject.traced(labels, on.logits[..., order]))


def pixel_permutation(subject: Subject, on: Example) -> None:
    """Pixels of an image have no order."""
    images, height, width = on.shape
    order = np.random.default_rng(1).permutation(height * width)

    def shuffle(values: np.ndarray) -> np.ndarray:
        return values.reshape(images, height * width, -1)[:, order].reshape(values.shape)

    value, slopes = subject.plain(on)
    subject.agree(Outcome(value, shuffle(slopes)), subject.traced(shuffle(on.labels), shuffle(on.logits)))


def tiling(subject: Subject, on: Example) -> None:
    """An image that is repeated 2 x 2 times has the loss of the image."""
    _, height, width = on.shape
    tiled = subject.traced(np.tile(on.labels, (1, 2, 2)), np.tile(on.logits, (1, 2, 2, 1)))
    subject.agree(subject.plain(on), Outcome(tiled.value, tiled.gradient[:, :height, :width] * 4))


def shift(subject: Subject, on: Example) -> None:
    """A number that is added to all logits of a pixel changes nothing."""
    moved = np.random.default_rng(2).normal(size=(*on.shape, 1)).astype(np.float32)
    subject.agree(subject.plain(on), subject.traced(on.labels, on.logits + moved), looser=5.0)


def of_a_softmax(subject: Subject) -> str:
    """Let a law apply to losses of a softmax."""
    return "" if _of_a_softmax(subject.loss) else "a sigmoid sees each logit"


def _of_a_softmax(loss: SegmentationLoss) -> bool:
    if isinstance(loss, Composite):
        return all(_of_a_softmax(term) for _, term in loss.terms)
    return isinstance(loss, FormulaLoss) and loss.activation == "softmax"


def label_forms(subject: Subject, on: Example) -> None:
    """Labels of any type, with an axis for the channel, or one-hot are the same labels."""
    first = subject.eager(on)
    ids = (on.labels.astype(np.int64), on.labels.astype(np.float32), on.labels[..., None])
    for labels in (*ids, np.eye(256)[on.labels][..., : on.classes]):
        subject.agree(first, subject.evaluate(labels, on.logits))


def weights(subject: Subject, on: Example) -> None:
    """Only ratios of weights matter, a weight of zero is void, and a weight for an image is one for its pixels."""
    labels, logits = on.labels, on.logits
    images = on.shape[0]
    same = subject.traced(labels, logits, np.full(on.shape, 5.0, np.float32))
    subject.agree(subject.plain(on), same)
    for ones in (np.ones((*on.shape, 1)), np.full(images, 0.5), np.ones((images, 1))):
        subject.agree(subject.eager(on), subject.evaluate(labels, logits, ones.astype(np.float32)))
    ignored = labels == VOID
    without = subject.traced(np.where(ignored, 0, labels), logits, (~ignored).astype(np.float32))
    subject.agree(subject.plain(on), without)
    of_images = np.resize(np.array([1.0, 0.5, 3.0], np.float32), images)
    weighted = subject.evaluate(labels, logits, of_images)
    subject.agree(weighted, subject.evaluate(labels, logits, np.broadcast_to(of_images[:, None, None], on.shape)))
    if images > 2 and np.isclose(weighted.value, subject.eager(on).value, rtol=1e-4):
        raise Broken("weights of images have no effect")
    if images > 1:
        last = np.ones(on.shape, np.float32)
        last[-1] = 0.0
        value, slopes = subject.traced(labels, logits, last)
        if slopes[-1].any():
            raise Broken("an image of weight 0 has a gradient")
        subject.agree(subject.traced(labels[:-1], logits[:-1]), Outcome(value, slopes[:-1]))


def weight_two(subject: Subject, on: Example) -> None:
    """A pixel of weight two is a pixel that is there twice."""
    labels, logits = on.labels[-1:], on.logits[-1:]
    weight = np.ones(labels.shape, np.float32)
    weight[:, 1:3] = 2
    twice = (np.concatenate([values, values[:, 1:3]], axis=1) for values in (labels, logits))
    first, second = subject.traced(labels, logits, weight).value, subject.traced(*twice).value
    if not np.isclose(first, second, rtol=subject.rtol):
        raise Broken(f"the loss is {first:.6g}, then {second:.6g}")


def _where_pixels_are(subject: Subject) -> str:
    """Let the law of a repeated pixel apply to losses of weighted pixels, wherever these are."""
    placed = "pixel_permutation" in subject.loss.exceptions
    return "it depends on where pixels are" if placed else with_weights(subject)


def order(subject: Subject, on: Example) -> None:
    """All pixels right is better than undecided, and that better than all pixels wrong."""
    right, wrong = (subject.traced(on.labels, extreme(on, one)).value for one in (True, False))
    undecided = subject.traced(on.labels, np.zeros_like(on.logits)).value
    if (on.labels != VOID).any() and not right < undecided < wrong:
        raise Broken(f"right {right:.4g}, undecided {undecided:.4g}, wrong {wrong:.4g}")


def zero_at_truth(subject: Subject, on: Example) -> None:
    """The loss of the truth is zero."""
    if abs(value := subject.traced(on.labels, extreme(on, True)).value) > 1e-6:
        raise Broken(f"it is {value:.4g}")


def config(subject: Subject, on: Example) -> None:
    """Its configuration makes it again."""
    loss = subject.loss
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    if type(again) is not type(loss) or again.get_config() != loss.get_config():
        raise Broken(f"{again!r} was made of it")
    subject.agree(subject.eager(on), Subject(again, subject.classes, subject.rtol).evaluate(on.labels, on.logits))


def downhill(subject: Subject, on: Example) -> None:
    """Free logits that follow the gradient from near zero end at the labels."""
    logits = on.logits * np.float32(0.01)
    for _ in range(STEPS):
        slopes = subject.traced(on.labels, logits).gradient
        logits = logits - np.float32(0.5) * slopes / (slopes.std() + 1e-12)
    right = (logits.argmax(-1) == on.labels)[on.labels != VOID]
    if not right.all():
        raise Broken(f"{int((~right).sum())} of {right.size} labelled pixels are wrong after {STEPS} steps")


def trains_alone(subject: Subject) -> str:
    """Let a law apply to losses that train a model alone."""
    return "" if subject.loss.trains_alone else "it is declared not to train a model alone"


FURTHER = (
    *(
        Law(check.__name__, str(check.__doc__), False, check, always)
        for check in (void_image, all_void, class_permutation, pixel_permutation, tiling)
    ),
    Law("shift", str(shift.__doc__), False, shift, of_a_softmax),
    *(Law(check.__name__, str(check.__doc__), False, check, always) for check in (label_forms, order, zero_at_truth)),
    Law("weights", str(weights.__doc__), False, weights, with_weights),
    Law("weight_two", str(weight_two.__doc__), False, weight_two, _where_pixels_are),
    Law("config", str(config.__doc__), False, config, always),
    Law("downhill", str(downhill.__doc__), False, downhill, trains_alone),
)
