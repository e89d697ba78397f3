//! `UpdateCertificate`: certificates become inactive and active again.
//!
//! Moving a certificate from ACTIVE disconnects its devices "within a few minutes" (AWS IoT Core API reference,
//! `UpdateCertificate`): here within two, each at an instant of its own (unverified). New connections are refused at once.

use std::collections::BTreeSet;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::registry::CertificateStatus;
use super::wakeup::Wakeup;
use super::{Iot, metered};
use crate::core::{AwsError, Cx, Service};
use world::trace::Level;

/// Longest time until a connection of a deactivated certificate is closed.
const CLOSED_WITHIN: Duration = Duration::from_secs(120);

impl Iot {
    /// Whether a certificate is ACTIVE; nothing when there is none with this id.
    pub fn is_active(&self, certificate: &str) -> Option<bool> {
        self.registry.is_active(certificate)
    }

    /// All certificates: id, and whether it is ACTIVE.
    pub fn certificates(&self) -> impl Iterator<Item = (&str, bool)> {
        self.registry
            .certificates
            .iter()
            .map(|(id, certificate)| (&**id, certificate.status == CertificateStatus::Active))
    }

    /// Makes certificates ACTIVE or INACTIVE, with one call of `UpdateCertificate` on the meter for each. The rate of
    /// that operation is not enforced here: many certificates expire at one instant, and nobody calls for it.
    pub fn update_certificates(&mut self, cx: &mut Cx<'_>, ids: &BTreeSet<&str>, active: bool) -> Result<(), AwsError> {
        let status = if active { CertificateStatus::Active } else { CertificateStatus::Inactive };
        for id in ids {
            let updated = self.set_status(cx, id, status);
            metered(cx, "UpdateCertificate", updated)?;
        }
        self.close_inactive(cx, ids);
        Ok(())
    }

    /// Gives a certificate another status, and closes its connections when that is not ACTIVE: `UpdateCertificate`, and
    /// what provisioning does.
    pub(super) fn set_certificate_status(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        status: CertificateStatus,
    ) -> Result<(), AwsError> {
        self.set_status(cx, id, status)?;
        self.close_inactive(cx, &BTreeSet::from([id]));
        Ok(())
    }

    fn set_status(&mut self, cx: &Cx<'_>, id: &str, status: CertificateStatus) -> Result<(), AwsError> {
        self.registry.set_status(cx, id, status)?;
        cx.trace.event(Level::Call, cx.now, "iot", "certificate", id, &[("status", status.name().into())]);
        Ok(())
    }

    /// Asks to be woken for the connections of certificates that are not active any more. Those that are active again by
    /// then stay.
    fn close_inactive(&mut self, cx: &mut Cx<'_>, ids: &BTreeSet<&str>) {
        let within_ms = u64::try_from(CLOSED_WITHIN.as_millis()).unwrap_or(u64::MAX);
        for (connection, certificate) in self.connections_with(ids) {
            if self.is_active(&certificate) == Some(false) {
                let after = Duration::from_millis(xxh3_64(certificate.as_bytes()) % within_ms);
                cx.timers.at(cx.now + after, Service::Iot, Wakeup::Certificate(connection).token());
            }
        }
    }
}
