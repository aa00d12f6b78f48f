"""Where a page for people is put."""

import pytest

from training.reports import write_file


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_page_is_put_into_a_new_folder_and_replaced_by_a_second_try(tmp_path, scheme):
    for content in (b"the first try, which is longer", b"the second"):
        write_file(f"{scheme}{tmp_path}/reports/run", "report.html", content)
        assert (tmp_path / "reports" / "run" / "report.html").read_bytes() == content
