"""Write the same table as the programs of other people write it."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq

Rows = Sequence[Sequence[str]]


def as_csv(header: Sequence[str], rows: Rows, **options: object) -> str:
    """CSV of Python's csv module; the options are its options."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, **({"lineterminator": "\n"} | options))  # type: ignore[arg-type]
    if header:
        writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def as_spark_csv(header: Sequence[str], rows: Rows) -> str:
    """CSV of Spark: within quoted fields, quotes and backslashes get a backslash."""

    def field(value: str) -> str:
        if not value or not any(character in value for character in ',"\n\r'):
            return value
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "".join(",".join(map(field, row)) + "\n" for row in [header, *rows])


def as_blank_csv(header: Sequence[str], rows: Rows) -> str:
    """CSV with a blank after each comma and all fields quoted."""
    return "".join(
        ", ".join('"' + field.replace('"', '""') + '"' for field in row) + "\n" for row in [header, *rows]
    )


def as_wrapped_csv(header: Sequence[str], rows: Rows) -> str:
    """CSV that Excel has opened as one column and written again."""
    lines = [as_csv([], [row])[:-1] for row in [header, *rows]]
    return as_csv([], [[line] for line in lines], quoting=csv.QUOTE_ALL)


def as_unquoted_csv(header: Sequence[str], rows: Rows, delimiter: str) -> str:
    """CSV without quoting; the fields must not contain the delimiter or line breaks."""
    return "".join(delimiter.join(row) + "\n" for row in [header, *rows])


def as_objects(header: Sequence[str], rows: Rows) -> list[dict[str, str]]:
    return [dict(zip(header, row, strict=True)) for row in rows]


def as_jsonl(header: Sequence[str], rows: Rows, *, ascii_only: bool = True) -> str:
    return "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in as_objects(header, rows))


def as_parquet(header: Sequence[str], rows: Rows) -> bytes:
    out = io.BytesIO()
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in header]
    pq.write_table(
        pa.table({name: pa.array(column, pa.string()) for name, column in zip(header, columns, strict=True)}),
        out,
    )
    return out.getvalue()


def as_xlsx(header: Sequence[str], rows: Rows) -> bytes:
    """A workbook with one sheet of text cells."""

    def sheet_row(row: Sequence[str]) -> str:
        start, end = '<c t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>"
        cells = "".join(start + escape(value) + end for value in row)
        return f"<row>{cells}</row>"

    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    sheet_type = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{sheet_type}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{sheet_type}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        '<Relationship Id="rId1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>'
        + "".join(sheet_row(row) for row in [header, *rows])
        + "</sheetData></worksheet>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def as_zip(content: bytes, *names: str) -> bytes:
    """A zip archive with the same content under each name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return out.getvalue()


CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda content: as_zip(content, "dump"),
}
