"""Files of reports."""

import pytest

from training.tracking.report_files import write_file


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_file_is_written_to_a_new_folder_and_replaced_by_a_retry(tmp_path, scheme):
    for content in (b"the first attempt, which is longer", b"the second"):
        write_file(f"{scheme}{tmp_path}/reports/run", "report.html", content)
        assert (tmp_path / "reports" / "run" / "report.html").read_bytes() == content
