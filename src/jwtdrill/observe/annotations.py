"""What an alert says: who is hurt, since when, what to type first, and who causes most of it.

Prometheus fills the templates in at each evaluation. Since when: when the condition came true, from the series that
Prometheus keeps of it, or now where it just has.
"""

from collections.abc import Sequence

from jwtdrill.catalog.alerting import Alert
from jwtdrill.observe.timing import TimeScale

_METRIC_LABEL = {"path": "route"}  # of the contract, for an alert's own label `route` names a team
_SCOPE = "$SCOPE"  # in a culprit's query, for the alert's own labels


def annotations(alert: Alert, description: str, scale: TimeScale, page: str) -> dict[str, str]:
    """Summary, description and the runbook's URL."""
    hurt = f"{_sentence(alert.hurt)}{_where(alert.by)}"
    return {
        "summary": f"{hurt}, since {_since(alert.name, alert.by)}. First: {alert.first}",
        "description": f"{description}{_culprit(scale.expression(alert.culprit), alert.by)}",
        "runbook_url": page,
    }


def _sentence(text: str) -> str:
    """With a capital, where it does not begin with a template."""
    return text[0].upper() + text[1:]


def _where(by: Sequence[str]) -> str:
    place = " at {{ $labels.issuer }}" if "issuer" in by else ""
    others = [name for name in by if name not in ("environment", "issuer")]
    inside = ["{{ $labels.environment }}"] if "environment" in by else []
    inside += [f"{name} {{{{ $labels.{name} }}}}" for name in others]
    return f"{place} ({', '.join(inside)})" if inside else place


def _since(name: str, by: Sequence[str]) -> str:
    own = ", ".join([f'alertname="{name}"', *(f"{label}=%q" for label in by)])
    known = _filled(f"min(ALERTS_FOR_STATE{{{own}}}) or vector(time())", by)
    return f"{{{{ query {known} | first | value | humanizeTimestamp }}}}"


def _culprit(query: str, by: Sequence[str]) -> str:
    if not query:
        return ""
    scope = ", ".join(f"{_METRIC_LABEL.get(label, label)}=%q" for label in by)
    labels = "{{ range $name, $value := .Labels }} {{ $name }}={{ $value }}{{ end }}"
    return f" {{{{ range query {_filled(query.replace(_SCOPE, scope), by)} }}}}Most of it:{labels}.{{{{ end }}}}"


def _filled(query: str, by: Sequence[str]) -> str:
    """The query with the values of the alert's own labels, as an argument of a template."""
    return f"(printf `{query}` {' '.join(f'$labels.{label}' for label in by)})" if by else f"`{query}`"
