//! Reports on run folders. A report reads a folder that a run left behind, never a live run, so that it can be made
//! anywhere and at any time, and the same folder always gives the same bytes.
//!
//! Every figure carries its unit; the page names scenario, seed, digest and build, and ends with the command that
//! repeats the run.

mod chart;
mod html;
mod series;

pub use html::{ReportError, render};

#[cfg(test)]
mod tests;
