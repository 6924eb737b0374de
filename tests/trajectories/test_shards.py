"""Long samplings survive kills, broken files and full disks, and end with what an undisturbed one gives."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raml.errors import RamlError
from raml.trajectories.engine import Completion, Origin, Request, in_order
from raml.trajectories.shards import Shards, sample_in_shards

SEED = 3


class Killed(BaseException):
    """Stands in for a kill: nothing may catch it."""


class Counting:
    """An engine whose completions follow from the request alone; it counts them, and can be killed or lose some."""

    origin = Origin("counting", "1", "none")

    def __init__(self, *, killed_after: int | None = None, order: int = 1, repeat: bool = False, lose: int = 0) -> None:
        self.made = 0
        self.killed_after, self.order, self.repeat, self.lose = killed_after, order, repeat, lose

    def stream(
        self, requests: Sequence[Request], seed: int, *, max_tokens: int | None = None
    ) -> Iterator[tuple[int, Completion]]:
        places = list(range(len(requests)))[:: self.order]
        for place in places[self.lose :]:
            if self.made == self.killed_after:
                raise Killed
            self.made += 1
            request = requests[place]
            ids = [*request.prompt_ids, request.sample, seed][:max_tokens]
            completion = Completion(ids, finished=request.sample % 2 == 0)
            yield place, completion
            if self.repeat:
                yield place, completion

    def sample(self, requests: Sequence[Request], seed: int, *, max_tokens: int | None = None) -> list[Completion]:
        return in_order(self.stream(requests, seed, max_tokens=max_tokens), len(requests))


def asked(questions: int, n: int) -> list[Request]:
    return [Request(f"q{number}", (number, 7), sample) for number in range(questions) for sample in range(n)]


def sampled(
    engine: Counting, requests: list[Request], root: Path, size: int = 4, identity: str = "model"
) -> list[Completion]:
    shards = Shards.open(root, {"model": identity}, requests, size)
    return sample_in_shards(engine, requests, SEED, shards, lambda _: None)


def files(root: Path) -> list[Path]:
    return sorted(root.glob("*/*.parquet"))


@settings(max_examples=60, deadline=None)
@given(
    questions=st.integers(1, 6),
    n=st.integers(1, 5),
    size=st.integers(1, 9),
    order=st.sampled_from([1, -1]),
    kills=st.lists(st.integers(0, 12), max_size=5),
)
def test_kills_change_nothing_and_cost_less_than_a_shard_each(
    tmp_path_factory: pytest.TempPathFactory, questions: int, n: int, size: int, order: int, kills: list[int]
) -> None:
    root = tmp_path_factory.mktemp("shards")
    requests = asked(questions, n)
    made = 0
    for after in kills:
        engine = Counting(killed_after=after, order=order)
        try:
            sampled(engine, requests, root, size)
        except Killed:
            made += engine.made
            continue
        break
    last = Counting(order=order)
    assert sampled(last, requests, root, size) == Counting().sample(requests, SEED)
    assert made + last.made <= len(requests) + len(kills) * (size - 1)


@pytest.mark.parametrize("damage", [b"", b"not parquet", None])
def test_a_corrupt_shard_is_set_aside_and_made_again(
    tmp_path: Path, damage: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = asked(3, 4)
    sampled(Counting(), requests, tmp_path)
    victim = files(tmp_path)[1]
    good = victim.read_bytes()
    victim.write_bytes(good[:-1] + bytes([good[-1] ^ 1]) if damage is None else damage)
    engine = Counting()
    assert sampled(engine, requests, tmp_path) == Counting().sample(requests, SEED)
    assert engine.made == 4
    assert victim.read_bytes() == good
    assert f"{victim} is corrupt: set aside" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*/*.corrupt"))) == 1


def test_other_requests_models_and_sizes_share_nothing(tmp_path: Path) -> None:
    requests = asked(3, 4)
    sampled(Counting(), requests, tmp_path)
    for others, size, identity in ((asked(3, 4)[:-1], 4, "model"), (requests, 3, "model"), (requests, 4, "other")):
        engine = Counting()
        sampled(engine, others, tmp_path, size, identity)
        assert engine.made == len(others)


def test_a_full_disk_leaves_nothing_that_counts_as_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = asked(3, 4)
    calls = iter([False, True])
    usual = os.fsync

    def fsync(descriptor: int) -> None:
        if next(calls, False):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        usual(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RamlError, match="No space left on device"):
        sampled(Counting(), requests, tmp_path)
    assert len(files(tmp_path)) == 1 and len(list(tmp_path.glob("*/*"))) == 1
    monkeypatch.undo()
    engine = Counting()
    assert sampled(engine, requests, tmp_path) == Counting().sample(requests, SEED)
    assert engine.made == 8


def test_a_doubled_or_lost_completion_stops_the_job(tmp_path: Path) -> None:
    with pytest.raises(RamlError, match="gave the completion of request 0 twice"):
        sampled(Counting(repeat=True), asked(3, 4), tmp_path / "twice")
    with pytest.raises(RamlError, match="ended without all completions of 1 shards; run again"):
        sampled(Counting(lose=2), asked(3, 4), tmp_path / "lost")
    assert sampled(Counting(), asked(3, 4), tmp_path / "lost") == Counting().sample(asked(3, 4), SEED)
