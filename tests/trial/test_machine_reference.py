"""The fixed reference: its work by hand, and that a trial does not feel it."""

import functools
import itertools
import random
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from bench.spec import Placement
from bench.trial import machine_reference
from bench.trial.machine_reference import reference


def test_the_work_of_the_reference():
    """A convolution 3x3 from 64 to 64 channels on 128 x 128 places; a product of two 1024 x 1024 matrices."""
    assert machine_reference.CPU.convolution_flops == 2 * 9 * 64 * 64 * 128 * 128 == 1_207_959_552
    assert machine_reference.CPU.product_flops == 2 * 1024**3 == 2_147_483_648
    assert machine_reference.GPU.convolution_flops == 8 * machine_reference.CPU.convolution_flops
    assert machine_reference.GPU.product_flops == 8 * machine_reference.CPU.product_flops


def test_the_rate_of_both_lies_between_the_two_and_is_of_their_work_over_their_time():
    found = reference(Placement())
    convolution, product = machine_reference.CPU.convolution_flops, machine_reference.CPU.product_flops
    seconds = convolution / found["convolution"] + product / found["product"]
    assert found["gflops"] == pytest.approx((convolution + product) / seconds)
    assert min(found["convolution"], found["product"]) <= found["gflops"] <= max(found["convolution"], found["product"])
    assert min(found.values()) > 0


def test_a_trial_does_not_feel_it():
    """Neither its random numbers nor its precision are touched, whatever that is."""
    drawn = []
    for measured in (False, True):
        keras.utils.set_random_seed(3)
        if measured:
            reference(Placement())
        drawn.append((tf.random.normal((4,)).numpy(), random.random(), keras.initializers.HeNormal()((4, 4))))
    for one, other in zip(*drawn, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_shortest_call_counts_wherever_it_comes():
    """What else happens only adds time. Here every fourth call is a short one, of both operations in turns."""
    pauses = [itertools.cycle(each) for each in ((0.05, 0.05, 0.05, 0.001), (0.06, 0.001, 0.06, 0.06))]

    def call(pause):
        time.sleep(next(pause))
        return tf.zeros(1)

    found = machine_reference._seconds([[functools.partial(call, pause)] for pause in pauses], many=False)
    assert all(0.001 <= seconds < 0.05 for seconds in found)
