"""Row tracking: whether rows have ids that stay theirs, and where files keep them ("Row Tracking")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lakefmt.errors import CorruptTableError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lakefmt.log.actions import Metadata, Protocol

__all__ = [
    "COMMIT_VERSION_COLUMN_PROPERTY",
    "ROW_ID_COLUMN_PROPERTY",
    "RowTracking",
    "is_row_tracking_enabled",
]

ROW_ID_COLUMN_PROPERTY: Final = "delta.rowTracking.materializedRowIdColumnName"
COMMIT_VERSION_COLUMN_PROPERTY: Final = "delta.rowTracking.materializedRowCommitVersionColumnName"
_ENABLED: Final = "delta.enableRowTracking"


@dataclass(frozen=True, slots=True)
class RowTracking:
    """The columns, none of the table's schema, in which files keep what moved rows had before ("materialized").

    Attributes:
        row_id_column: name, in files, of the column with row ids; null for rows whose id follows from ``baseRowId``.
        commit_version_column: likewise, of the versions that last changed the rows.
    """

    row_id_column: str
    commit_version_column: str

    @classmethod
    def of(cls, protocol: Protocol, metadata: Metadata, *, table: str, version: int) -> RowTracking | None:
        """Return where a table keeps ids; None where it does not promise that rows keep theirs.

        Raises:
            CorruptTableError: it does, and does not say where, or the same of both.
        """
        if not is_row_tracking_enabled(protocol, metadata.configuration):
            return None
        try:
            names = [
                metadata.configuration[key]
                for key in (ROW_ID_COLUMN_PROPERTY, COMMIT_VERSION_COLUMN_PROPERTY)
            ]
        except KeyError as error:
            raise CorruptTableError(
                f"Row tracking is enabled, and the property {error.args[0]} is missing",
                table=table,
                version=version,
                hint="Set it right with the engine that enabled it, or disable delta.enableRowTracking",
            ) from error
        if not all(names) or names[0].lower() == names[1].lower():
            raise CorruptTableError(
                f"Row tracking is enabled, and ids and versions are kept in one column or in one without a name: {names}",
                table=table,
                version=version,
                hint="Set it right with the engine that enabled it, or disable delta.enableRowTracking",
            )
        return cls(*names)

    def check_apart(self, stored: Collection[str], *, table: str, version: int) -> None:
        """Raise CorruptTableError if one is a column of the table, whose names in files, in lower case, are these."""
        for name in (self.row_id_column, self.commit_version_column):
            if name.lower() in stored:
                raise CorruptTableError(
                    f"Row tracking is enabled, and the column {name!r} of the table is where files keep its row ids",
                    table=table,
                    version=version,
                    hint="Set it right with the engine that enabled it, or disable delta.enableRowTracking",
                )


def is_row_tracking_enabled(protocol: Protocol, configuration: Mapping[str, str]) -> bool:
    """Whether all rows of a table have ids, and keep them."""
    listed = protocol.writer_features is not None and "rowTracking" in protocol.writer_features
    return listed and configuration.get(_ENABLED, "false").lower() == "true"
