//! Settings of security and audit.

use serde::{Deserialize, Serialize};

/// Security and audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// Whether rules of AWS Config judge the account. They need the account's configuration recorder, which a platform
    /// among others cannot own. Default false.
    pub compliance_rules: bool,
    /// Whether the trail records the events of all Regions. The first trail that records an event is free, each further
    /// one is paid: turn it off where the account has another trail of all Regions. Default true.
    pub trail_in_all_regions: bool,
}

impl Default for Security {
    fn default() -> Self {
        Security { compliance_rules: false, trail_in_all_regions: true }
    }
}
