"""Training data for distillation: rows with the class probabilities of a teacher (Hinton et al. 2015).

A small model that is trained on a large model's probabilities comes close to its accuracy and scores faster.
The teacher is a version of the registered model whose scores are in `tweets_scored`: it has been the
champion.
"""

import hashlib
from dataclasses import dataclass

import pandas as pd
from deltalake import DeltaTable, QueryBuilder
from pyarrow import table as arrow_table

from contracts.exit_status import InputError
from contracts.labels import PROBABILITY_COLUMNS
from contracts.mlflow_names import REGISTERED_MODEL
from training.data.labelled_tweets import COLUMNS, LabelledTweets, is_held_out, open_table

MIN_SCORED_SHARE = 0.5  # of the train part, by the teacher


@dataclass(frozen=True)
class DistillationData:
    """Training rows with the columns COLUMNS and PROBABILITY_COLUMNS; the probabilities are the teacher's.

    Attributes:
        rows: first the labelled rows, with null probabilities if the teacher has not scored the tweet. Then
            the unlabelled rows, with a null label.
        dumps: SHA-256 of each dump that contains an unlabelled row.
        scores_version: Delta version of `tweets_scored`.
    """

    rows: pd.DataFrame
    dumps: tuple[str, ...]
    scores_version: int

    def digest(self) -> str:
        """Return the SHA-256 of the content of all rows."""
        return hashlib.sha256(self.rows.to_csv(index=False).encode()).hexdigest()

    def facts(self) -> dict[str, int]:
        """Return the table version and the numbers of labelled and unlabelled rows with scores."""
        unlabelled = int(self.rows["label"].isna().sum())
        scored = int(self.rows["p_neutral"].notna().sum())
        return {
            "scores_version": self.scores_version,
            "labelled_rows": scored - unlabelled,
            "unlabelled_rows": unlabelled,
        }


def read_distillation_data(
    tweets: LabelledTweets, scores_uri: str, teacher: int, scores_version: int | None = None
) -> DistillationData:
    """Return the train part with the teacher's probabilities, and at most as many unlabelled tweets.

    The unlabelled tweets have distinct texts. Texts of the eval side and of the validation part are excluded,
    also those that a later label would put there. The same tables give the same tweets.

    Args:
        tweets: the labelled tweets.
        scores_uri: URI of `tweets_scored`.
        teacher: a version of the registered model.
        scores_version: Delta version of `tweets_scored`, None for the latest.

    Raises:
        InputError: the teacher has scored too few tweets of the train part, or the table does not exist.
    """
    scored = open_table(scores_uri, scores_version)
    query = (
        QueryBuilder()
        .register("clean", DeltaTable(tweets.uri, version=tweets.table_version))
        .register("scored", scored)
    )

    def select(sql: str) -> pd.DataFrame:
        return arrow_table(query.execute(sql).read_all()).to_pandas()

    by_teacher = f"model_name = '{REGISTERED_MODEL}' AND model_version = '{teacher}'"
    probabilities = ", ".join(PROBABILITY_COLUMNS)
    joined = "clean JOIN scored USING (tweet_id)"
    teacher_scores = select(
        f"SELECT tweet_id, {probabilities} FROM {joined} WHERE split = 'train' AND {by_teacher}"  # noqa: S608
    )
    labelled = tweets.train.merge(teacher_scores, on="tweet_id", how="left")
    if (share := labelled["p_neutral"].notna().mean()) < MIN_SCORED_SHARE:
        sql = f"SELECT DISTINCT model_version FROM scored WHERE model_name = '{REGISTERED_MODEL}'"  # noqa: S608
        available = ", ".join(sorted(select(sql)["model_version"], key=int)) or "none"
        raise InputError(
            f"version {teacher} of {REGISTERED_MODEL} has scored {share:.0%} of the train part in "
            f"{scores_uri}; a teacher must have scored {MIN_SCORED_SHARE:.0%} of it. Promote it and run "
            f"score_tweets (versions with scores: {available})"
        )
    max_rows = len(tweets.train)  # bounds the training time if there are millions of unlabelled tweets
    # Select ids before texts: the texts of millions of tweets take gigabytes. Twice as many as needed,
    # because the filters below remove some.
    chosen = (
        f"SELECT tweet_id, {probabilities} FROM {joined} WHERE split = 'unlabelled' AND {by_teacher} "  # noqa: S608
        f"ORDER BY md5(tweet_id) LIMIT {2 * max_rows}"
    )
    unlabelled = select(
        f"SELECT tweet_id, {tweets.text_column} AS text, text_group, dump_sha256, {probabilities} "  # noqa: S608
        f"FROM clean JOIN ({chosen}) AS chosen USING (tweet_id) ORDER BY md5(tweet_id)"
    )
    held_out = unlabelled["text_group"].isin(
        pd.concat([tweets.validation["text_group"], tweets.eval["text_group"]])
    )
    held_out |= unlabelled["text_group"].map(is_held_out).astype(bool)
    unlabelled = unlabelled[~held_out].drop_duplicates("text_group").head(max_rows)
    unlabelled = unlabelled.assign(label=float("nan"), agreement=1.0)
    rows = pd.concat([labelled.astype({"label": float}), unlabelled], ignore_index=True)
    return DistillationData(
        rows[[*COLUMNS, *PROBABILITY_COLUMNS]],
        tuple(sorted(set(unlabelled["dump_sha256"]))),
        scored.version(),
    )
