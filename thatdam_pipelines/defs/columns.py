"""The declared tables as Dagster's column schemas, for the asset pages of the UI."""

from typing import Any

import dagster as dg

from thatdam_pipelines.library.schemas import tables_of
from thatdam_pipelines.library.table import Table


def column_schema(table: Table) -> dg.TableSchema:
    """Name, type, description and constraints of each column."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=str(column.dtype),
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=not column.required),
            )
            for column in table.columns
        ]
    )


def table_metadata(owner: str) -> dict[str, Any]:
    """Definition metadata of the asset that writes ``owner``'s tables: its main table's columns, then each other's."""
    tables = [table for table in tables_of(owner) if not table.name.endswith("_failures")]
    if not tables:
        return {}
    main = next((table for table in tables if table.name == owner), tables[0])
    others = {
        f"table {table.name}": dg.MetadataValue.table_schema(column_schema(table))
        for table in tables
        if table is not main
    }
    return {"dagster/column_schema": column_schema(main), "dagster/table_name": main.name, **others}
