//! Insights: answers.
//!
//! **Enters:** the tables of [`crate::store`]. **Leaves:** answers to queries, as rows and as objects in the results
//! bucket; alarms when the platform is not as it should be ([`dashboard`]).
//!
//! **Guarantees:** a query sees every reading that was delivered before it began. The named queries count a reading
//! once, however often it was delivered. **Limits:** a query that scans more than the workgroup's limit is cancelled.

pub mod analytics;
pub mod dashboard;
