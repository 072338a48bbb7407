"""Who may serve: planted cases of known truth, the rules one by one, and what always holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from swingtrader.core.challenge import (
    MINIMUM_SESSIONS,
    ensemble_verdict,
    ranker_verdict,
    regime_verdict,
)
from swingtrader.core.inference import spearman_by_session
from swingtrader.core.performance import sharpe_ratio
from swingtrader.core.short_samples import mean_of_overlapping, noise_allowance

V, STOCKS, HORIZON = 126, 64, 21
NAN = np.nan

SERIES = st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=9).map(lambda x: np.resize(x, V))
PROPERTY = settings(deadline=None, derandomize=True, max_examples=15)


# Rankers of known skill --------------------------------------------------------------------------


def decaying(rng, half_life=21.0):
    """Values of a score that changes slowly, (V + HORIZON, STOCKS), of unit variance."""
    memory = 0.5 ** (1 / half_life)
    values = rng.standard_normal((V + HORIZON, STOCKS))
    values[1:] *= math.sqrt(1 - memory**2)
    for t in range(1, len(values)):
        values[t] += memory * values[t - 1]
    return values


def rankers(seed, skills):
    """Rank ICs (V,) of rankers of about these skills in one market, and their scores.

    Daily returns have fat tails and a small part that decays with half-life 21; a ranker sees
    it through noise as slow. Outcomes are sums of 21 returns, so neighbours share 20 of them.
    """
    rng = np.random.default_rng(seed)
    truth = decaying(rng)
    memory = 0.5 ** (1 / 21)
    tails = rng.standard_t(5, truth.shape) * math.sqrt(3 / 5)
    daily = tails[1:]
    daily += 0.1 * truth[:-1]
    total = np.vstack([np.zeros(STOCKS), np.cumsum(daily, axis=0)])
    outcome = total[HORIZON : HORIZON + V] - total[:V]
    known = 0.1 * (1 - memory**HORIZON) / (1 - memory)
    perfect = known / math.sqrt(HORIZON + known**2)
    scores = [
        share * truth[:V] + math.sqrt(1 - share**2) * decaying(rng)[:V]
        for share in (min(1.07 * skill / perfect, 1.0) for skill in skills)
    ]
    return [spearman_by_session(score, outcome) for score in scores], scores, outcome


def agreement_of(one, other):
    return float(np.nanmean(spearman_by_session(one, other)))


def promoted_of_a_hundred(skills):
    """How often the first ranker takes the second one's place, and their mean rank ICs."""
    count, ics = 0, []
    for seed in range(100):
        (challenger, champion), scores, _ = rankers(seed, skills)
        count += ranker_verdict(challenger, champion, agreement_of(*scores)).promoted
        ics.append((challenger.mean(), champion.mean()))
    return count, np.mean(ics, axis=0)


def test_a_ranker_that_learned_noise_never_replaces_one_with_skill():
    promoted, (noise, champion) = promoted_of_a_hundred((0.0, 0.15))
    assert abs(noise) < 0.01
    assert champion == pytest.approx(0.15, abs=0.01)
    assert promoted == 0


def test_a_ranker_of_skill_replaces_one_with_hardly_any():
    promoted, (challenger, champion) = promoted_of_a_hundred((0.20, 0.02))
    assert (challenger, champion) == (pytest.approx(0.2, abs=0.01), pytest.approx(0.02, abs=0.01))
    assert promoted >= 95


def test_a_ranker_like_the_champion_replaces_it():
    promoted = 0
    for seed in range(100):
        (champion,), (score,), outcome = rankers(seed, (0.1,))
        like = score + 0.3 * decaying(np.random.default_rng([seed, 1]))[:V]
        agreement = agreement_of(like, score)
        assert agreement > 0.9
        challenger = spearman_by_session(like, outcome)
        promoted += ranker_verdict(challenger, champion, agreement).promoted
    assert promoted >= 95


# The rules for rankers ---------------------------------------------------------------------------


def steady(mean, seed=1):
    """Rank ICs (V,) around a mean, two months up and two months down, and nearly no noise."""
    wave = np.sin(np.arange(V) * 2 * np.pi / 42)
    return mean + 0.02 * wave + 0.001 * np.random.default_rng(seed).standard_normal(V)


