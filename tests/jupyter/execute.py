"""Execute the notebooks of examples/ in Jupyter and store their outputs: `make notebooks`."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def execute(notebook: Path, folder: Path) -> dict[str, Any]:
    """Execute a notebook in a kernel of this Python, and return it with its outputs.

    Args:
        notebook: the file.
        folder: the working folder, in which it leaves its runs.
    """
    import nbformat
    from nbclient import NotebookClient

    content = nbformat.read(notebook, as_version=4)
    client = NotebookClient(content, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    for cell in content.cells:
        cell.metadata = {}  # when each was executed
    content.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    written: dict[str, Any] = json.loads(nbformat.writes(content))
    return written


def main() -> None:
    """Execute every notebook, and store it."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for notebook in sorted(EXAMPLES.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            content = execute(notebook, Path(folder))
        notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
