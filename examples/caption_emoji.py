"""Writes captions and classes of emoji where image_folder finds them: metadata.jsonl beside the pictures.

The pictures and their list are those of the npm package emoji-datasource-google (docs/data.md says how it is had):

    python examples/caption_emoji.py package/emoji.json package/img/google/64
    filmgrain plan package/img/google/64
"""

import argparse
import json
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list", type=Path, help="emoji.json of the package")
    parser.add_argument("folder", type=Path, help="of the pictures")
    args = parser.parse_args()

    rows = []
    for emoji in json.loads(args.list.read_text(encoding="utf-8")):
        for picture in (emoji, *emoji.get("skin_variations", {}).values()):
            if (args.folder / picture["image"]).is_file():
                row = {"file_name": picture["image"], "text": emoji["name"].lower(), "label": emoji["category"]}
                rows.append(json.dumps(row, ensure_ascii=False))
    out = args.folder / "metadata.jsonl"
    out.write_text("\n".join(rows) + "\n", encoding="utf-8")
    print(f"{out}: {len(rows)} pictures")


if __name__ == "__main__":
    main()