@pytest.mark.parametrize(
    ("challenger", "champion", "agreement", "promoted", "because"),
    [
        (0.10, 0.10, 0.9, True, "not worse beyond noise"),
        (0.12, 0.10, 0.9, True, "not worse beyond noise"),
        (0.05, 0.10, 0.9, False, "worse beyond noise"),
        (0.10, 0.10, 0.5, True, "not worse beyond noise"),
        (0.10, 0.10, 0.49, False, "without being clearly better"),
        (0.10, 0.10, -0.9, False, "without being clearly better"),
        (0.15, 0.10, 0.1, True, "clearly better"),
        (0.15, 0.10, None, True, "as far as is known"),
        (0.10, 0.10, None, False, "as far as is known"),
        (0.10, 0.10, NAN, False, "as far as is known"),
        (-0.05, -0.30, 0.1, False, "without being clearly better"),
        (-0.05, -0.30, 0.9, True, "not worse beyond noise"),
        (0.10, None, None, True, "no champion to beat"),
        (0.00, None, None, True, "no champion to beat"),
        (-0.10, None, None, False, "negative beyond noise"),
    ],
)
def test_a_ranker_is_judged_by_what_it_has_in_common_with_the_champion(
    challenger, champion, agreement, promoted, because
):
    before = None if champion is None else steady(champion, seed=2)
    verdict = ranker_verdict(steady(challenger), before, agreement)
    assert verdict.promoted is promoted
    assert because in verdict.sentence


@pytest.mark.parametrize(("lead", "promoted"), [(0.008, False), (0.024, True)])
def test_a_ranker_unlike_the_champion_must_lead_by_a_standard_error(lead, promoted):
    swings = 0.05 * np.sin(np.arange(V) * 2 * np.pi / 126)
    verdict = ranker_verdict(steady(0.1 + lead) + swings, steady(0.1), 0.1)
    assert verdict.figures["rank_ic_t"] > 4
    assert verdict.promoted is promoted


def test_the_figures_of_a_ranker_are_those_of_both():
    challenger, champion = steady(0.12), steady(0.1, seed=2)
    figures = ranker_verdict(challenger, champion, 0.8).figures
    assert figures == {
        "sessions": 126.0,
        "rank_ic": pytest.approx(challenger.mean()),
        "rank_ic_t": pytest.approx(mean_of_overlapping(challenger, 21).t),
        "champion_rank_ic": pytest.approx(champion.mean()),
        "champion_rank_ic_t": pytest.approx(mean_of_overlapping(champion, 21).t),
        "difference_t": pytest.approx(mean_of_overlapping(challenger - champion, 21).t),
        "agreement": 0.8,
    }


def test_a_session_that_one_of_them_could_not_rank_is_left_out():
    challenger, champion = steady(0.12), steady(0.1, seed=2)
    whole = ranker_verdict(challenger[:120], champion[:120], 0.8)
    challenger[120:123], champion[122:] = NAN, NAN
    assert ranker_verdict(challenger, champion, 0.8) == whole


@pytest.mark.parametrize("judge", [regime_verdict, ensemble_verdict])
def test_a_session_that_one_of_them_lacks_is_left_out(judge):
    challenger, champion = steady(0.12), steady(0.1, seed=2)
    whole = judge(challenger[:120], champion[:120])
    challenger[120:123], champion[122:] = NAN, NAN
    assert judge(challenger, champion) == whole


# All three ---------------------------------------------------------------------------------------


def ranker_agreeing(challenger, champion):
    return ranker_verdict(challenger, champion, 0.9)


def ranker_otherwise(challenger, champion):
    return ranker_verdict(challenger, champion, 0.1)


JUDGES = [ranker_agreeing, ranker_otherwise, regime_verdict, ensemble_verdict]
judges = pytest.mark.parametrize("judge", JUDGES)


@judges
@pytest.mark.parametrize("sessions", [0, 1, 21, MINIMUM_SESSIONS - 1])
def test_with_too_few_sessions_the_champion_stays_and_a_first_model_serves(judge, sessions):
    few = np.linspace(0.0, 1.0, sessions)
    verdict = judge(few, few)
    assert not verdict.promoted
    assert f"{sessions} held-back sessions are too few" in verdict.sentence
    assert verdict.figures["sessions"] == sessions
    assert judge(few, None).promoted
    assert not judge(np.append(few, np.full(100, NAN)), np.ones(sessions + 100)).promoted


@judges
@pytest.mark.parametrize("other", [np.zeros(V - 1), np.zeros((V, 1)), np.zeros(0)])
def test_series_of_other_sessions_are_no_comparison(judge, other):
    with pytest.raises(ValueError, match="shape"):
        judge(np.zeros(V), other)


