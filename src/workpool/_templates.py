"""The templates of one pool: one that forks its workers, and those before it whose workers still run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

from workpool._forked_template import ForkedTemplate
from workpool._system.process import Process
from workpool._template import Template
from workpool._worker_config import WorkerConfig


class Templates:
    """Starts, watches and ends templates. `on_end` is called when the last has ended."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool_name: str,
        forked: ForkedTemplate | None = None,
    ) -> None:
        self.on_end: Callable[[], None] = lambda: None
        self._loop = loop
        self._pool_name = pool_name
        self._current: Template | None = None
        self._present: list[Template] = []
        self._forked = forked
        """The first, if it is there already and nothing is against it."""
        self._given_up = False
        """Whether workers are to be interpreters of their own from now on."""

    def __bool__(self) -> bool:
        return bool(self._present)

    def template_for(self, config: WorkerConfig, environment: Mapping[str, str]) -> Template | None:
        """Return the template to fork a worker from, or None if it is to be started without.

        Another takes the place of one that has ended, or that was started under other
        circumstances: in another directory, with other variables. Raises `OSError`.
        """
        current = self._current
        if current is not None and current.ending:
            self._look_after(current)
            current = None
        if self._given_up:
            return None
        if current is not None and not current.suits(config, environment):
            current.retire()
            current = None
        self._current = current or self._start(config, environment)
        return self._current

    def stop(self) -> None:
        """Have no more workers made: those there are are the last."""
        self._given_up = True
        if self._forked is not None:
            self._forked.close()

    def kill(self) -> None:
        """End all of them, without waiting for that."""
        for template in self._present:
            template.kill()

    def kill_and_reap(self) -> None:
        """End all of them, without an event loop."""
        self.stop()
        self.kill()
        for template in list(self._present):
            template.status = template.status or template.process.reap(wait=True)
            self._forget(template)

    def abandon(self) -> list[Process]:
        """Let go of them, as if this process had ended; return who is to be reaped."""
        self.stop()
        present, self._present = self._present, []
        for template in present:
            self._stop_watching(template)
            template.close()
        return [template.process for template in present if template.status is None]

    def let_go_in_child(self) -> None:
        """In a forked child: close our copies of the descriptors."""
        for template in self._present:
            template.close()
            template.process.close()
        self._present = []

    def _start(self, config: WorkerConfig, environment: Mapping[str, str]) -> Template:
        template = self._given(config, environment) or Template(config, environment)
        try:
            self._loop.add_reader(template.process.descriptor, self._look_after, template)
        except OSError:
            template.kill()
            template.process.reap(wait=True)
            template.close()
            template.process.close()
            raise
        self._present.append(template)
        return template

    def _given(self, config: WorkerConfig, environment: Mapping[str, str]) -> Template | None:
        """Return the template that the pool was given, the first time, if it can be used."""
        taken = None if self._forked is None else self._forked.take(environment)
        self._forked = None
        if taken is None:
            return None
        try:
            return Template(config, environment, taken)
        except OSError as error:
            logging.getLogger("workpool").warning(
                "the template that pool %r was given cannot be used (%s); it has ended, or was killed. "
                "Another is started",
                self._pool_name,
                error,
            )
            return None

    def _look_after(self, template: Template) -> None:
        """Account for a template that has ended, or is about to."""
        template.end()
        if template not in self._present or template.status is None:
            return
        reason = template.last_words()
        log = logging.getLogger("workpool")
        if reason:
            self._given_up = True
            log.warning(
                "pool %r cannot fork its workers from a template (start_method='template'), because "
                "%s. They are started as interpreters of their own, as by default.",
                self._pool_name,
                reason,
            )
        elif template is self._current and not template.killed:
            log.warning(
                "the template of pool %r (pid %d) %s; with the next worker another is started",
                self._pool_name,
                template.process.pid,
                template.status,
            )
        self._forget(template)

    def _forget(self, template: Template) -> None:
        self._stop_watching(template)
        template.close()
        template.process.close()
        self._present.remove(template)
        if template is self._current:
            self._current = None
        if not self._present:
            self.on_end()

    def _stop_watching(self, template: Template) -> None:
        if not self._loop.is_closed():
            with suppress(OSError):
                self._loop.remove_reader(template.process.descriptor)
