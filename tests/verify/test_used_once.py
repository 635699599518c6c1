"""Identifiers are remembered exactly as long as they could be used again."""

from jwtdrill.verify.proof import UsedOnce


def test_memory_is_bounded_by_expiry() -> None:
    used = UsedOnce()
    for number in range(1000):
        assert used.first_time(f"i {number}", expires=number + 60, now=number)
        assert len(used) <= 60
    assert not used.first_time("i 999", expires=2000, now=999)
    assert used.first_time("another 999", expires=2000, now=999)


def test_memory_is_bounded_by_number_too() -> None:
    used = UsedOnce(most=10)
    for number in range(100):
        assert used.first_time(str(number), expires=1000, now=0)
        assert len(used) <= 10