@PROPERTY
@pytest.mark.parametrize("judge", [ranker_agreeing, regime_verdict, ensemble_verdict])
@given(series=SERIES)
def test_the_same_again_is_always_promoted(judge, series):
    assert judge(series, series.copy()).promoted


@PROPERTY
@judges
@given(challenger=SERIES, champion=SERIES, gain=st.floats(0.0, 1.0))
def test_more_gain_never_costs_the_promotion(judge, challenger, champion, gain):
    if judge(challenger, champion).promoted:
        assert judge(challenger + gain, champion).promoted


@PROPERTY
@pytest.mark.parametrize("judge", [ranker_agreeing, regime_verdict, ensemble_verdict])
@given(one=SERIES, other=SERIES)
def test_of_two_likes_at_least_one_may_replace_the_other(judge, one, other):
    assert judge(one, other).promoted or judge(other, one).promoted


@PROPERTY
@given(one=SERIES, other=SERIES, agreement=st.floats(-1.0, 0.49))
def test_of_two_rankers_unlike_at_most_one_may_replace_the_other(one, other, agreement):
    there, back = ranker_verdict(one, other, agreement), ranker_verdict(other, one, agreement)
    assert not (there.promoted and back.promoted)


@PROPERTY
@judges
@given(challenger=SERIES, champion=st.none() | SERIES)
def test_every_figure_is_a_number(judge, challenger, champion):
    figures = judge(challenger, champion).figures
    assert all(type(value) is float and math.isfinite(value) for value in figures.values())


# Regime models -----------------------------------------------------------------------------------


def likelihoods(seed, loss=0.0):
    """Log-likelihoods (V,) of two models of one market, the first worse by `loss`."""
    rng = np.random.default_rng(seed)
    common = -np.abs(np.convolve(rng.standard_normal(V + 20), np.ones(21) / 4.6, "valid"))
    own = np.convolve(rng.standard_normal(V + 20), np.ones(21) / 4.6, "valid")
    return common - loss + 0.05 * own, common


def test_a_regime_model_as_good_as_the_champion_replaces_it():
    assert sum(regime_verdict(*likelihoods(seed)).promoted for seed in range(100)) >= 90


def test_a_regime_model_that_predicts_worse_does_not():
    assert not any(regime_verdict(*likelihoods(seed, 0.3)).promoted for seed in range(100))


def test_a_regime_that_is_worse_by_next_to_nothing_is_promoted_however_sure_that_is():
    champion = np.random.default_rng(0).normal(6.0, 1.0, 63)
    assert regime_verdict(champion - 0.04, champion).promoted
    assert not regime_verdict(champion - 0.06, champion).promoted


def test_a_regime_that_calls_what_happened_all_but_impossible_is_refused():
    """However much its own mistakes vary."""
    champion = np.full(63, 6.0)
    challenger = champion - np.geomspace(10.0, 1e8, 63)
    verdict = regime_verdict(challenger, champion)
    assert not verdict.promoted
    assert "worse beyond noise" in verdict.sentence


@pytest.mark.parametrize(
    ("challenger", "champion", "promoted", "because"),
    [
        (-math.inf, 0.0, False, "could not happen"),
        (-math.inf, None, False, "could not happen"),
        (-math.inf, -math.inf, False, "could not happen"),
        (0.0, -math.inf, True, "champion says of a session that it could not happen"),
        (0.0, None, True, "no champion to beat"),
    ],
)
def test_a_regime_model_may_call_no_session_impossible(challenger, champion, promoted, because):
    def with_one(value):
        return None if value is None else np.append(np.zeros(V - 1), value)

    verdict = regime_verdict(with_one(challenger), with_one(champion))
    assert verdict.promoted is promoted
    assert because in verdict.sentence
    assert all(math.isfinite(value) for value in verdict.figures.values())


# Ensembles ---------------------------------------------------------------------------------------


def returns(seed, sharpe, volatility=0.01):
    """Daily returns (V,) with fat tails and exactly this annual Sharpe ratio."""
    drawn = np.random.default_rng(seed).standard_t(4, V)
    drawn = (drawn - drawn.mean()) / drawn.std(ddof=1)
    return volatility * (drawn + sharpe / math.sqrt(252))


