"""Walking perfect trees; equality with xgboost itself is in tests/estimators/test_ranker.py."""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from swingtrader.core.trees import TreeEnsemble, log_odds, probability

# Two trees of depth 2 over two columns. The second is a stump, its leaves repeated.
#
#        x0 < 1 (missing: right)              x1 < 0 (missing: left)
#      x1 < 5          x1 < -5 (m. left)         -0.25       0.5
#     1      2        4       8
EXAMPLE = TreeEnsemble(
    feature=np.array([[0, 1, 1], [1, 0, 0]]),
    threshold=np.array([[1.0, 5.0, -5.0], [0.0, 0.0, 0.0]]),
    default_left=np.array([[False, False, True], [True, True, True]]),
    leaf=np.array([[1.0, 2.0, 4.0, 8.0], [-0.25, -0.25, 0.5, 0.5]]),
    base_margin=-2.0,
    n_features=2,
)

FLAT = TreeEnsemble(
    feature=np.zeros((1, 0)),
    threshold=np.zeros((1, 0)),
    default_left=np.zeros((1, 0)),
    leaf=np.array([[0.75]]),
    base_margin=0.25,
    n_features=3,
)


def random_ensemble(trees: int, depth: int, seed: int, n_features: int = 5) -> TreeEnsemble:
    rng = np.random.default_rng(seed)
    nodes = (trees, 2**depth - 1)
    return TreeEnsemble(
        feature=rng.integers(0, n_features, nodes),
        threshold=rng.standard_normal(nodes),
        default_left=rng.random(nodes) < 0.5,
        leaf=rng.standard_normal((trees, 2**depth)) * 0.1,
        base_margin=rng.standard_normal(),
        n_features=n_features,
    )


def random_rows(rows: int, seed: int, n_features: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, n_features)).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan
    return x


def walked_by_hand(ensemble: TreeEnsemble, row: np.ndarray) -> float:
    """One row through one tree after the other, the way the definition reads."""
    total = ensemble.base_margin
    for tree in range(len(ensemble.leaf)):
        node = 0
        for _ in range(ensemble.depth):
            value = row[ensemble.feature[tree, node]]
            if np.isnan(value):
                left = ensemble.default_left[tree, node]
            else:
                left = value < ensemble.threshold[tree, node]
            node = 2 * node + (1 if left else 2)
        total += float(ensemble.leaf[tree, node - ensemble.feature.shape[1]])
    return total


@pytest.mark.parametrize(
    ("row", "leaves"),
    [
        ([0.0, 4.0], 1.0 + 0.5),
        ([0.0, 5.0], 2.0 + 0.5),  # a value equal to the threshold goes right
        ([1.0, -6.0], 4.0 - 0.25),
        ([1.0, 0.0], 8.0 + 0.5),
        ([math.nan, 0.0], 8.0 + 0.5),
        ([0.0, math.nan], 2.0 - 0.25),
        ([math.nan, math.nan], 4.0 - 0.25),
    ],
)
def test_a_row_falls_into_the_leaves_its_values_lead_to(row, leaves):
    x = np.array([row], dtype=np.float32)
    assert_array_equal(log_odds(EXAMPLE, x), [leaves - 2.0])
    assert_allclose(probability(EXAMPLE, x), [1 / (1 + math.exp(2.0 - leaves))], rtol=2e-7)


def test_a_tree_that_is_one_leaf_says_the_same_of_every_row():
    rows = np.array([[1.0, 2.0, 3.0], [np.nan] * 3], dtype=np.float32)
    assert_array_equal(log_odds(FLAT, rows), [1.0, 1.0])


@settings(deadline=None, derandomize=True, max_examples=40)
@given(trees=st.integers(0, 6), depth=st.integers(0, 5), seed=st.integers(0, 2**32 - 1))
def test_rows_walked_together_arrive_where_each_arrives_alone(trees, depth, seed):
    ensemble, x = random_ensemble(trees, depth, seed), random_rows(20, seed)
    expected = [walked_by_hand(ensemble, row) for row in x]
    assert_allclose(log_odds(ensemble, x), expected, rtol=0, atol=1e-5)


def test_a_row_does_not_depend_on_the_rows_beside_it():
    # 1,000 trees and 500 rows are walked in several portions.
    ensemble, x = random_ensemble(1000, 3, seed=1), random_rows(500, seed=2)
    together = probability(ensemble, x)
    for row in (0, 130, 131, 499):
        assert_array_equal(probability(ensemble, x[row : row + 1]), together[row : row + 1])
    assert_array_equal(probability(ensemble, x[::-1]), together[::-1])


