"""The spare descriptor: what is kept back from guests."""

import errno
import os
import resource
from collections.abc import Iterator

import pytest

from emu.kern.host import SpareDescriptor


@pytest.fixture
def spare() -> Iterator[SpareDescriptor]:
    made = SpareDescriptor()
    yield made
    made.close()


@pytest.fixture
def all_others_taken(spare: SpareDescriptor) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    taken = []
    try:
        with pytest.raises(OSError) as refused:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        assert refused.value.errno == errno.EMFILE
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("all_others_taken")
def test_one_file_can_be_opened_when_all_other_descriptors_are_taken(
    spare: SpareDescriptor,
) -> None:
    for _ in range(2):
        with spare:
            os.close(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(OSError, match="Too many open files"):
            os.open(os.devnull, os.O_RDONLY)


def test_a_closed_spare_descriptor_is_gone() -> None:
    before = os.listdir("/proc/self/fd")
    spare = SpareDescriptor()
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    spare.close()
    spare.close()
    assert os.listdir("/proc/self/fd") == before
