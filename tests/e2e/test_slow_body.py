"""A long transfer is no silence, whatever idle_time says."""
import pytest

import slow_body


@pytest.mark.parametrize("action", ["refuse", "disconnect"])
def test_body_of_a_minute_arrives(postfix, slow_bodies, action):
    """Under an idle_time of 5 s, with pauses of 15 s in it."""
    assert slow_bodies.result(action) >= slow_body.SECONDS
    message = postfix.delivered(f"slow-{action}".encode())
    assert [line for line in message.split(b"\n") if line.startswith(b"piece")] == [
        b"piece %d" % piece for piece in range(slow_body.PIECES)]
    assert not slow_bodies.daemon.lines(limit="idle_time")
