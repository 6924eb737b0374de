"""The declared schema of every table: the contracts between steps.

Token offsets (`*_start`, `*_end`) are half-open and count completion tokens, from 0.
"""

import dataframely as dy
import polars as pl

from raml.config import BenchmarkKind


def column_types(schema: type[dy.Schema]) -> pl.Schema:
    """The polars types of a table's columns, to build a frame from rows."""
    return pl.Schema({name: column.dtype for name, column in schema.columns().items()})


class Question(dy.Schema):
    """A verifiable question. `split` is `train`, `development` or the benchmark's name."""

    id = dy.String(primary_key=True, min_length=1)
    source = dy.String()
    family = dy.String()
    domain = dy.String()
    split = dy.String(min_length=1)
    kind = dy.Enum(["train", "development", *BenchmarkKind.__args__])  # type: ignore[attr-defined]
    prompt = dy.String(min_length=1)
    answer = dy.String(min_length=1)
    answer_type = dy.Enum(["integer", "integers", "labels", "math", "choice", "code"])
    difficulty = dy.Int32(min=0)
    metadata = dy.String()  # JSON that the family's verifier needs


class CleaningCount(dy.Schema):
    """How many published training questions one filter dropped, and some of them; a question is dropped once."""

    filter_ = dy.String(alias="filter", primary_key=True, min_length=1)  # `filter` is a method of dy.Schema
    order = dy.Int32(min=0)
    description = dy.String()
    dropped = dy.Int64(min=0)
    left = dy.Int64(min=0)  # after this filter
    examples = dy.List(dy.Struct({"row": dy.Int64(), "question": dy.String(), "answer": dy.String()}))


class Trajectory(dy.Schema):
    """One completion of one question, written by an oracle program or sampled from a model.

    `engine` (`program`, `torch`, `vllm` or `server`) made it, in `engine_version` and in the precision `dtype`; of what
    others made (`published`) the version is the data set's.
    `token_ids` is the whole completion: thinking, `</think>`, answer marker, answer, end of text.
    `loss_mask` is false on tokens that training must not imitate (deliberately wrong attempts).
    """

    question_id = dy.String(primary_key=True)
    writer = dy.String(primary_key=True)
    sample_ = dy.Int32(alias="sample", primary_key=True, min=0)  # `sample` is a method of dy.Schema
    seed = dy.Int64()
    engine = dy.String(min_length=1)
    engine_version = dy.String(min_length=1)
    dtype = dy.String(min_length=1)
    prompt_ids = dy.List(dy.Int32(), min_length=1)
    token_ids = dy.List(dy.Int32(), min_length=1)
    loss_mask = dy.List(dy.Bool())
    text = dy.String()
    thinking_start = dy.Int32(min=0)
    thinking_end = dy.Int32(min=0)
    answer_start = dy.Int32(nullable=True, min=0)
    answer_end = dy.Int32(nullable=True, min=0)
    finished = dy.Bool()
    correct = dy.Bool()
    formatted = dy.Bool()
    reward = dy.Float64(min=-1, max=1)
    n_tokens = dy.Int32(min=1)

    @dy.rule()
    def mask_covers_the_tokens(cls) -> pl.Expr:
        """One flag a token."""
        return pl.col("loss_mask").list.len() == pl.col("token_ids").list.len()

    @dy.rule()
    def n_tokens_counts_the_tokens(cls) -> pl.Expr:
        """As its name says."""
        return pl.col("n_tokens") == pl.col("token_ids").list.len()


class Evaluation(dy.Schema):
    """`c` correct ones of `n` samples of a question; `tokens` is their total length."""

    model = dy.String(primary_key=True)
    seed = dy.Int64(primary_key=True)  # of training
    benchmark = dy.String(primary_key=True)
    kind = dy.Enum(BenchmarkKind.__args__)  # type: ignore[attr-defined]
    question_id = dy.String(primary_key=True)
    n = dy.Int32(min=1)
    c = dy.Int32(min=0)
    formatted = dy.Int32(min=0)
    finished = dy.Int32(min=0)
    tokens = dy.Int64(min=0)

    @dy.rule()
    def c_at_most_n(cls) -> pl.Expr:
        """No more correct samples than samples."""
        return pl.col("c") <= pl.col("n")


