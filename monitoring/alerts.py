"""Decide which alerts are sent, so that each problem is reported once."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from monitoring.problems import DISK, SERVICE, Findings, Problem

MAX_ALERTS = 20  # in one pass; the next pass sends the others
MAX_FAILURES = 3  # in one pass: each takes up to the timeout of the receiver
# These problems end by themselves. Their end is reported, too.
ENDING = (SERVICE, DISK)

# For each known problem: its fields, and whether it was reported.
State = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Alert:
    """A message to people. With `is_resolved` it reports the end of a problem."""

    problem: Problem
    is_resolved: bool = False

    @property
    def title(self) -> str:
        """Return one line."""
        return f"vaxpulse: {'resolved: ' if self.is_resolved else ''}{self.problem.title}"

    @property
    def text(self) -> str:
        """Return title, advice and link."""
        advice = [] if self.is_resolved else [self.problem.advice]
        return "\n".join([self.title, *advice, self.problem.link])


def send_alerts(
    findings: Findings, state: State, send: Callable[[Alert], None], save: Callable[[State], None]
) -> None:
    """Send an alert for each problem that was not reported before.

    A service may restart during a pass. Therefore it is reported if the next pass finds the problem again.
    The state is saved after each alert. An alert that fails is sent again in the next pass, and the first
    failure is raised after the others were sent.

    Args:
        findings: current problems.
        state: result of the last pass. It is changed.
        send: sends one alert, or raises an exception.
        save: stores the state.
    """
    current = {problem.key: problem for problem in findings.problems}
    due: list[Alert] = []
    for key, entry in list(state.items()):
        problem = Problem(**entry["problem"])
        if key not in current and not {key, problem.cause} & findings.unchecked.keys():
            if entry["reported"] and problem.cause in ENDING:
                due.append(Alert(problem, is_resolved=True))
            else:
                del state[key]
    for key, problem in current.items():
        is_new = key not in state
        entry = state.setdefault(key, {"reported": False, "problem": asdict(problem)})
        if not entry["reported"] and not (is_new and problem.cause == SERVICE):
            due.append(Alert(problem))
    save(state)
    failures: list[Exception] = []
    for alert in due[:MAX_ALERTS]:
        try:
            send(alert)
        except Exception as error:  # the other alerts may arrive
            failures.append(error)
            if len(failures) == MAX_FAILURES:
                break
            continue
        if alert.is_resolved:
            del state[alert.problem.key]
        else:
            state[alert.problem.key]["reported"] = True
        save(state)
    if failures:
        raise failures[0]
