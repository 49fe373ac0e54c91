-- asset: warehouse
-- given: read_lineage
-- Where the columns of the tables and views here come from, read off the SQL that made them.
-- Grain: one row per column of a table or view and column that its values are computed from. A
-- column without a source is one row, too, with NULL. What only chooses the rows, as a join does,
-- is no source.
select
    table_name,
    column_name,
    source_table,
    source_column
from read_lineage
order by table_name, column_name, source_table, source_column
