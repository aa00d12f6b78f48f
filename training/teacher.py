"""Learning from another model: what it says of tweets teaches beside the annotators' votes, and where there are none.

A large model is slow to score with. A small one that learns from the large one's probabilities (distillation, Hinton et al. 2015) comes
close to it. The probabilities are those in `tweets_scored`: the teacher is a version of the registered model that has been champion.
"""

import hashlib
from dataclasses import dataclass

import pandas as pd
from deltalake import DeltaTable, QueryBuilder
from pyarrow import table as arrow_table

from training.data import COLUMNS, LabelledTweets, is_held_out, open_table
from training.errors import TrainingError
from training.labels import PROBABILITIES
from training.registry import MODEL

LEAST_SCORED = 0.5  # of the labelled tweets, by the teacher


@dataclass(frozen=True)
class Lessons:
    """Rows to learn from: columns COLUMNS and PROBABILITIES, of the teacher.

    First the labelled ones, with missing probabilities where the teacher has not scored the tweet; then the unlabelled ones, with a missing label.
    """

    rows: pd.DataFrame
    dumps: tuple[str, ...]  # SHA-256 of every dump that an unlabelled row comes from
    scores_version: int  # of tweets_scored

    def digest(self) -> str:
        """64 hexadecimal digits over the content of every row."""
        return hashlib.sha256(self.rows.to_csv(index=False).encode()).hexdigest()

    def facts(self) -> dict[str, int]:
        """What a run records about them: how many labelled and unlabelled tweets the teacher speaks of."""
        unlabelled = int(self.rows["label"].isna().sum())
        scored = int(self.rows["p_neutral"].notna().sum())
        return {
            "scores_version": self.scores_version,
            "labelled_rows": scored - unlabelled,
            "unlabelled_rows": unlabelled,
        }


def read_lessons(
    tweets: LabelledTweets, scores_uri: str, teacher: int, scores_version: int | None = None
) -> Lessons:
    """The train part with what version `teacher` of the registered model says of it, and as many unlabelled tweets.

    Copies of a text come once among the unlabelled tweets, and none of a text that judges models, or will once it has a label. It is always the
    same ones that are chosen.

    Args:
        tweets: the labelled tweets.
        scores_uri: of `tweets_scored`.
        teacher: a version of the registered model.
        scores_version: of the table to read, None for its newest.

    Raises:
        TrainingError: the teacher has scored less than half of the train part, or there is no such table.
    """
    scored = open_table(scores_uri, scores_version)
    query = (
        QueryBuilder()
        .register("clean", DeltaTable(tweets.uri, version=tweets.delta_version))
        .register("scored", scored)
    )

    def ask(sql: str) -> pd.DataFrame:
        return arrow_table(query.execute(sql).read_all()).to_pandas()

    by_teacher = f"model_name = '{MODEL}' AND model_version = '{teacher}'"
    probabilities = ", ".join(PROBABILITIES)
    taught = ask(
        f"SELECT tweet_id, {probabilities} FROM clean JOIN scored USING (tweet_id) WHERE split = 'train' AND {by_teacher}"  # noqa: S608 (a number)
    )
    labelled = tweets.train.merge(taught, on="tweet_id", how="left")
    if (share := labelled["p_neutral"].notna().mean()) < LEAST_SCORED:
        versions = ask(f"SELECT DISTINCT model_version FROM scored WHERE model_name = '{MODEL}'")[
            "model_version"
        ]
        known = ", ".join(sorted(versions, key=int)) or "none"
        raise TrainingError(
            f"version {teacher} of {MODEL} has scored {share:.0%} of the tweets to learn from in {scores_uri} (versions with scores: {known}): "
            "a teacher must have scored half of them, which score_tweets does once it is champion"
        )
    most = len(tweets.train)  # with millions of unlabelled tweets a training would never end
    # Ids first: the texts of millions would take gigabytes. Twice as many, because some are left out below.
    chosen = (
        f"SELECT tweet_id, {probabilities} FROM clean JOIN scored USING (tweet_id) WHERE split = 'unlabelled' AND {by_teacher} "  # noqa: S608
        f"ORDER BY md5(tweet_id) LIMIT {2 * most}"
    )
    unlabelled = ask(
        f"SELECT tweet_id, {tweets.text_column} AS text, text_group, dump_sha256, {probabilities} "  # noqa: S608
        f"FROM clean JOIN ({chosen}) AS chosen USING (tweet_id) ORDER BY md5(tweet_id)"
    )
    judges = unlabelled["text_group"].isin(
        pd.concat([tweets.validation["text_group"], tweets.eval["text_group"]])
    )
    judges |= unlabelled["text_group"].map(is_held_out).astype(bool)
    unlabelled = (
        unlabelled[~judges].drop_duplicates("text_group").head(most).assign(label=float("nan"), agreement=1.0)
    )
    rows = pd.concat([labelled.astype({"label": float}), unlabelled], ignore_index=True)
    return Lessons(
        rows[[*COLUMNS, *PROBABILITIES]], tuple(sorted(set(unlabelled["dump_sha256"]))), scored.version()
    )