class ProbeCurve(dy.Schema):
    """The answer NLL after each probed prefix of a trajectory (Algorithm 3), in nats per answer token.

    `position` counts trajectory tokens read, 0 being the bare question; `token_id` is the last one
    read (null at position 0). `answer` is the answer forced; of the workflow's curves the gold one. In
    `no_thinking` mode the end of the thinking is forced before the answer marker.
    """

    trajectory_id = dy.String(primary_key=True)  # question_id/writer/sample
    question_id = dy.String()
    benchmark = dy.String()
    model = dy.String(primary_key=True)
    seed = dy.Int64(primary_key=True)
    mode = dy.Enum(["thinking", "no_thinking"], primary_key=True)
    answer = dy.String(primary_key=True)
    correct = dy.Bool(nullable=True)  # of the trajectory; unknown for one that nobody has judged
    position = dy.Int32(primary_key=True, min=0)
    length = dy.Int32(min=0)  # trajectory tokens in all
    token_id = dy.Int32(nullable=True)
    nll = dy.Float64(min=0)


class TokenChange(dy.Schema):
    """What one trajectory token did to the gold answer's NLL (Figure 6); thinking mode, every token probed."""

    trajectory_id = dy.String(primary_key=True)
    question_id = dy.String()
    benchmark = dy.String()
    model = dy.String(primary_key=True)
    seed = dy.Int64(primary_key=True)
    correct = dy.Bool()
    position = dy.Int32(primary_key=True, min=1)
    token = dy.String()
    role = dy.String()  # a group of the configuration, or `other`
    before = dy.Float64(min=0)  # NLL, nats per answer token
    after = dy.Float64(min=0)
    relative_change = dy.Float64(nullable=True, min=0)  # |after - before| / before; null where before is 0


class LandscapePoint(dy.Schema):
    """The gold answer's NLL at weights + x d1 + y d2 (Algorithm 4), question and instruction alone."""

    question_id = dy.String(primary_key=True)
    benchmark = dy.String()
    model = dy.String(primary_key=True)
    seed = dy.Int64(primary_key=True)
    row = dy.Int32(primary_key=True, min=0)  # of y, ascending
    column = dy.Int32(primary_key=True, min=0)  # of x, ascending
    x = dy.Float64()
    y = dy.Float64()
    nll = dy.Float64(min=0)


class WeightUpdate(dy.Schema):
    """The change of one layer's weights that stands for a trajectory's first `position` tokens (Proposition 2.1).

    The update serves all positions that predict answer tokens at once. `source` tells a model's own
    trajectory from a shuffled one (its tokens in random order) and a random one (as many random tokens).
    """

    trajectory_id = dy.String(primary_key=True)
    question_id = dy.String()
    benchmark = dy.String()
    model = dy.String(primary_key=True)
    seed = dy.Int64(primary_key=True)
    correct = dy.Bool()
    source = dy.Enum(["trajectory", "shuffled", "random"], primary_key=True)
    draw = dy.Int32(primary_key=True, min=0)
    projection = dy.Enum(["output", "value"], primary_key=True)  # the attention weights that change
    position = dy.Int32(primary_key=True, min=0)
    length = dy.Int32(min=0)
    layer = dy.Int32(primary_key=True, min=0)
    weight_norm = dy.Float64(min=0)  # Frobenius norms, of the weights as they are,
    update_norm = dy.Float64(min=0)  # of their change,
    gradient_norm = dy.Float64(min=0)  # of the gradient of the answer NLL without the trajectory,
    descent = dy.Float64()  # and the inner product of the change with the negative gradient
    nll_without = dy.Float64(min=0)  # without the trajectory, nats per answer token
    nll = dy.Float64(min=0)  # with it
    nll_difference = dy.Float64(min=0)  # |that of the changed weights without it - nll|
    logit_difference = dy.Float64(min=0)  # the largest between the two, over vocabulary and answer tokens