@pytest.mark.parametrize(
    ("challenger", "champion", "promoted", "because"),
    [
        (1.0, 1.0, True, "not worse beyond noise"),
        (0.0, 1.5, True, "not worse beyond noise"),
        (-4.0, 1.5, False, "worse beyond noise"),
        (0.0, None, True, "no champion to beat"),
        (-1.0, None, True, "no champion to beat"),
        (-4.0, None, False, "negative beyond noise"),
    ],
)
def test_half_a_year_tells_apart_only_what_differs_much(challenger, champion, promoted, because):
    before = None if champion is None else returns(2, champion)
    verdict = ensemble_verdict(returns(1, challenger), before)
    assert verdict.promoted is promoted
    assert because in verdict.sentence


def test_the_figures_of_an_ensemble_are_annual_sharpe_ratios():
    challenger, champion = returns(1, 1.2), returns(2, 0.7)
    figures = ensemble_verdict(challenger, champion).figures
    assert figures["net_sharpe"] == pytest.approx(sharpe_ratio(challenger)) == pytest.approx(1.2)
    assert figures["champion_net_sharpe"] == pytest.approx(0.7)


def test_an_ensemble_is_not_judged_by_its_volatility():
    calm = ensemble_verdict(returns(1, -4.0, 0.001), returns(2, 1.5, 0.02))
    wild = ensemble_verdict(returns(1, -4.0, 0.02), returns(2, 1.5, 0.001))
    assert not calm.promoted
    assert calm.figures == pytest.approx(wild.figures)


def test_an_ensemble_without_a_view_has_sharpe_ratio_zero():
    idle = np.zeros(V)
    assert ensemble_verdict(idle, returns(1, 1.0)).figures["net_sharpe"] == 0.0
    assert ensemble_verdict(idle, idle).promoted
    assert not ensemble_verdict(idle, returns(1, 5.0)).promoted


def test_the_error_of_a_difference_of_sharpe_ratios_is_that_of_ledoit_and_wolf():
    one, other = returns(1, 1.2), returns(2, 0.7)
    moments = np.stack([one, other, one**2, other**2])
    means, squares = moments[:2].mean(axis=1), moments[2:].mean(axis=1)
    variances = squares - means**2
    slopes = np.concatenate([squares / variances**1.5, -0.5 * means / variances**1.5])
    slopes[[1, 3]] *= -1
    spread = math.sqrt(slopes @ np.cov(moments) @ slopes / V)
    sharpes = means / np.sqrt(variances)
    found = ensemble_verdict(one, other).figures["difference_t"]
    assert found == pytest.approx((sharpes[0] - sharpes[1]) / spread, rel=0.05)


# Short samples -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("sessions", "span"), [(126, 21), (252, 21), (126, 1), (84, 21)])
def test_the_allowance_for_noise_is_students(sessions, span):
    expected = stats.t.ppf(0.95, sessions / span - 1)
    assert noise_allowance(sessions, span) == pytest.approx(expected, rel=0.01)


def test_without_overlap_the_error_is_that_of_every_textbook():
    x = np.random.default_rng(1).standard_normal(50)
    found = mean_of_overlapping(x, 1)
    assert found.value == pytest.approx(x.mean())
    assert found.standard_error == pytest.approx(stats.sem(x))
    assert found.t == pytest.approx(stats.ttest_1samp(x, 0.0).statistic)


def test_the_error_is_that_of_sums_of_twenty_one():
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((2000, V + HORIZON - 1))
    total = np.cumsum(np.pad(noise, ((0, 0), (1, 0))), axis=1)
    overlapping = (total[:, HORIZON:] - total[:, :-HORIZON]) / math.sqrt(HORIZON)
    errors = [mean_of_overlapping(row, HORIZON).standard_error for row in overlapping]
    assert math.sqrt(np.mean(np.square(errors))) == pytest.approx(
        overlapping.mean(axis=1).std(), rel=0.12
    )


@pytest.mark.parametrize("constant", [0.0, 0.1, -3.0])
def test_what_does_not_vary_has_no_error(constant):
    estimate = mean_of_overlapping(np.full(V, constant), 21)
    assert (estimate.value, estimate.standard_error) == (pytest.approx(constant), 0.0)


@pytest.mark.parametrize("length", [0, 1, 21])
def test_a_sample_no_longer_than_the_span_says_nothing(length):
    with pytest.raises(ValueError, match="say nothing"):
        mean_of_overlapping(np.zeros(length), 21)


def test_a_sample_must_be_finite():
    with pytest.raises(ValueError, match="finite"):
        mean_of_overlapping(np.full(V, NAN), 21)
