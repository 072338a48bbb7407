"""Learn the ranker: xgboost's classifier, exported as plain arrays.

The export is the artefact; nothing that serves a rank imports xgboost. Fits use one thread by
default, so that histogram sums are added in one order on every machine and the same data and
seed give the same model. A caller who has two cores fits two models side by side instead:
xgboost releases the interpreter's lock.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.core.trees import TreeEnsemble

if TYPE_CHECKING:
    from swingtrader.core.arrays import BoolArray, FloatArray

MINIMUM_ROWS = 200
"""Fewer symbol-sessions than this are no training set."""

_NO_CHILD = -1


@dataclass(frozen=True)
class RankerParameters:
    """How the trees are grown; the defaults are the design's.

    Attributes
    ----------
    depth : int
        Questions from a root to a leaf, at most.
    trees : int
        Boosting rounds.
    learning_rate : float
        Share of each tree's correction that is taken.
    max_bin : int
        Histogram bins a feature's values are sorted into.
    """

    depth: int = 4
    trees: int = 300
    learning_rate: float = 0.03
    max_bin: int = 256


def fit_ranker(
    x: FloatArray,
    y: BoolArray,
    *,
    seed: int = 0,
    parameters: RankerParameters = RankerParameters(),
    threads: int = 1,
) -> TreeEnsemble:
    """Fit the classifier; the same rows, seed and one thread give the same bits.

    Parameters
    ----------
    x : ndarray of shape (M, F), float32
        One row a symbol and session. NaN is missing; infinities are refused.
    y : ndarray of shape (M,), bool
        True where the row was in the top quartile. The rarer class is weighted up until both
        weigh the same (``scale_pos_weight`` = negatives / positives).
    seed : int
        xgboost's; no row or column sampling is configured that would draw from it.
    parameters : RankerParameters
    threads : int
        More than one is faster, and may change the last bits from machine to machine.

    Returns
    -------
    TreeEnsemble
        To be evaluated by `swingtrader.core.trees.probability`.

    Raises
    ------
    ValueError
        Shapes disagree, there are fewer than 200 rows, `y` is not bool or of one class, or `x`
        holds an infinity.
    """
    import xgboost as xgb  # noqa: PLC0415 - half a second and 100 MiB, for a fit only

    if x.ndim != 2 or y.shape != (len(x),):
        raise ValueError(f"x has shape {x.shape} and y {y.shape}, expected (M, F) and (M,)")
    if y.dtype != np.bool_:
        raise ValueError(f"y holds {y.dtype}, expected bool: a missing label is no negative")
    if len(x) < MINIMUM_ROWS:
        raise ValueError(f"a ranker needs {MINIMUM_ROWS} rows, got {len(x)}")
    single = np.ascontiguousarray(x, dtype=np.float32)
    if np.isinf(single).any():
        raise ValueError("a feature is infinite")
    positives = int(np.count_nonzero(y))
    if positives in {0, len(y)}:
        raise ValueError("all labels are of one class")

    rows = xgb.QuantileDMatrix(
        single,
        y.astype(np.float32),
        nthread=threads,
        max_bin=parameters.max_bin,
    )
    booster = xgb.train(
        {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "max_depth": parameters.depth,
            "learning_rate": parameters.learning_rate,
            "max_bin": parameters.max_bin,
            "scale_pos_weight": (len(y) - positives) / positives,
            # The average of classes that are weighted to be equal, and a log-odds of exactly 0.
            "base_score": 0.5,
            "seed": seed,
            "nthread": threads,
            "verbosity": 0,
        },
        rows,
        num_boost_round=parameters.trees,
    )
    return tree_ensemble(json.loads(bytes(booster.save_raw("json"))))


def xgboost_version() -> str:
    """Version of xgboost, whichever distribution is installed, without importing it."""
    try:
        return version("xgboost-cpu")
    except PackageNotFoundError:
        return version("xgboost")


def tree_ensemble(model: dict[str, Any]) -> TreeEnsemble:
    """Perfect trees from an xgboost model as its JSON format describes it.

    Parameters
    ----------
    model : dict
        As parsed from ``Booster.save_raw("json")``; the schema is in xgboost's documentation,
        "Introduction to Model IO".

    Raises
    ------
    ValueError
        The model is no binary logistic classifier of numerical splits.
    """
    learner = model["learner"]
    if learner["objective"]["name"] != "binary:logistic":
        raise ValueError(f"objective {learner['objective']['name']} is not binary:logistic")
    trees = learner["gradient_booster"]["model"]["trees"]
    if any(any(tree["split_type"]) for tree in trees):
        raise ValueError("categorical splits are not supported")
    depth = max((_depth(tree, 0) for tree in trees), default=0)
    nodes = (1 << depth) - 1
    feature = np.zeros((len(trees), nodes), dtype=np.int32)
    threshold = np.zeros((len(trees), nodes), dtype=np.float32)
    default_left = np.ones((len(trees), nodes), dtype=np.bool_)
    leaf = np.zeros((len(trees), nodes + 1), dtype=np.float32)
    for n, tree in enumerate(trees):
        # Pairs of the library's node and the position it takes in the perfect tree. A leaf has
        # xgboost's number of the node in each position of a level, from left to right. A leaf
        # has no children and stands for itself, twice, on the level below.
        level = [0]
        for d in range(depth):
            below: list[int] = []
            for position, node in enumerate(level, start=(1 << d) - 1):
                left, right = tree["left_children"][node], tree["right_children"][node]
                if left == _NO_CHILD:
                    below += [node, node]
                    continue
                feature[n, position] = tree["split_indices"][node]
                threshold[n, position] = tree["split_conditions"][node]
                default_left[n, position] = tree["default_left"][node]
                below += [left, right]
            level = below
        # The field that holds a split's threshold holds a leaf's value.
        leaf[n] = [tree["split_conditions"][node] for node in level]
    return TreeEnsemble(
        feature=feature,
        threshold=threshold,
        default_left=default_left,
        leaf=leaf,
        base_margin=_base_margin(learner["learner_model_param"]["base_score"]),
        n_features=int(learner["learner_model_param"]["num_feature"]),
    )


def _depth(tree: dict[str, Any], node: int) -> int:
    """Questions from `node` to its deepest leaf."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    return 0 if left == _NO_CHILD else 1 + max(_depth(tree, left), _depth(tree, right))


def _base_margin(base_score: str) -> float:
    """Log-odds of a base score, which is a probability: ``5E-1``, or ``[5E-1]`` since 3.1."""
    # The odds are rounded to float32 as xgboost does; else every sum would start one bit off.
    odds_against = np.float32(1.0) / np.float32(base_score.strip("[]")) - np.float32(1.0)
    return -math.log(odds_against)
