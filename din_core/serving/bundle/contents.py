"""What a bundle consists of, and opening one: nothing of it is used that is not as it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from din_core import manifests
from din_core.errors import DinError, WrongRequestError

RANK = "rank.onnx"
SCORE = "score.onnx"
EXPLAIN = "explain.onnx"
SCORE_INDICES = "din.onnx"
RANK_INDICES = "rank_indices.onnx"
VOCABULARIES = "vocabularies"
ITEMS = f"{VOCABULARIES}/items.parquet"
USERS = f"{VOCABULARIES}/users.parquet"
HISTORIES = "histories.parquet"
ITEM_EVENTS = "item_events.parquet"
MODEL_CARD = "README.md"
EXAMPLE = "example.py"
SQL = "sql"

#: Outputs of the graph that explains: the score without each event, and what the attention made of
#: it, by unit.
WITHOUT, WEIGHT = "probability_without", "attention_weight"

FORMAT = 1
_LONGEST_NAME = 255

IdKind = Literal["int64", "string"]


class BundleError(DinError, ValueError):
    """A bundle cannot be used; the message names the file and says the way out."""


class NotABundleError(BundleError, WrongRequestError):
    """A folder that was named is not there, or holds no bundle."""


@dataclass(frozen=True)
class Bundle:
    """An open bundle.

    Attributes:
        folder: Its version's folder: what ``current`` leads to later does not change it.
        version: Its version.
        about: What the manifest says of it; see :mod:`din_core.serving.bundle.manifest`.
    """

    folder: Path
    version: str
    about: Mapping[str, Any]
    _manifest: manifests.Manifest = field(repr=False)
    _sound: set[str] = field(default_factory=set[str], repr=False)

    @classmethod
    def open(cls, folder: Path | str) -> Bundle:
        """Open the bundle of a folder.

        Args:
            folder: A version's folder, a copy of one, or ``current`` beside the versions.

        Raises:
            NotABundleError: There is none.
            BundleError: Its manifest is damaged, or it was made by another version of the program.
        """
        place = version_folder(Path(folder))
        is_folder, has_manifest = _look_into(place)
        if not is_folder:
            raise NotABundleError(
                f"{folder}: no such folder; make the bundle ('din run'), or name the folder of "
                "one, as data/artifacts/bundle/current"
            )
        if not has_manifest:
            raise NotABundleError(
                f"{folder} holds no bundle (there is no {manifests.MANIFEST}); name the folder of "
                "one, as data/artifacts/bundle/current"
            )
        try:
            manifest = manifests.read(place)
        except manifests.ManifestError as error:
            raise BundleError(
                f"{folder} {error}; copy the bundle again, or make it with 'din run'"
            ) from None
        found = manifest.about.get("bundle_format")
        if found is None:
            raise NotABundleError(
                f"{folder} is an artifact, and no bundle; name a folder below artifacts/bundle"
            )
        if found != FORMAT:
            raise BundleError(
                f"{folder}: a bundle of format {found}, and this program reads {FORMAT}; make it "
                "again with 'din run'"
            )
        return cls(place, manifest.version, manifest.about, manifest)

    def __contains__(self, file: str) -> bool:
        """Whether it has a file."""
        return file in self._manifest.files

    def path(self, file: str) -> Path:
        """Return a file's path; the file is read once to see that it is what was made.

        Args:
            file: Its path in the folder.

        Raises:
            BundleError: The bundle has no such file, or it is damaged.
        """
        if file not in self:
            why = cast("Mapping[str, str]", self.about.get("left_out", {})).get(file)
            raise BundleError(
                f"{self.folder}: this bundle has no {file}" + (f": {why}" if why else "")
            )
        if file not in self._sound:
            if damage := manifests.damage_of_file(self.folder, file, self._manifest):
                raise BundleError(
                    f"{self.folder}: {file} {damage}; copy the bundle again, or make it with "
                    "'din run'"
                )
            self._sound.add(file)
        return self.folder / file

    @property
    def item_ids(self) -> IdKind:
        """Type of the items' ids."""
        return self.about["ids"]["item_id"]

    @property
    def user_ids(self) -> IdKind:
        """Type of the users' ids."""
        return self.about["ids"]["user_id"]

    @property
    def padding(self) -> int | str:
        """The id that fills a history up."""
        return self.about["padding"]

    @property
    def user_padding(self) -> int | str:
        """An id that no user has."""
        return self.about["user_padding"]

    @property
    def uses_user(self) -> bool:
        """Whether the model takes the user, or what describes the user."""
        return self.about["uses_user"]

    @property
    def max_history(self) -> int:
        """Events of a history that the model reads, the latest."""
        return self.about["max_history"]

    @property
    def context(self) -> list[str]:
        """Names of the numbers that describe the moment, those of the log among them."""
        return self.about["context"]

    @property
    def log_numbers(self) -> list[str]:
        """Names of those numbers that are counted in the log."""
        return self.about.get("log_numbers", [])

    @property
    def log_end(self) -> float:
        """Time of the log's last event, in seconds."""
        return self.about["log"]["last_time"]


def _look_into(place: Path) -> tuple[bool, bool]:
    """Whether a folder is there, and whether it has a manifest.

    Raises:
        NotABundleError: Nobody can tell, or the graphs cannot be read by a path like this.
    """
    try:
        str(place).encode()
    except UnicodeEncodeError:
        shown = str(place).encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise NotABundleError(
            f"{shown}: the path of the bundle is not UTF-8; rename the folder"
        ) from None
    try:
        return place.is_dir(), (place / manifests.MANIFEST).is_file()
    except OSError as error:
        raise NotABundleError(
            f"{place} cannot be looked into ({error.strerror or error}); make the folder of the "
            "bundle readable, or name another one, as data/artifacts/bundle/current"
        ) from None


def version_folder(folder: Path) -> Path:
    """Follow ``current``: a link, or a file with the name of a folder beside it.

    A path that cannot be followed is returned as it is: whoever opens it says what is wrong.
    """
    try:
        return _followed(folder)
    except (OSError, RuntimeError, ValueError):  # a link in a circle is a RuntimeError
        return folder


def _followed(folder: Path) -> Path:
    if folder.is_file():
        try:
            name = folder.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return folder
        is_name = 0 < len(name) <= _LONGEST_NAME and Path(name).name == name
        return folder.parent / name if is_name and "\n" not in name else folder
    return folder.resolve()
