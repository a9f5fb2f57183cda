"""The galleries of finished avatars, brought to one folder: a file is whole or not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lensa.avatar import Avatar
from lensa.backends.disk import make_folder, write_whole
from lensa.contract import AvatarManifest
from lensa.contract.gallery import GalleryItem
from lensa.contract.manifest import FileRecord


def drawn(manifest: AvatarManifest, item: GalleryItem) -> list[FileRecord]:
    """Return the images of an item that the job drew, from the first on.

    Its files may be there and show something else: the job was asked for a gallery of its own.
    """
    theirs = next((one for one in manifest.config.gallery if one.name == item.name), None)
    if theirs is None or theirs.model_copy(update={"count": item.count}) != item:
        return []
    records = {record.path: record for record in manifest.files}
    paths = [item.path(index) for index in range(item.count)]
    return [records[path] for path in paths if path in records]


def bring(avatar: Avatar, items: tuple[GalleryItem, ...], folder: Path) -> list[Path]:
    """Write the images that the avatar has into `folder/STYLE/`, and return their paths.

    Nothing else in the folder is touched. Raises ArtifactError for a file that is not the one that
    the job wrote, StorageError if the folder cannot be written.
    """
    written = []
    for record in [record for item in items for record in drawn(avatar.manifest, item)]:
        target = folder.joinpath(*Path(record.path).parts[1:])
        written.append(target)
        if not (target.is_file() and _digest(target) == record.sha256):
            make_folder(target.parent)
            write_whole(target, avatar.read(record.path))
    return written


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
