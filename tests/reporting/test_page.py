"""The template and the figure style of all reports."""

import subprocess
import sys

from reporting.figures import Draw, draw_picture
from reporting.page import Section, render, render_message


def line(height: float) -> Draw:
    def draw(axes, colours) -> None:
        axes.plot([0, 1], [0, height], label="loss")
        axes.legend()

    return draw


def test_page_module_does_not_import_matplotlib() -> None:
    program = "import sys, reporting.page; sys.exit('matplotlib' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_message_is_escaped() -> None:
    page = render_message("No report <b>", "Run the DAG & wait.")
    assert "<h1>No report &lt;b&gt;</h1>" in page
    assert "<p>Run the DAG &amp; wait.</p>" in page
    assert not {"<dl>", "<nav", "<section"} & set(page.split())


def test_summary_has_one_paragraph_per_blank_line() -> None:
    page = render("Comparison", {}, [Section("Models", "text")], summary="New champion.\n\nIt is better.")
    assert "<p>New champion.</p>\n<p>It is better.</p>" in page


def test_panels_stand_side_by_side_and_drawing_is_reproducible() -> None:
    one, two = (draw_picture("losses", "alt", *panels) for panels in ([line(1)], [line(1), line(1)]))
    assert two.light.count(b"loss") > one.light.count(b"loss")
    assert one.light != one.dark
    assert one.png.startswith(b"\x89PNG")
    assert draw_picture("losses", "alt", line(1)) == one
