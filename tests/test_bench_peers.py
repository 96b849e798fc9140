"""The comparison with peers runs the same programs everywhere, and no failure counts as a time."""

from pathlib import Path

import pytest
from bench.guest import assembled, source
from bench.peers import LINUX, Failed, Peer, linux_elf, peers, seconds

PEERS = [pytest.param(peer, id=peer.name) for peer in peers()]


def test_vkemu_is_compared() -> None:
    assert peers()[0].name == "vkemu"


@pytest.mark.parametrize("peer", PEERS)
def test_a_program_takes_each_peer_some_time(peer: Peer, tmp_path: Path) -> None:
    times = seconds(source("stores", COUNT=10), [peer], turns=1, folder=tmp_path)
    assert list(times) == [peer.name]
    assert times[peer.name] > 0


@pytest.mark.parametrize("peer", PEERS)
def test_a_program_that_fails_takes_no_time_at_all(peer: Peer, tmp_path: Path) -> None:
    with pytest.raises(Failed):
        seconds(source("stores", COUNT=1, EXPECT=1), [peer], turns=1, folder=tmp_path)


def test_only_the_number_of_exit_tells_two_systems_apart() -> None:
    own, foreign = assembled(source("sieve")), assembled(source("sieve"), LINUX)
    differing = [at for at, byte in enumerate(own.code) if foreign.code[at] != byte]
    assert [own.code[at] for at in differing] == [1]
    assert [foreign.code[at] for at in differing] == [60]
    assert foreign.code in linux_elf(source("sieve"))
