//! Tables of the Glue Data Catalog whose files lie in S3, as the query engine reads them.

mod adapt;
mod hive;
mod json;
mod parquet_file;
mod pattern;
mod projection;
mod scan;
mod table;
mod target;

pub(super) use parquet_file::Footers;
pub(super) use scan::Scans;
pub(super) use table::LakeTable;
pub(super) use target::Target;
