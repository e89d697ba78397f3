//! The schema of the curated table.

use crate::template::glue::Column;
use crate::transform::enrichment::PROCESSED_COLUMNS;

/// Table of curated readings, and the prefix of its objects. Its partition column is `datehour`,
/// as in the other tables, but with hyphens: `yyyy-MM-dd-HH`.
pub const CURATED_TABLE: &str = "curated";

/// Columns of a curated reading: those of a processed one. Each (tenant, device, seq) comes once.
pub const CURATED_COLUMNS: [Column; 11] = PROCESSED_COLUMNS;
