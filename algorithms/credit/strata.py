"""Stratified credit: an episode is compared with the episodes of its task that are built like it.

Zhu et al., Stratified GRPO: Handling Structural Heterogeneity in Reinforcement Learning of LLM
Search Agents (2025). A stratum is a structural property of the finished episode, such as how many
searches it made. The paper's propositions hold inside a stratum, given the stratum.

The default is the stratified estimator alone; the paper's weight for the blend is (unverified).
"""

from collections.abc import Hashable, Sequence

from .groups import against_mean, codes_of, group_codes, group_relative
from .ragged import Floats
from .returns import Numbers, numbers


def stratified(
    returns_E: Numbers,
    groups_E: Sequence[Hashable],
    strata_E: Sequence[Hashable],
    blend: float = 1.0,
) -> Floats:
    """Each return against its stratum, blended: A_i = blend * SAN_i + (1 - blend) * GN_i.

    SAN_i = (R_i - mean_s) / (std_s + 1e-6) over the episodes of the group in the stratum of i (the
    sample's standard deviation, ddof = 1), and GN_i is `group_relative`. A stratum of one gives
    SAN_i = 0, so a blend below 1 is what it learns from.

    Class: biased. The stratum depends on the actions, so a stratum's mean has seen them: what
    leads to a better stratum earns nothing, and only the choices inside one are judged. The
    division is biased as well. Source: Zhu et al. (2025), Stratified Advantage Normalization and
    the blended advantage.

    Measured bias by length, in groups of 3, as (cosine to the true gradient, relative error):
    Microwave (0.9975, 0.864), StopOrContinue (0.1530, 0.991), DelayedKey (1.0000, 0.155), a
    chain of words (0.8842, 0.684).

    >>> stratified([1.0, 0.0, 5.0], ["a"] * 3, ["short", "short", "long"]).round(3).tolist()
    [0.707, -0.707, 0.0]
    """
    if not 0.0 <= blend <= 1.0:
        raise ValueError(f"blend is {blend}; expected a number from 0 (no strata) to 1")
    returns = numbers("returns_E", returns_E)
    groups = group_codes(groups_E, len(returns))
    if len(strata_E) != len(returns):
        raise ValueError(f"{len(strata_E)} strata for {len(returns)} episodes; give one for each")
    within = codes_of(list(zip(groups.tolist(), strata_E, strict=True)))
    return blend * against_mean(returns, within, "std") + (1.0 - blend) * group_relative(
        returns, groups_E
    )
