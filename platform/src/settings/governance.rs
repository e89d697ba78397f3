//! Settings of security and audit.

use serde::{Deserialize, Serialize};

/// Security and audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// Whether rules of AWS Config judge the account. They need the account's configuration recorder, which a platform
    /// among others cannot own. Default false.
    pub compliance_rules: bool,
    /// Whether the trail records the events of all Regions. The first trail that records an event is free, each further
    /// one is paid: one in an account is enough. Default: only in the environment `prod`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trail_in_all_regions: Option<bool>,
}
