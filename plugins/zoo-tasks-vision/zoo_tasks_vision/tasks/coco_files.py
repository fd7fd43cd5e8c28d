"""Detection on a user's own images with boxes as COCO has them (Lin et al. 2014)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import InputError, visible
from zoo.images.files import ImageFile
from zoo_tasks_vision.tasks.file_options import CocoFilesOptions
from zoo_tasks_vision.tasks.own_files import Entry, OwnFilesTask

_FAR = 2**31
"""Pixels: no image is as large. What is not a number is below nothing."""
_TABLES = ("images", "annotations", "categories")


class CocoFiles(OwnFilesTask):
    """Images and a JSON file of their boxes. Boxes are clipped to their image; what has no area then is left out."""

    options: CocoFilesOptions
    outputs = "detections"

    def entries(self, path: Path, folder: Path) -> tuple[Sequence[Entry], Mapping[str, Any]]:
        name = visible(str(path))
        tables = _read(path, name)
        categories = _categories(tables["categories"], name)
        boxes: dict[Any, list[dict[str, Any]]] = {}
        entries = []
        for place, image in enumerate(tables["images"]):
            where = f"{name}: images[{place}]"
            file, number = _field(image, "file_name", where, str), _field(image, "id", where, int)
            if number in boxes:
                raise InputError(f"id {number} is that of an earlier image", where=where)
            boxes[number] = []
            document = image.get(self.options.document_field)
            if document is not None and not isinstance(document, int):
                document = _field(image, self.options.document_field, where, str)
            known = {key: image[key] for key in ("width", "height") if isinstance(image.get(key), int)}
            content = {"boxes": boxes[number], "size": known}
            entries.append(Entry(where, file, folder / file, None if document is None else str(document), content))
        for place, annotation in enumerate(tables["annotations"]):
            where = f"{name}: annotations[{place}]"
            number = _field(annotation, "image_id", where, int)
            if number not in boxes:
                raise InputError(f"image_id {number} is no image's id", where=where)
            category = _field(annotation, "category_id", where, int)
            if category not in categories:
                known_ids = ", ".join(map(str, sorted(categories)[:5]))
                raise InputError(f"category_id {category} is no category's id (there are {known_ids})", where=where)
            crowd = bool(annotation.get("iscrowd", 0))
            boxes[number].append({"where": where, "box": _box(annotation, where), "category": category, "crowd": crowd})
        if not entries:
            raise InputError("'images' is empty", where=name)
        return entries, {"categories": [{"id": key, "name": categories[key]} for key in sorted(categories)]}

    def joined(self, facts: Mapping[str, Any], found: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
        """The categories of all lists: one may leave out those that its images have none of."""
        names = {item["id"]: item["name"] for item in facts.get("categories", ())}
        for item in found["categories"]:
            here, earlier = item["name"], names.setdefault(item["id"], item["name"])
            if here != earlier:
                raise InputError(
                    f"category {item['id']} is '{visible(here)}' here, and '{visible(earlier)}' in an earlier list",
                    where=visible(str(path)),
                )
        return {"categories": [{"id": number, "name": names[number]} for number in sorted(names)]}

    def row(self, entry: Entry, image: ImageFile) -> Mapping[str, Any]:
        for key, value in entry.content["size"].items():
            if value != getattr(image, key):
                raise InputError(
                    f"{key} is {value}, but '{entry.name}' is {image.width} wide and {image.height} high",
                    where=entry.where,
                )
        boxes = []
        for found in entry.content["boxes"]:
            x, y, width, height = found["box"]
            left, top = max(0.0, x), max(0.0, y)
            right, bottom = min(float(image.width), x + width), min(float(image.height), y + height)
            if right > left and bottom > top:
                boxes.append([left, top, right, bottom, found["category"], int(found["crowd"])])
            elif width > 0 and height > 0:
                raise InputError(
                    f"bbox {found['box']} lies outside its image, which is {image.width} wide and {image.height} high",
                    where=found["where"],
                )
        return {"boxes": boxes}


def _read(path: Path, name: str) -> dict[str, list[Any]]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=name) from error
    except json.JSONDecodeError as error:
        raise InputError(f"is no JSON: {error.msg}", where=f"{name}:{error.lineno}:{error.colno}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, a number of too many digits, too deep
        raise InputError(f"is no JSON: {str(error).splitlines()[0]}", where=name) from error
    if not isinstance(content, dict):
        raise InputError(f"expected an object with {', '.join(_TABLES)}, found a {type(content).__name__}", where=name)
    for table in _TABLES:
        if table not in content:
            raise InputError(f"no '{table}' among {_keys(content)}", where=name)
        if not isinstance(content[table], list) or not all(isinstance(row, dict) for row in content[table]):
            raise InputError(f"'{table}' is no list of objects", where=name)
    return content


def _categories(rows: Sequence[Mapping[str, Any]], name: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for place, row in enumerate(rows):
        where = f"{name}: categories[{place}]"
        number = _field(row, "id", where, int)
        if number in found:
            raise InputError(f"id {number} is that of an earlier category", where=where)
        found[number] = _field(row, "name", where, str)
    return found


def _field(row: Mapping[str, Any], key: str, where: str, kind: type) -> Any:
    if key not in row:
        raise InputError(f"no '{key}' among {_keys(row)}", where=where)
    value = row[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        expected = {int: "a whole number", str: "a text"}[kind]
        raise InputError(f"{key} is {json.dumps(value)[:60]}, expected {expected}", where=where)
    if isinstance(value, str) and not _is_text(value):
        raise InputError(f"{key} is {json.dumps(value)[:60]}, which has half of a character", where=where)
    return value


def _is_text(value: str) -> bool:
    """JSON may write half of a surrogate pair, which nothing can be named by."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _keys(row: Mapping[str, Any]) -> str:
    return visible(", ".join(row)[:120]) or "no fields"


def _box(row: Mapping[str, Any], where: str) -> list[float]:
    box = row.get("bbox")
    right = (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(edge, (int, float)) and not isinstance(edge, bool) and abs(edge) < _FAR for edge in box)
        and box[2] >= 0
        and box[3] >= 0
    )
    if not right:
        found = json.dumps(box)[:80] if "bbox" in row else "nothing"
        raise InputError(f"bbox is {found}, expected [x, y, width, height] in pixels", where=where)
    return [float(edge) for edge in box]  # type: ignore[union-attr]
