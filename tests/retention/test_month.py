"""A month of daily dumps and scorings with four trainings: with retention the disk stops growing."""

from contracts.retention import PERIODS
from tests.retention.month import simulate

DAYS, PERIOD = 30, 7


def total(day):
    return sum(megabytes for name, megabytes in day.items() if not name.startswith("raw/"))


def test_disk_stops_growing_after_the_retention(tmp_path, database, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # restores the variable that the simulation sets
    for name in ("without", "with"):
        (tmp_path / name).mkdir()
    periods = dict.fromkeys((period.name for period in PERIODS), PERIOD)
    without = simulate(tmp_path / "without", database, DAYS // 2, None)
    with_retention = simulate(tmp_path / "with", database, DAYS, periods)
    # Without retention each week adds three models and seven reports with their exports.
    assert total(without[14]) > 2 * total(without[6])
    # One period after the start, a week looks like the week before.
    for name in with_retention[0]:
        # The scores of the champion grow with the tweets. VACUUM frees files of tables 30 days later.
        if name not in ("raw/ (kept)", "scores", "quarantine"):
            third, fourth = (
                max(day[name] for day in with_retention[week * 7 : week * 7 + 7]) for week in (2, 3)
            )
            assert fourth <= third * 1.02, name
    assert max(map(total, with_retention[21:28])) <= max(map(total, with_retention[14:21])) * 1.02
    # raw/ is never deleted by default.
    assert with_retention[14]["raw/ (kept)"] == without[14]["raw/ (kept)"]
    assert with_retention[29]["raw/ (kept)"] == 2 * without[14]["raw/ (kept)"]
