"""What one retraining trains, and on what: the bars are looked at first.

Whatever could have damaged them stops the run before anything is trained. Then the ranker comes,
then the regime, then the agents, who learn from what the ranker ranks high and from the regime
that is to serve.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.calendar import session_before
from swingtrader.adapters.model_cache import ModelCache
from swingtrader.commands import ranker_training, regime_training, rl_candidate
from swingtrader.commands.data_check import universe_symbols
from swingtrader.commands.regime_filter import filtered_path, regime_history
from swingtrader.commands.rl_training import SEEDS
from swingtrader.commands.training_material import material_of
from swingtrader.core.challenge import Verdict
from swingtrader.core.plausibility import Reference, doubts_about
from swingtrader.core.regime import RegimeModel
from swingtrader.errors import DataError
from swingtrader.estimators.agents import TIMESTEPS
from swingtrader.estimators.artifact import served_versions, serving, version_names

if TYPE_CHECKING:
    from datetime import date, datetime

    from swingtrader.adapters.bars import Bars
    from swingtrader.adapters.store import Store
    from swingtrader.commands.backtest_inputs import Progress
    from swingtrader.commands.model_candidate import Candidate
    from swingtrader.commands.regime_filter import RegimeHistory
    from swingtrader.commands.regime_training import ServingRegime
    from swingtrader.commands.training_material import Material
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.market import Panel
    from swingtrader.core.trees import TreeEnsemble
    from swingtrader.environment import Places
    from swingtrader.estimators.artifact import Artifact

FAMILIES = ("ranker", "regime", "rl")


@dataclass(frozen=True)
class RetrainOptions:
    """What the command line asks for.

    Attributes
    ----------
    families : tuple of str
        Of `FAMILIES`, what to train.
    dry_run : bool
        Train and judge, but install nothing.
    timesteps : int
        Of each agent.
    agent_seeds : int
        Times the agents are trained, to see how much of their worth is luck.
    """

    families: tuple[str, ...] = FAMILIES
    dry_run: bool = False
    seed: int = 0
    timesteps: int = TIMESTEPS
    agent_seeds: int = len(SEEDS)


@dataclass(eq=False)
class Retraining:
    """One retraining, as far as it has come.

    Attributes
    ----------
    session : date
        The next to be decided in; bars of it or later are not read.
    at : datetime
        Of the run, aware.
    warnings : list of str
        What the person should know.
    """

    places: Places
    strategy: Strategy
    options: RetrainOptions
    bars: Bars
    session: date
    at: datetime
    store: Store
    progress: Progress
    warnings: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.warnings = list(self.bars.warnings)
        self._cache = ModelCache(self.places.models_dir / "walk-forward")

    def candidates(self) -> list[Candidate]:
        """Train what is asked for and judge it; nothing is installed.

        Raises
        ------
        DataError
            The bars must not be trained on, or are too few.
        """
        panel = self._checked()
        wanted = self.options.families
        done = self.progress.phase("Computing factors")
        material = material_of(panel, self.strategy, known=len(panel.sessions) - 1)
        done(1)
        found: list[Candidate] = []
        ensemble = None
        if "ranker" in wanted:
            candidate, ensemble = ranker_training.ranker_candidate(
                material, self.strategy, seed=self.options.seed, cache=self._cache,
                champion=self._champion("ranker"), progress=self.progress,
            )  # fmt: skip
            found.append(self._in_order(candidate))
            if not found[0].verdict.promoted:
                ensemble = None  # agents then ask the ranker that goes on serving
        history = regime_history(self.bars, self.strategy, self.session)
        regime = self._regime(history) if "regime" in wanted else None
        if regime is not None:
            found.append(regime)
        if "rl" in wanted:
            p_high = self._p_high_volatility(history, regime)
            found.extend(self._agents(material, ensemble, p_high))
        return found

    def _checked(self) -> Panel:
        """The bars up to the last completed session, if they may be trained on."""
        completed = session_before(self.session)
        sessions = self.bars.panel.sessions
        stop = int(np.searchsorted(sessions, np.datetime64(completed, "D"), side="right"))
        panel = self.bars.panel.rows(0, stop)
        doubts = doubts_about(panel, completed, self._reference())
        self.warnings += [doubt.sentence for doubt in doubts if not doubt.fatal]
        fatal = [doubt.sentence for doubt in doubts if doubt.fatal]
        if fatal:
            raise DataError(f"these bars must not be trained on: {'; '.join(fatal)}")
        return panel

    def _reference(self) -> Reference | None:
        champion = self._champion("ranker")
        if champion is None or ranker_training.REFERENCE_FILE not in champion.manifest.sha256:
            return None
        path = champion.path(ranker_training.REFERENCE_FILE)
        wanted = {*universe_symbols(self.strategy.universe), *self.bars.panel.symbols}
        try:
            return Reference.from_bytes(path.read_bytes()).among(wanted)
        except ValueError as error:
            self.warnings.append(f"{path}: {error}; bars are not compared with earlier ones")
            return None

    def _champion(self, family: str) -> Artifact | None:
        found = serving(self.places.models_dir, family)
        self.warnings += [doubt for doubt in found.doubts if doubt not in self.warnings]
        return found.artifact

    def _in_order(self, candidate: Candidate) -> Candidate:
        """The candidate, refused where the comparison is no guide."""
        family, models_dir = candidate.family, self.places.models_dir
        champion = self._champion(family)
        span = None if champion is None else champion.manifest.training_sessions
        if span is not None and span[1] > candidate.training_sessions[1]:
            # It has seen the sessions to compare them on.
            why = f"what serves was trained up to {span[1]}, later than this"
        elif (
            champion is not None
            and candidate.version in version_names(models_dir, family)
            and candidate.version not in served_versions(models_dir, family)
        ):
            why = "it was refused before, or taken back by hand, and nothing has changed since"
        else:
            return candidate
        return replace(candidate, verdict=Verdict(promoted=False, sentence=why, figures={}))

    def _serving_regime(self) -> ServingRegime | None:
        champion, doubts = regime_training.serving_regime(self.places.models_dir)
        self.warnings += [doubt for doubt in doubts if doubt not in self.warnings]
        return champion

    def _regime(self, history: RegimeHistory) -> Candidate | None:
        done = self.progress.phase("Fitting the regime")
        candidate = regime_training.regime_candidate(
            history.features, history.sessions, known=history.known, week=history.week,
            seed=self.options.seed, champion=self._serving_regime(),
        )  # fmt: skip
        done(1)
        if candidate is None:
            self.warnings.append("the bars are too few to fit a regime model")
            return None
        return self._in_order(candidate)

    def _agents(
        self, material: Material, ensemble: TreeEnsemble | None, p_high: FloatArray
    ) -> list[Candidate]:
        try:
            symbols, said = rl_candidate.chosen_symbols(
                material, self.store, ensemble, self.places.models_dir, self.at
            )
            candidate = rl_candidate.rl_candidate(
                material,
                p_high,
                symbols,
                self.strategy,
                champion=self._champion("rl"),
                seed=self.options.seed,
                timesteps=self.options.timesteps,
                agent_seeds=self.options.agent_seeds,
                cache=self._cache,
                progress=self.progress,
            )
        except DataError as error:
            if self.options.families == ("rl",):
                raise
            self.warnings.append(f"no agents were trained: {error}")
            return []
        self.warnings += [said] if said else []
        return [self._in_order(candidate)]

    def _p_high_volatility(self, history: RegimeHistory, regime: Candidate | None) -> FloatArray:
        """Filtered by the model that is to serve: shape (T,), NaN before its first session."""
        p_high = np.full(len(history.sessions), np.nan)
        if regime is not None and regime.verdict.promoted:
            model = RegimeModel.from_bytes(regime.files[regime_training.MODEL_FILE])
            path = filtered_path(history, regime.training_sessions[0], model)
        elif (champion := self._serving_regime()) is not None:
            path = filtered_path(history, champion.first_session, champion.model)
        else:
            return p_high
        p_high[len(p_high) - len(path) :] = path
        return p_high
