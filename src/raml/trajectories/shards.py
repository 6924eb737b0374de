"""Completions on the disk in shards while a long job writes them, so that a killed job goes on where it was.

A shard holds the completions of `size` requests in a row, which is a range of samples of one or a few questions. It
appears by one rename when its last completion is there, under a name that has its requests and the checksum of its
bytes. The engine gets whole shards only: it then meets the same batches in a job that was killed as in one that was
not, and writes the same completions.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from raml.errors import RamlError
from raml.progress import progress
from raml.storage import atomic_path, file_hash
from raml.trajectories.engine import Completion, Engine, Request

COLUMNS = pl.Schema({"token_ids": pl.List(pl.Int32()), "finished": pl.Boolean()})
CORRUPT = ".corrupt"


@dataclass(frozen=True)
class Shards:
    """The shards of one list of requests in a folder of their own."""

    folder: Path
    requests: int
    size: int

    @classmethod
    def open(cls, root: Path, identity: Mapping[str, Any], requests: Sequence[Request], size: int) -> "Shards":
        """The shards in `<root>/<first 16 hex digits of a SHA-256>`, of `identity` and the requests.

        Args:
            root: where such folders are.
            identity: what else the completions depend on, as JSON values: engine, model, sampling, seed.
            requests: in the order in which they are cut into shards.
            size: requests a shard.
        """
        asked = [(request.question_id, request.prompt_ids, request.sample) for request in requests]
        described = json.dumps([identity, size, asked], sort_keys=True)
        return cls(root / hashlib.sha256(described.encode()).hexdigest()[:16], len(requests), size)

    def places(self, number: int) -> range:
        """Which requests shard `number` has, as places in their list."""
        return range(number * self.size, min((number + 1) * self.size, self.requests))

    @property
    def numbers(self) -> range:
        """All shards, those included that are not written yet."""
        return range(-(-self.requests // self.size))

    def read(self) -> dict[int, list[Completion]]:
        """The shards that are there by their numbers. One whose bytes are not those that were written is set aside."""
        found = {}
        for path in sorted(self.folder.glob("*.parquet")):
            first, _, checksum = path.stem.split("-")
            number = int(first) // self.size
            if file_hash(path)[:16] != checksum:
                path.replace(path.with_suffix(CORRUPT))
                print(f"{path} is corrupt: set aside as {path.stem}{CORRUPT}, it is made again", flush=True)
                continue
            rows = pl.read_parquet(path).iter_rows()
            found[number] = [Completion(token_ids, finished) for token_ids, finished in rows]
        return found

    def write(self, number: int, completions: Sequence[Completion]) -> None:
        """Keep shard `number`.

        Raises:
            RamlError: the disk is full; what was there before is still there.
        """
        rows = [(completion.token_ids, completion.finished) for completion in completions]
        table = pl.DataFrame(rows, schema=COLUMNS, orient="row")
        places = self.places(number)
        unnamed = self.folder / "unnamed"
        with atomic_path(unnamed) as temporary:
            table.write_parquet(temporary, compression="zstd")
        unnamed.replace(self.folder / f"{places.start:08d}-{places.stop:08d}-{file_hash(unnamed)[:16]}.parquet")

    def delete(self) -> None:
        """Delete them all, once their completions are elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class ShardedEngine:
    """An engine whose completions are kept in shards below `root`, until the caller deletes those of `shards`.

    `identity` is what the completions depend on beside requests, seed and limit, as JSON values; a shard has `size`.
    """

    engine: Engine
    root: Path
    identity: Mapping[str, Any]
    size: int
    shards: list[Shards] = field(default_factory=list)

    def sample(
        self, requests: Sequence[Request], seed: int, label: str, *, max_tokens: int | None = None
    ) -> list[Completion]:
        """The completions of `requests`, as `Engine.sample` makes them, with a progress line that begins with `label`.

        Raises:
            InputError: as the engine.
            RamlError: as `sample_in_shards`.
        """
        identity = {**self.identity, "drawn_with": seed, "limit": max_tokens}
        shards = Shards.open(self.root, identity, requests, self.size)
        self.shards.append(shards)
        with progress(label, len(requests), "completion") as line:
            return sample_in_shards(self.engine, requests, seed, shards, line.update, max_tokens=max_tokens)


def sample_in_shards(
    engine: Engine,
    requests: Sequence[Request],
    seed: int,
    shards: Shards,
    written: Callable[[int], object],
    *,
    max_tokens: int | None = None,
) -> list[Completion]:
    """The completions of `requests`, in order, of which only those are made that `shards` lacks.

    Args:
        engine: makes them, with `seed`.
        requests: those of `shards`.
        seed: of the completions.
        shards: what an earlier job has made, and where new ones are kept.
        written: called with the number of completions found, then with that of each new shard.
        max_tokens: length of a completion at most; None: as the engine's sampling parameters say.

    Raises:
        RamlError: the engine loses a completion or gives one twice, or stops; whole shards are kept.
    """
    kept = shards.read()
    written(sum(map(len, kept.values())))
    missing = [place for number in shards.numbers if number not in kept for place in shards.places(number)]
    stream = engine.stream([requests[place] for place in missing], seed, max_tokens=max_tokens)
    for number, completions in _whole(stream, missing, shards):
        shards.write(number, completions)
        kept[number] = completions
        written(len(completions))
    if lost := [number for number in shards.numbers if number not in kept]:
        raise RamlError(f"the engine ended without all completions of {len(lost)} shards; run again to make them")
    return [completion for number in shards.numbers for completion in kept[number]]


def _whole(
    stream: Iterator[tuple[int, Completion]], places: Sequence[int], shards: Shards
) -> Iterator[tuple[int, list[Completion]]]:
    """Shards with all their completions, as a stream completes them."""
    open_shards: dict[int, dict[int, Completion]] = {}
    done: set[int] = set()
    for position, completion in stream:
        place = places[position]
        number = place // shards.size
        shard = open_shards.setdefault(number, {})
        if number in done or place in shard:
            raise RamlError(f"the engine gave the completion of request {place} twice")
        shard[place] = completion
        if len(shard) == len(shards.places(number)):
            done.add(number)
            del open_shards[number]
            yield number, [shard[one] for one in shards.places(number)]
