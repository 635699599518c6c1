"""Before anything is broken it is shown, and somebody agrees; a lab may be broken unasked."""

import io
from pathlib import Path

import pytest

from jwtdrill.drill.experiment import Experiment, find_experiment
from jwtdrill.drill.plan import YES, check_allowed, consent, fingerprint, plan
from jwtdrill.errors import BadInputError
from jwtdrill.target.load import load_target
from jwtdrill.target.model import Target

OUTAGE = Experiment.read(find_experiment("jwks_outage"))
TIMES = "[times]\ncache_lifetime = 300\nretry = 30\n"


def target(folder: Path, environment: str = "staging", times: str = TIMES, faults: str = '["jwks.*"]') -> Target:
    path = folder / "target.toml"
    path.write_text(
        f'environment = "{environment}"\n[issuer]\nurl = "http://127.0.0.1:1"\n'
        f'[break]\nfaults = {faults}\nproxy = "http://127.0.0.1:2"\n{times}'
    )
    return load_target(str(path))


def test_the_plan_says_what_where_how_long_how_it_ends_and_what_lasts_on(tmp_path: Path) -> None:
    text = "\n".join(plan(target(tmp_path), [OUTAGE]))
    for part in (
        *(
            "staging, issuer http://127.0.0.1:1",
            "fault agent at http://127.0.0.1:2",
            "JWKS outage (F10), at most 115 s",
        ),
        *("jwks.status status=503: hurts", "10 s after this process is gone", "`jwtdrill stop`", "32 s at most"),
    ):
        assert part in text


def test_what_lasts_on_without_a_bound_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"nothing says how long: set retry under \[times\]"):
        plan(target(tmp_path, times=""), [OUTAGE])


def test_production_and_what_is_not_listed_are_refused(tmp_path: Path) -> None:
    check_allowed(target(tmp_path), [OUTAGE])
    with pytest.raises(BadInputError, match="environment is production"):
        check_allowed(target(tmp_path, "production"), [OUTAGE])
    with pytest.raises(BadInputError, match=r"jwks\.status is not among what \[break\] allows"):
        check_allowed(target(tmp_path, faults='["keys.*"]'), [OUTAGE])


@pytest.mark.parametrize(
    ("environment", "yes", "variable", "agreed"),
    [
        ("lab", None, None, True),
        ("staging", None, None, False),
        ("staging", True, None, True),
        ("staging", False, "1", False),
        ("staging", None, "1", True),
    ],
)
def test_who_agrees_where_nobody_can_be_asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    yes: bool | None,
    variable: str | None,
    agreed: bool,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))  # no terminal: what stands there is nobody's answer
    monkeypatch.delenv(YES, raising=False)
    if variable is not None:
        monkeypatch.setenv(YES, variable)
    told: list[str] = []
    if agreed:
        consent(target(tmp_path, environment), [OUTAGE], told.append, yes=yes)
    else:
        with pytest.raises(BadInputError, match="not confirmed: nothing was touched"):
            consent(target(tmp_path, environment), [OUTAGE], told.append, yes=yes)
    assert any("jwks.status" in line for line in told)


@pytest.mark.parametrize(
    ("answer", "agreed"), [("y\n", True), ("Yes\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_at_a_terminal_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, agreed: bool) -> None:
    stdin = io.StringIO(answer)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", stdin)
    monkeypatch.delenv(YES, raising=False)
    if agreed:
        consent(target(tmp_path), [OUTAGE], lambda _: None)
    else:
        with pytest.raises(BadInputError, match="not confirmed"):
            consent(target(tmp_path), [OUTAGE], lambda _: None)


def test_a_target_file_has_another_fingerprint_once_it_has_changed(tmp_path: Path) -> None:
    found = target(tmp_path)
    before = fingerprint(found)
    assert fingerprint(found) == before
    found.path.write_text(found.path.read_text() + "\n")
    assert fingerprint(found) != before
    found.path.unlink()
    with pytest.raises(BadInputError, match="cannot be read any more"):
        fingerprint(found)
