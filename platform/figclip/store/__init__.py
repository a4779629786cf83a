"""Where artifacts are published: whole or absent, in a local folder or on S3."""

from figclip.store.artifacts import MANIFEST, Manifest, Publication, Store
from figclip.store.folder import Folder, clear_disk_errors

__all__ = ["MANIFEST", "Folder", "Manifest", "Publication", "Store", "clear_disk_errors"]
