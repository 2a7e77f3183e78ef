"""One iteration's numbers from those of its steps."""

import math

from algorithms.metrics import merged, update_metrics

NAN = math.nan


def test_steps_that_were_left_out_are_counted_and_spoil_no_mean():
    history = [
        {"policy": 1.0, "ratio_max": 1.5, "grad_norm": 2.0, "critic_grad_norm": NAN},
        {"policy": NAN, "ratio_max": 2.5, "grad_norm": math.inf, "critic_grad_norm": 4.0},
        {"policy": 3.0, "critic_grad_norm": NAN},
    ]
    assert update_metrics(history) == {
        "loss/policy": 2.0,
        "loss/ratio_max": 2.5,
        "loss/grad_norm": 2.0,
        "loss/skipped_steps": 1.0,
        "loss/critic_grad_norm": 4.0,
        "loss/critic_skipped_steps": 2.0,
    }


def test_counts_of_inner_steps_add_up_and_are_not_counted_again():
    inner = [merged([{"grad_norm": NAN}, {"grad_norm": NAN}]), merged([{"grad_norm": 1.0}])]
    assert inner[0]["skipped_steps"] == 2.0 and math.isnan(inner[0]["grad_norm"])
    assert merged(inner) == {"grad_norm": 1.0, "skipped_steps": 2.0}
    prefixed = [update_metrics([{"grad_norm": NAN}]), update_metrics([{"grad_norm": 3.0}])]
    assert merged(prefixed) == {"loss/grad_norm": 3.0, "loss/skipped_steps": 1.0}


def test_numbers_without_a_gradient_are_only_gathered():
    assert merged([{"a": 1.0}, {"a": 2.0, "b": 4.0}]) == {"a": 1.5, "b": 4.0}
    assert merged([]) == {}
