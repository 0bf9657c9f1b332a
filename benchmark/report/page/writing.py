"""One file with everything in it, or a folder of pages whose records are read when they are shown.

Every part of the report is JSON, compressed, as text that a script hands on. In a folder each
record is a script beside the page, as a page from `file://` may load scripts and nothing else.
"""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

from benchmark.files import file_stem, replacing, replacing_folder
from benchmark.report.page.templates import rendered, script, style
from benchmark.report.page.vega import vega_script

NAME = "report"


def write_report(
    directory: Path, head: dict[str, Any], records: dict[str, dict[str, Any]], most_bytes: float
) -> Path:
    """Write the report; return the file to open.

    Args:
        directory: where the file or the folder is written.
        head: what the page needs at once; records that lie apart are named in it.
        records: what it needs of each record when it is shown, by key.
        most_bytes: of the one file; a larger report becomes a folder.
    """
    parts = {key: _arrival(key, part) for key, part in records.items()}
    page = _page([_arrival("head", {**head, "files": {}}), *parts.values()])
    if len(page.encode()) <= most_bytes:
        path = directory / f"{NAME}.html"
        with replacing(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
        return path
    with replacing_folder(directory / NAME) as folder:
        (folder / "records").mkdir()
        files = {key: f"records/{file_stem(key)}.js" for key in parts}
        for key, text in parts.items():
            (folder / files[key]).write_text(text, encoding="utf-8")
        page = _page([_arrival("head", {**head, "files": files})])
        (folder / "index.html").write_text(page, encoding="utf-8")
    return directory / NAME / "index.html"


def _page(arrivals: list[str]) -> str:
    return rendered(
        "index.html",
        style=style(),
        library=_in_html(vega_script()),
        script=_in_html(script()),
        arrivals=arrivals,
    )


def _in_html(source: str) -> str:
    """A script that no text of its own ends early."""
    return source.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _arrival(name: str, content: dict[str, Any]) -> str:
    """A script that hands on a part of the report."""
    packed = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0)
    safe = json.dumps(name).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    return f'arrived({safe}, "{base64.b64encode(packed).decode()}");'
