"""Good tokens of two ages: the newest and the oldest that must still be accepted."""

from tests.conftest import FakeClock

from jwtdrill.tokens.held import GoodTokens


def test_the_oldest_is_kept_until_just_before_its_expiry(clock: FakeClock) -> None:
    tokens = GoodTokens(clock)
    tokens.add("first", 60)
    clock.pass_(30)
    tokens.add("second", 60)
    assert (tokens.oldest(), tokens.newest()) == ("first", "second")
    clock.pass_(26)  # four seconds before the first expires: no longer one that must be accepted
    assert (tokens.oldest(), tokens.newest()) == ("second", "second")
    clock.pass_(60)
    assert (tokens.oldest(), tokens.newest()) == (None, None)


def test_renewal_is_due_three_times_in_a_lifetime(clock: FakeClock) -> None:
    tokens = GoodTokens(clock)
    assert tokens.renewal_due()
    tokens.add("first", 60)
    assert not tokens.renewal_due()
    clock.pass_(20)
    assert tokens.renewal_due()
