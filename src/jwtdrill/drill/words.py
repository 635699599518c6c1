"""How figures are put in words: the same in the page, the ticket and the journal."""

from collections.abc import Sequence
from datetime import timedelta

_MONTH_DAYS = (28, 31)


def seconds(value: float | None) -> str:
    """A time as people read it: `5.2 s`, `48 s`, `12 min`; a dash where there is none."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash that stands for nothing is one
    if abs(value) < 10:
        return f"{value:.1f} s"
    if abs(value) < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if abs(value) < 7200 else f"{value / 3600:.1f} h"


def share(value: float) -> str:
    """A share in percent with two digits that count."""
    percent = 100 * value
    if percent == 0:
        return "0 %"
    if percent < 0.01:
        return "less than 0.01 %"
    return f"{percent:.2f} %" if percent < 1 else f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def number(count: int) -> str:
    """A count with its thousands apart."""
    return f"{count:,}"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 drill`, `3 drills`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def period(length: timedelta) -> str:
    """`month` for one of thirty days, `7 days` for another."""
    days = length / timedelta(days=1)
    return "month" if _MONTH_DAYS[0] <= days <= _MONTH_DAYS[1] else f"{days:g} days"
