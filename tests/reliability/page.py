"""The table of docs/reliability.md, written between its two marks from what was measured."""

import datetime
import platform
from pathlib import Path
from typing import Any

import torch

BEGIN, END = "<!-- begin of the table that make reliability writes -->", "<!-- end of the table -->"


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{path} has not both marks {BEGIN} and {END}; put them where the table is to be")
    path.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n{END}{after}", encoding="utf-8")


def table(rows: list[dict[str, Any]]) -> str:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    where = f"Python {platform.python_version()}, PyTorch {torch.__version__}, one thread of {platform.machine()}"
    lines = ["| promise | trials | passes | wall time | commit |", "|---|---|---|---|---|"]
    for row in rows:
        name, text = row["promise"], row["text"]
        part = ", a part" if row["quick"] else ""
        counts = f"{row['trials']:,}{part} | {row['passes']:,} | {row['seconds']:,.0f} s"
        lines.append(f"| {name}: {text} | {counts} | {row['commit']} |")
    total = sum(row["seconds"] for row in rows)
    lines += ["", f"Measured on {today} with {where}; in all {total / 60:.0f} minutes.", ""]
    lines += ["| promise | of these, passes of trials |", "|---|---|"]
    for row in rows:
        kinds = "; ".join(f"{kind} {passed:,} of {count:,}" for kind, (passed, count) in row["kinds"].items())
        lines.append(f"| {row['promise']} | {kinds} |")
    faults = [f"- {row['promise']}: {fault[:200]}" for row in rows for fault in row["faults"]]
    return "\n".join([*lines, *(["", "Not passed:", "", *faults] if faults else []), ""])
