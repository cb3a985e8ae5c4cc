"""Logs of builds: one for each, the last few kept, readable by their owner alone."""

from __future__ import annotations

from pathlib import Path

from controller.reconcile.buildlogs import KEPT, logs_of, newest_logs, open_log


def test_the_newest_logs_of_each_image_are_kept(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        with open_log(tmp_path, "box", "a" * 64, 1e9 + number) as log:
            log.write(f"build {number} \udcff\n")
    with open_log(tmp_path, "other", "b" * 64, 1e9):
        pass
    kept = logs_of(tmp_path, "box")
    assert [path.read_text().split()[1] for path in kept] == [str(KEPT + 2 - back) for back in range(KEPT)]
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    with open_log(tmp_path, "box", "c" * 64, 2e9):
        pass
    newest = newest_logs(tmp_path)
    assert newest["box", "a" * 12] == str(kept[0]), "of each identity its own, whatever was built later"
    assert set(newest) == {("box", "a" * 12), ("box", "c" * 12), ("other", "b" * 12)}


def test_without_a_build_there_is_no_log(tmp_path: Path) -> None:
    assert newest_logs(tmp_path) == {}
    assert logs_of(tmp_path, "box") == []
