"""The documents that a micro base model is pretrained on: solved questions in a mixture of styles.

A document is `<bos> QUESTION <think> THINKING </think> MARKER ANSWER } <eos>`; the loss is on the
completion, without deliberately wrong attempts. In half of the documents `</think>` is left out,
so that an answer forced straight after any thinking (the probes' way) is no surprise to the model.
"""

import random
from collections.abc import Iterator, Set
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from raml.config import Oracle, Pretraining
from raml.questions.verify import family_of
from raml.trajectories.oracles.solution import OracleStyle, Solution
from raml.trajectories.oracles.write import completion, write_solution
from raml.trajectories.tokenizer import STEPS, prompt_ids

DRILL_LEVELS = (0, 1, 2)
BATCHES_PER_POOL = 16


@dataclass(frozen=True)
class Document:
    """Token ids and, for each, whether it carries loss."""

    ids: list[int]
    learn: list[bool]


@dataclass(frozen=True)
class Mixture:
    """Draws pretraining documents; never a question that is `asked` in `held_out` (`Family.asked`)."""

    tokenizer: PreTrainedTokenizerBase
    pretraining: Pretraining
    oracle: Oracle
    held_out: Set[str]
    long_share: float  # of the documents that are no drills

    def document(self, rng: random.Random, *, drill: bool) -> Document:
        """One document.

        A drill is a question that asks for its `steps` and is answered in the long style. The skill is
        thus learned under its own instruction, and `long_share` alone decides how often the model
        shows it unasked.
        """
        families = self.pretraining.families
        family = family_of(rng.choices(list(families), list(families.values()))[0])
        level = rng.choice(DRILL_LEVELS if drill else family.levels[1:])
        draft = family.generate(level, rng)
        while family.asked(draft.prompt) in self.held_out:
            draft = family.generate(level, rng)
        style = "long" if drill else self._style(rng)
        if style is None:
            solution = Solution(answer=draft.answer)
        else:
            solution = write_solution(family.name, draft.prompt, style, rng, self.oracle)
        question = draft.prompt.replace("?", f"{STEPS} ?") if drill else draft.prompt
        prompt = prompt_ids(self.tokenizer, question)
        ids, learn = completion(self.tokenizer, solution, close_thinking=rng.random() < 0.5)
        return Document([*prompt, *ids], [*[False] * len(prompt), *learn])

    def _style(self, rng: random.Random) -> OracleStyle | None:
        draw = rng.random()
        if draw < self.long_share:
            return "long"
        return "short" if draw < self.long_share + self.pretraining.short_share else None

    def batches(self, rng: random.Random, drill_share: float) -> Iterator[list[Document]]:
        """Endless batches of documents of like length, at most `batch_tokens` tokens with padding.

        A document longer than that makes a batch of its own.
        """
        budget = self.pretraining.batch_tokens
        while True:
            pool: list[Document] = []
            tokens = 0
            while tokens < BATCHES_PER_POOL * budget:
                pool.append(self.document(rng, drill=rng.random() < drill_share))
                tokens += len(pool[-1].ids)
            pool.sort(key=lambda document: len(document.ids))
            batches: list[list[Document]] = [[]]
            for document in pool:
                if batches[-1] and (len(batches[-1]) + 1) * len(document.ids) > budget:
                    batches.append([])
                batches[-1].append(document)
            rng.shuffle(batches)
            yield from batches
