"""What is waited for is looked at ever less often."""

from scripts.common import progress


def test_pauses_grow_up_to_the_longest(monkeypatch):
    pauses, looks = [], iter([None, None, None, None, "ended"])
    monkeypatch.setattr(progress.time, "sleep", pauses.append)

    assert progress.wait_until(lambda: next(looks), 1, 3) == "ended"
    assert pauses == [1, 1.5, 2.25, 3]
