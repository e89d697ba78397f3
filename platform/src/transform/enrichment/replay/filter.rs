//! Which records are meant.

use super::super::rejection::Reason;
use super::error::ReplayError;
use super::object::Kept;
use crate::calendar;

/// The reason of records in batches of the raw stream that Lambda gave up, because the enrichment ended each time that it had
/// them, or asked for them again too often.
pub const FUNCTION_FAILED: &str = "function-failed";
/// The reason of records in batches of the enriched stream that Lambda gave up, for the anomaly detection. They are in the lake,
/// only what the detectors would have said of them is missing, so they are never replayed.
pub const DETECTION_FAILED: &str = "detection-failed";

/// Which records are meant: those for which everything holds that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    reasons: Vec<String>,
    tenant: Option<String>,
    device: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
}

impl Filter {
    /// Records that were refused for one of these reasons, any when there are none; of a tenant and of a device; kept from a
    /// time on and until another, which is not included.
    pub fn new(
        reasons: Vec<String>,
        tenant: Option<String>,
        device: Option<String>,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Self, ReplayError> {
        let known: Vec<&'static str> =
            Reason::ALL.iter().map(|reason| reason.code()).chain([FUNCTION_FAILED, DETECTION_FAILED]).collect();
        if let Some(found) = reasons.iter().find(|reason| !known.contains(&reason.as_str())) {
            return Err(ReplayError::NoSuchReason { found: found.clone(), known });
        }
        let time = |flag, text: Option<&str>| {
            let instant = text.map(|text| {
                let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
                calendar::parse(&whole).ok_or_else(|| ReplayError::NoTime { flag, found: text.to_owned() })
            });
            instant.transpose()
        };
        Ok(Filter { reasons, tenant, device, from: time("--from", from)?, to: time("--to", to)? })
    }

    /// Whether nothing is said, so that all records are meant.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether records are asked for by this reason.
    pub(super) fn names(&self, reason: &str) -> bool {
        self.reasons.iter().any(|asked| asked == reason)
    }

    /// Whether records that were kept at this time, in seconds since the Unix epoch, may be meant.
    pub(super) fn covers(&self, kept_at: i64) -> bool {
        self.from.is_none_or(|from| kept_at >= from) && self.to.is_none_or(|to| kept_at < to)
    }

    /// Whether a record of an object that is covered is meant.
    pub(super) fn matches(&self, kept: &Kept) -> bool {
        (self.reasons.is_empty() || self.reasons.contains(&kept.reason))
            && self.tenant.as_ref().is_none_or(|tenant| kept.tenant.as_ref() == Some(tenant))
            && self.device.as_ref().is_none_or(|device| kept.device.as_ref() == Some(device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_times_are_checked_before_anything_is_done() {
        let reasons = |reason: &str| Filter::new(vec![reason.to_owned()], None, None, None, None);
        assert!(["unknown-unit", FUNCTION_FAILED, DETECTION_FAILED].iter().all(|reason| reasons(reason).is_ok()));
        assert!(
            reasons(DETECTION_FAILED).unwrap().names(DETECTION_FAILED) && !Filter::default().names(DETECTION_FAILED)
        );
        let error = reasons("unknown-units").unwrap_err();
        assert!(
            error.is_usage() && error.to_string().contains("unknown-unit, function-failed, detection-failed"),
            "{error}"
        );
        for time in ["yesterday", "2026-03-01T00:00", "2026-13-01"] {
            let error = Filter::new(Vec::new(), None, None, None, Some(time)).unwrap_err();
            assert!(
                error.is_usage() && error.to_string().contains("--to") && error.to_string().contains("hint"),
                "{error}"
            );
        }
        let day = Filter::new(Vec::new(), None, None, Some("2026-03-01"), Some("2026-03-01T01:00:00Z")).unwrap();
        let covered = [1_772_323_199, 1_772_323_200, 1_772_326_799, 1_772_326_800].map(|at| day.covers(at));
        assert_eq!(covered, [false, true, true, false]);
        assert!(!day.is_empty() && Filter::default().is_empty());
    }
}
