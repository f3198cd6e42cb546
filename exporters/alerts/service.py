"""Alerts while the exporter serves: one look at everything per interval, shared by all rules, and those who are told.

When alerts are off there is no task, no look, no open file: `Alerts` then only waits to be switched on by a reload.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from exporters.alerts import remembered
from exporters.alerts.board import Board
from exporters.alerts.config import AlertConfig
from exporters.alerts.deliveries.journal import Journal
from exporters.alerts.deliveries.receiver import Receiver
from exporters.alerts.deliveries.sender import Sender
from exporters.alerts.engine import Engine
from exporters.alerts.expression import selectors
from exporters.alerts.overrides import Overrides
from exporters.alerts.promql import parse
from exporters.alerts.samples import Sampler, families_of
from exporters.alerts.state import Alert, Outcome
from exporters.collector import Scraper
from exporters.garbage import Garbage
from exporters.readers.container_logs import ContainerLogReader
from exporters.readers.kernel_log import KernelLogReader
from exporters.web.looks import Runner

_GRACE_SECONDS = 3.0  # for what is due when a receiver is given up

log = logging.getLogger(__name__)


class Alerts:
    """Evaluates and tells. ``run`` gets to the thread that reads, ``scraper`` gives the one in force."""

    def __init__(
        self,
        run: Runner,
        scraper: Callable[[], Scraper],
        *,
        fs_root: str = "/",
        state_path: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``state_path`` is where what fires is remembered (None: nowhere), ``clock`` gives seconds of the epoch."""
        self._run = run
        self._state_path = state_path
        self._saved: frozenset[str] = frozenset()
        self._scraper = scraper
        self._fs_root = fs_root
        self._clock = clock
        self._config = AlertConfig()
        self._engine: Engine | None = None
        self._sampler = Sampler()
        self._garbage = Garbage()
        self._journal = Journal()
        self._senders: dict[Receiver, Sender] = {}
        self._evaluating = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.board: Board | None = None
        """What is shown on the page; None while alerts are off."""

    @property
    def outcome(self) -> Outcome | None:
        """The latest evaluation; None while alerts are off."""
        return self.board.outcome if self.board is not None else None

    async def apply(self, config: AlertConfig) -> None:
        """Begin, go on with another configuration, or end. What fires goes on firing where its rule is still there."""
        await self._pause()
        self._config = config
        if not config.enabled:
            await self._switch_off()
            return
        self._engine = self._new_engine(config, self._engine)
        self._say_what_is_missing(self._engine)
        await self._choose_receivers(config.receivers)
        self.board = self._new_board(config, self._engine)
        self._task = asyncio.get_running_loop().create_task(self._evaluate_for_ever(self._engine, self.board))

    async def close(self) -> None:
        """End; receivers are not told that alerts are resolved, since they are not."""
        await self._pause()
        await self._choose_receivers(())
        if self.board is not None and self.board.kernel_log is not None:
            self.board.kernel_log.close()
        self.board = None

    # ------------------------------------------------------------------------------------- evaluating

    async def _evaluate_for_ever(self, engine: Engine, board: Board) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                async with self._evaluating:
                    await self._evaluate(engine, board)
            except Exception:
                log.exception("alerts could not be evaluated; the next attempt is made as usual")
            # On a machine that is too slow evaluations are left out, not made up for.
            due = max(due + self._config.interval_seconds, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _evaluate(self, engine: Engine, board: Board) -> None:
        before = board.outcome.failures
        outcome, seconds = await self._run(lambda: self._look(engine))
        board.outcome, board.duration_seconds = outcome, seconds
        board.evaluations += 1
        board.failures += len(outcome.failures)
        for alert, why in outcome.failures.items():
            if alert not in before:
                log.error("rule %s cannot be evaluated: %s", alert, why)
        self._tell(outcome)

    def _look(self, engine: Engine) -> tuple[Outcome, float]:
        """Read once what all rules need, and evaluate them; in the thread that reads."""
        began = time.perf_counter()
        scraper = self._scraper()
        with self._garbage.put_off():
            sheet = scraper.scrape(families_of(engine.metrics) & scraper.families.keys())
            outcome = engine.evaluate(self._clock(), self._sampler.samples(sheet, engine.metrics))
        self._remember(engine, outcome)
        return outcome, time.perf_counter() - began

    def _remember(self, engine: Engine, outcome: Outcome) -> None:
        firing = frozenset(alert.fingerprint for alert in outcome.firing)
        if self._state_path is not None and firing != self._saved:
            self._saved = firing
            remembered.save(self._state_path, engine.tracks)

    def _tell(self, outcome: Outcome) -> None:
        if self._config.log:
            self._journal.tell(outcome)
        for sender in self._senders.values():
            sender.tell(outcome)

    # ---------------------------------------------------------------------------------------- changing

    async def _pause(self) -> None:
        """Stop evaluating. An evaluation that runs is awaited: what it resolves has to be told."""
        if self._task is None:
            return
        async with self._evaluating:
            self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    async def _switch_off(self) -> None:
        """Resolve what fires: nobody looks after it any more."""
        if self.board is not None:
            now = self._clock()
            ended = tuple(_ended(alert, now) for alert in self.board.outcome.firing)
            self._tell(Outcome(now, resolved=ended))
        self._engine = None
        if self._state_path is not None:
            remembered.forget(self._state_path)
        await self.close()

    def _new_engine(self, config: AlertConfig, before: Engine | None) -> Engine:
        engine = Engine(
            config.rules,
            Overrides(config.overrides),
            engine_labels=config.engine_labels,
            labels=config.labels,
            runbooks=config.runbooks,
        )
        if before is not None:
            engine.take_over(before)
        elif self._state_path is not None:
            engine.restore(remembered.load(self._state_path))
        return engine

    async def _choose_receivers(self, receivers: tuple[Receiver, ...]) -> None:
        """Tell these from now on; those that stay keep what waits for them."""
        gone = [one for one in self._senders if one not in receivers]
        await asyncio.gather(*(self._senders.pop(one).stop(_GRACE_SECONDS) for one in gone))
        for receiver in receivers:
            if receiver not in self._senders:
                sender = self._senders[receiver] = Sender(receiver, self._clock)
                sender.start()

    def _new_board(self, config: AlertConfig, engine: Engine) -> Board:
        before = self.board
        board = Board(
            processes=config.processes,
            kernel_log=KernelLogReader(config.kernel_log) if config.kernel_log else None,
            container_logs=ContainerLogReader(config.container_logs, self._fs_root) if config.container_logs else None,
            rules=len(engine.rules),
            receivers={sender.name: sender.counts for sender in self._senders.values()},
        )
        if before is not None:
            board.outcome, board.evaluations, board.failures = before.outcome, before.evaluations, before.failures
            if before.kernel_log is not None:
                if board.kernel_log is not None:
                    board.kernel_log.take_over(before.kernel_log)
                before.kernel_log.close()
            if before.container_logs is not None and board.container_logs is not None:
                board.container_logs.take_over(before.container_logs)
        return board

    def _say_what_is_missing(self, engine: Engine) -> None:
        """Name the rules that stay silent because what they read is switched off."""
        on = self._scraper().families.keys()
        for rule in engine.rules:
            read = {one.name for one in selectors(parse(rule.value))}
            off = families_of(read) - on
            if off:
                log.info("rule %s knows less or nothing without --collector.%s", rule.alert, ", ".join(sorted(off)))


def _ended(alert: Alert, now: float) -> Alert:
    return Alert("resolved", alert.labels, alert.annotations, alert.value, alert.since, now)
