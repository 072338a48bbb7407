"""A trading agent as arrays: the small perceptron that maps what it sees to a position.

Policies are learned elsewhere (``swingtrader.estimators.agents``) and served from here, so that
a decision loads no deep-learning library. The arithmetic is float32, in which they learned.

One row's action does not depend on the rows beside it, not by a bit. A matrix product of BLAS
takes another path for another number of rows; ``einsum``, unoptimised, adds up each output's
products in the order of the inputs. So a universe that grows by a stock moves no other stock's
signal, and a backtest may evaluate many sessions at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from swingtrader.core.arrays import frozen
from swingtrader.core.factors import FACTORS

if TYPE_CHECKING:
    from swingtrader.core.arrays import FloatArray

OBSERVATIONS = len(FACTORS) + 3
"""Numbers an agent sees: the factors, P(high volatility), volatility, its own position."""

Activation: TypeAlias = Literal["tanh", "relu"]
_ACTIVATIONS = get_args(Activation)


@dataclass(frozen=True, eq=False)  # arrays have no single truth value, so no generated ==
class Agent:
    """A deterministic policy: layers with one activation between them, and one output.

    Attributes
    ----------
    name : str
        Of the algorithm it was trained by.
    layers : tuple of (ndarray of shape (inputs, outputs), ndarray of shape (outputs,))
        Weights and biases, float32, from the observation to the action.
    activation : {'tanh', 'relu'}
        After every layer but the last.
    squashed : bool
        Whether the output passes tanh (SAC's policy), or is clipped to [-1, 1] (the mean of
        the Gaussian of PPO and A2C).

    Raises
    ------
    ValueError
        Layers do not fit together, from `OBSERVATIONS` inputs to one output; a parameter is
        not finite; or the activation is unknown.
    """

    name: str
    layers: tuple[tuple[FloatArray, FloatArray], ...]
    activation: Activation
    squashed: bool

    def __post_init__(self) -> None:
        layers = tuple((_parameters(w), _parameters(b)) for w, b in self.layers)
        object.__setattr__(self, "layers", layers)
        if self.activation not in _ACTIVATIONS:
            raise ValueError(f"activation must be one of {_ACTIVATIONS}, not {self.activation!r}")
        inputs = OBSERVATIONS
        for weights, biases in layers:
            if weights.shape != (inputs, biases.size) or biases.ndim != 1:
                raise ValueError(
                    f"a layer has shapes {weights.shape} and {biases.shape}, "
                    f"expected ({inputs}, outputs) and (outputs,)"
                )
            inputs = biases.size
        if not layers or inputs != 1:
            raise ValueError(f"the last layer has {inputs} outputs, expected 1")

    def act(self, observations: FloatArray) -> FloatArray:
        """Target position for each row, as stable-baselines3's deterministic ``predict`` gives it.

        Parameters
        ----------
        observations : ndarray of shape (M, OBSERVATIONS)
            Read as float32. Finite, as from `observations`.

        Returns
        -------
        ndarray of shape (M,), float64
            In [-1, 1]. NaN for a row that holds a NaN, or values (beyond 1e30 or so) whose sums
            leave float32: such a row is no observation, and spoils no other.

        Raises
        ------
        ValueError
            `observations` has another shape.
        """
        if observations.ndim != 2 or observations.shape[1] != OBSERVATIONS:
            raise ValueError(
                f"observations has shape {observations.shape}, expected (M, {OBSERVATIONS})"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            x = np.ascontiguousarray(observations, dtype=np.float32)
            for number, (weights, biases) in enumerate(self.layers, start=1):
                x = np.einsum("mi,io->mo", x, weights)
                x += biases
                if number < len(self.layers):
                    x = np.tanh(x) if self.activation == "tanh" else np.maximum(x, np.float32(0))
            action = x[:, 0].astype(np.float64)
            return np.tanh(action) if self.squashed else action.clip(-1.0, 1.0)


def _parameters(values: FloatArray) -> FloatArray:
    # A copy: the caller's own array stays writable and must not reach in here.
    with np.errstate(over="ignore"):
        array = np.array(values, dtype=np.float32, order="C")
    if not np.isfinite(array).all():
        raise ValueError("a parameter of the agent is not finite")
    return frozen(array)