def test_values_are_compared_in_the_precision_the_thresholds_were_learned_in():
    threshold = np.float32(0.1)
    stump = TreeEnsemble(
        feature=[[0]],
        threshold=[[threshold]],
        default_left=[[True]],
        leaf=[[-1.0, 1.0]],
        base_margin=0.0,
        n_features=1,
    )
    # 0.1 is below float32(0.1) as a float64 and equal to it as a float32.
    assert float(threshold) > 0.1
    assert_array_equal(log_odds(stump, np.array([[0.1]])), [1.0])


@pytest.mark.parametrize(("margin", "expected"), [(1000.0, 1.0), (-1000.0, 0.0), (0.0, 0.5)])
def test_extreme_log_odds_saturate_without_a_warning(margin, expected):
    ensemble = replace(FLAT, leaf=np.array([[0.0]]), base_margin=margin)
    assert_array_equal(probability(ensemble, np.zeros((1, 3))), [expected])


def test_no_rows_give_no_probabilities():
    assert probability(EXAMPLE, np.empty((0, 2), dtype=np.float32)).shape == (0,)


@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (2,)])
def test_rows_of_another_width_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(M, 2\)"):
        probability(EXAMPLE, np.zeros(shape))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leaf": np.zeros((2, 3))}, "leaf has shape"),
        ({"leaf": np.zeros(4)}, "leaf has shape"),
        ({"leaf": np.zeros((2, 8))}, "feature has shape"),
        ({"threshold": np.zeros((2, 2))}, "threshold has shape"),
        ({"default_left": np.zeros((1, 3))}, "default_left has shape"),
        ({"leaf": np.full((2, 4), np.nan)}, "leaf must be finite"),
        ({"threshold": np.full((2, 3), np.inf)}, "threshold must be finite"),
        ({"base_margin": math.nan}, "base_margin must be finite"),
        ({"n_features": 1}, "outside the 1 features"),
        ({"feature": np.full((2, 3), -1)}, "outside the 2 features"),
    ],
)
def test_arrays_that_are_no_perfect_trees_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(EXAMPLE, **changes)


def test_an_ensemble_neither_changes_nor_shares_its_callers_arrays():
    leaf = np.zeros((2, 4))
    ensemble = replace(EXAMPLE, leaf=leaf)
    leaf[:] = 1.0
    assert_array_equal(ensemble.leaf, np.zeros((2, 4)))
    with pytest.raises(ValueError, match="read-only"):
        ensemble.threshold[0, 0] = 1.0


@pytest.mark.parametrize("ensemble", [EXAMPLE, FLAT], ids=["two trees", "one leaf"])
def test_an_ensemble_returns_from_its_bytes_unchanged(ensemble):
    again = TreeEnsemble.from_bytes(ensemble.to_bytes())
    for name in ("feature", "threshold", "default_left", "leaf", "base_margin", "n_features"):
        assert_array_equal(getattr(again, name), getattr(ensemble, name))
    assert again.to_bytes() == ensemble.to_bytes()


def test_no_clock_enters_the_bytes():
    with zipfile.ZipFile(io.BytesIO(EXAMPLE.to_bytes())) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def archive_with(**changes) -> bytes:
    with np.load(io.BytesIO(EXAMPLE.to_bytes())) as archive:
        content = dict(archive) | changes
    buffer = io.BytesIO()
    np.savez(buffer, **{name: value for name, value in content.items() if value is not None})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no .npz archive"),
        (b"not an archive", "no .npz archive"),
        (EXAMPLE.to_bytes()[:-40], "no .npz archive"),
        (archive_with(format_version=2), "format 2"),
        (archive_with(leaf=None), "leaf"),
        (archive_with(leaf=np.array([None, 1])), "allow_pickle"),
        (archive_with(n_features=1), "outside the 1 features"),
    ],
    ids=["empty", "text", "cut off", "newer", "without leaves", "pickled", "invalid"],
)
def test_damaged_or_foreign_bytes_are_refused(content, message):
    with pytest.raises(ValueError, match=message):
        TreeEnsemble.from_bytes(content)


@pytest.mark.parametrize("bit", range(8))
def test_one_flipped_bit_is_refused_or_harmless(bit):
    content = EXAMPLE.to_bytes()
    for byte in range(0, len(content), 13):
        damaged = bytearray(content)
        damaged[byte] ^= 1 << bit
        try:
            again = TreeEnsemble.from_bytes(bytes(damaged))
        except ValueError:
            continue
        assert again.to_bytes() == content