class BlockResidual(dy.Schema):
    """How far a block's output under changed weights is from its output with one further token (Proposition 2.1)."""

    source = dy.String(primary_key=True)  # `random`, or the model whose blocks and prompts were taken
    seed = dy.Int64(primary_key=True)
    draw = dy.Int32(primary_key=True, min=0)  # of a random block; of a model the number of the prompt
    question_id = dy.String(nullable=True)  # of a model's prompt
    layer = dy.Int32(primary_key=True, min=0)
    dimension = dy.Int32(primary_key=True, min=1)
    prompt_length = dy.Int32(primary_key=True, min=1)  # tokens without the further one
    construction = dy.Enum(["none", "query", "paper", "exact"], primary_key=True)  # none: weights as they are
    relative_error = dy.Float64(min=0)  # |output - output with the token| / |output with the token|
    relative_norm = dy.Float64(min=0)  # of the change, against the weights changed


class OuterLoss(dy.Schema):
    """The outer loop's loss on one trajectory of a held-out question (Eq. 8), L_q(theta'_T) in nats per answer token.

    The gold answer is forced after the trajectory, the end of thinking and the answer marker. `own` trajectories
    were sampled from the model itself, right or wrong; `oracle` ones are correct ones that a program wrote.
    """

    model = dy.String(primary_key=True)
    seed = dy.Int64(primary_key=True)
    benchmark = dy.String()
    kind = dy.Enum(BenchmarkKind.__args__)  # type: ignore[attr-defined]
    question_id = dy.String(primary_key=True)
    source = dy.Enum(["oracle", "own"], primary_key=True)
    trajectory = dy.String(primary_key=True)  # writer/sample
    correct = dy.Bool()
    length = dy.Int32(min=0)  # tokens
    nll = dy.Float64(min=0)
    nll_without = dy.Float64(min=0)  # with an empty trajectory


class ForcedAnswer(dy.Schema):
    """An answer after all, part or none of a sampled trajectory's thinking, or after a summary of it (Figure 11).

    `variant` is the budget in tokens of method `budget`, the number of the summary of `summary` and `control` (which
    goes with that summary), else 0. Where the gold answer occurs in what would be read (`leaked`), no answer is
    decoded.
    """

    model = dy.String(primary_key=True)
    seed = dy.Int64(primary_key=True)  # of training
    benchmark = dy.String()
    kind = dy.Enum(BenchmarkKind.__args__)  # type: ignore[attr-defined]
    question_id = dy.String(primary_key=True)
    sample_ = dy.Int32(alias="sample", primary_key=True, min=0)  # of the trajectory
    method = dy.Enum(["thinking", "budget", "no_thinking", "summary", "control"], primary_key=True)
    variant = dy.Int32(primary_key=True, min=0)
    thinking_tokens = dy.Int32(min=0)  # that the answer follows: of the trajectory or the summary
    answer_tokens = dy.Int32(min=0)  # all after it: end of thinking, marker and answer, forced or decoded
    leaked = dy.Bool()
    correct = dy.Bool(nullable=True)

    @dy.rule()
    def judged_unless_leaked(cls) -> pl.Expr:
        """Answers are judged, leaked summaries have none."""
        return pl.col("correct").is_null() == pl.col("leaked")


class TrainingRecord(dy.Schema):
    """One quantity that a trainer logged at one optimiser step: loss, reward, entropy (nats per token) and so on."""

    model = dy.String(primary_key=True)
    seed = dy.Int64(primary_key=True)
    step = dy.Int32(primary_key=True, min=0)
    quantity = dy.String(primary_key=True, min_length=1)
    value = dy.Float64()


class MetricTable(dy.Schema):
    """A metric of one model on one benchmark with its interval, as a share of 1."""

    model = dy.String(primary_key=True)
    benchmark = dy.String(primary_key=True)
    kind = dy.Enum(BenchmarkKind.__args__)  # type: ignore[attr-defined]
    metric = dy.String(primary_key=True)
    value = dy.Float64()
    lower = dy.Float64()
    upper = dy.Float64()
    n_questions = dy.Int32(min=1)
    n_samples = dy.Int32(min=1)
