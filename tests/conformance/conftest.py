"""Fixtures of the conformance tests. The tests beside this file and `run.sh` use them."""

import pytest

from rawmta import Gate


@pytest.fixture(name="start_gate")
def fixture_start_gate(tmp_path):
    """Starts a daemon with the configuration given; afterwards every slot must have come back and the stop be clean."""
    gates = []

    def start(config):
        folder = tmp_path / str(len(gates))
        folder.mkdir()
        gates.append(Gate(folder, config))
        return gates[-1]

    yield start
    try:
        for gate in gates:
            gate.wait_empty()
            gate.stop()
    except BaseException:
        print("\n".join(gate.log() for gate in gates))
        raise
    finally:
        for gate in gates:
            gate.kill()
