"""Evaluate gradient-boosted trees with NumPy, without the library that grew them.

A learned ensemble is exported once (``swingtrader.estimators.ranker``) and served from here, so
that a decision loads neither a C++ library nor a model format that can change under it. Every
tree is stored as a *perfect* tree of one depth: node i has the children 2i + 1 and 2i + 2, and a
leaf that sits higher up is repeated over all positions below it. That wastes a few bytes and
makes the walk the same D steps for every row and tree, which NumPy can take all at once.

The arithmetic is xgboost's own, in float32 and tree after tree: a better sum would be another
model than the one that was validated. It also keeps a row's probability independent of the rows
beside it, which numpy's pairwise sum does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.core.archive import archived, unarchived
from swingtrader.core.arrays import frozen

if TYPE_CHECKING:
    from swingtrader.core.arrays import BoolArray, FloatArray, IntArray

FORMAT_VERSION = 1
"""Of the bytes `TreeEnsemble.to_bytes` writes; raised when their meaning changes."""

_POSITIONS_AT_ONCE = 1 << 17
"""Rows times trees walked together: 1 MiB an array, whatever the number of rows."""

_DTYPES: dict[str, type[np.generic]] = {
    "feature": np.int32,
    "threshold": np.float32,
    "default_left": np.bool_,
    "leaf": np.float32,
}
_MEMBERS = (*_DTYPES, "base_margin", "n_features")


@dataclass(frozen=True, eq=False)  # arrays have no single truth value, so no generated ==
class TreeEnsemble:
    """Binary classification trees of one depth D, whose leaves add up to a log-odds.

    Attributes
    ----------
    feature : ndarray of shape (trees, 2**D - 1), int32
        Column each node looks at.
    threshold : ndarray of shape (trees, 2**D - 1), float32
        A value below it goes left, any other right.
    default_left : ndarray of shape (trees, 2**D - 1), bool
        Where a missing value (NaN) goes.
    leaf : ndarray of shape (trees, 2**D), float32
        Log-odds, from left to right.
    base_margin : float
        Log-odds before the first tree.
    n_features : int
        Columns the ensemble was trained on.

    Raises
    ------
    ValueError
        Shapes do not belong to perfect trees, a threshold or leaf is not finite, or a node
        looks at a column that does not exist.
    """

    feature: IntArray
    threshold: FloatArray
    default_left: BoolArray
    leaf: FloatArray
    base_margin: float
    n_features: int

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            # A copy: the caller's own array stays writable and must not reach in here.
            object.__setattr__(self, name, frozen(np.array(getattr(self, name), dtype=dtype)))
        object.__setattr__(self, "base_margin", float(self.base_margin))
        object.__setattr__(self, "n_features", int(self.n_features))
        if self.leaf.ndim != 2 or self.leaf.shape[1] != 1 << self.depth:
            raise ValueError(f"leaf has shape {self.leaf.shape}, expected (trees, 2**depth)")
        nodes = (len(self.leaf), self.leaf.shape[1] - 1)
        for name in ("feature", "threshold", "default_left"):
            if getattr(self, name).shape != nodes:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {nodes}")
        for name in ("threshold", "leaf", "base_margin"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} must be finite")
        if ((self.feature < 0) | (self.feature >= self.n_features)).any():
            raise ValueError(f"a node looks at a column outside the {self.n_features} features")

    @property
    def depth(self) -> int:
        """D, the number of questions from the root to any leaf."""
        return max(int(self.leaf.shape[-1]).bit_length() - 1, 0)

    def to_bytes(self) -> bytes:
        """Return the ensemble as .npz; the same ensemble gives the same bytes."""
        return archived(FORMAT_VERSION, {name: getattr(self, name) for name in _MEMBERS})

    @classmethod
    def from_bytes(cls, content: bytes) -> TreeEnsemble:
        """Read back what `to_bytes` wrote; nothing in it can execute.

        Raises
        ------
        ValueError
            The bytes are damaged, of another version, or no valid ensemble.
        """
        members: dict[str, Any] = dict(
            unarchived("tree ensemble", FORMAT_VERSION, _MEMBERS, content)
        )
        return cls(**members)


def probability(ensemble: TreeEnsemble, x: FloatArray) -> FloatArray:
    """Probability of the positive class for each row, as xgboost's ``predict`` gives it.

    Parameters
    ----------
    ensemble : TreeEnsemble
    x : ndarray of shape (M, F)
        As for `log_odds`.

    Returns
    -------
    ndarray of shape (M,), float64
        Equal to xgboost's float32 in all but about 5 of 10,000 rows, and within 6e-8 there.

    Raises
    ------
    ValueError
        `x` is not of shape (M, F) with the ensemble's own F.
    """
    # xgboost's sigmoid, 1 / (1 + exp(-margin)) in float32, but for the exponential: taken in
    # float64 and rounded once, it does not depend on the platform's float32 library.
    one = np.float32(1.0)
    with np.errstate(over="ignore"):
        odds_against = np.exp(-log_odds(ensemble, x).astype(np.float64)).astype(np.float32)
    return (one / (odds_against + one)).astype(np.float64)


def log_odds(ensemble: TreeEnsemble, x: FloatArray) -> FloatArray:
    """Add up base margin and the leaf of each tree, bit by bit like xgboost's margin.

    Parameters
    ----------
    ensemble : TreeEnsemble
    x : ndarray of shape (M, F)
        Compared in float32, in which the thresholds were learned. NaN is a missing value and
        takes each node's default direction.

    Returns
    -------
    ndarray of shape (M,), float32

    Raises
    ------
    ValueError
        `x` is not of shape (M, F) with the ensemble's own F.
    """
    if x.ndim != 2 or x.shape[1] != ensemble.n_features:
        raise ValueError(f"x has shape {x.shape}, expected (M, {ensemble.n_features})")
    single = np.ascontiguousarray(x, dtype=np.float32)
    rows_at_once = max(_POSITIONS_AT_ONCE // max(len(ensemble.leaf), 1), 1)
    margin = np.full(len(single), ensemble.base_margin, dtype=np.float32)
    for start in range(0, len(single), rows_at_once):
        rows = slice(start, start + rows_at_once)
        for leaf_of_one_tree in _leaves(ensemble, single[rows]):
            margin[rows] += leaf_of_one_tree
    return margin


def _leaves(ensemble: TreeEnsemble, x: FloatArray) -> FloatArray:
    """Value of the leaf each row falls into, ndarray of shape (trees, M)."""
    trees, nodes = ensemble.feature.shape
    tree = np.arange(trees)[:, None]
    row = np.arange(len(x)) * x.shape[1]
    feature = ensemble.feature.ravel().astype(np.intp)
    threshold = ensemble.threshold.ravel()
    default_left = ensemble.default_left.ravel()
    values = x.ravel()
    any_missing = bool(np.isnan(x).any())
    node = np.zeros((trees, len(x)), dtype=np.intp)  # numbered within its own tree
    for _ in range(ensemble.depth):
        position = tree * nodes + node
        value = values.take(row + feature.take(position))
        left = value < threshold.take(position)  # false for NaN
        if any_missing:
            left |= np.isnan(value) & default_left.take(position)
        node = 2 * node + 2 - left
    leaves: FloatArray = ensemble.leaf.ravel().take(tree * (nodes + 1) + node - nodes)
    return leaves
