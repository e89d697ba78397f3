//! Comparing shadows with what their devices are, on the real SDK.

use std::collections::BTreeMap;

use aws_sdk_iotdataplane::error::SdkError;
use aws_types::SdkConfig;
use serde_json::Value;

use super::athena::{QueryError, sdk};
use super::{SHADOW_CONVERGENCE, Violation};
use crate::fleet::{MEASURED, OwnState, Truth};

/// How many devices a violation names before it says "and so on".
const NAMED_MAX: usize = 5;

/// Reads shadows.
pub struct ShadowReader {
    data: aws_sdk_iotdataplane::Client,
}

/// A device with a shadow, as the fleet and the operator know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shadowed {
    /// Index of the device.
    pub device: u32,
    /// What the device itself is, by the keys of its shadow.
    pub own: OwnState,
    /// What the operator desired last of it and AWS accepted; empty when that was nothing.
    pub desired: OwnState,
}

/// What a look at all shadows showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Convergence {
    /// Shadows that have what was desired and what their devices are.
    pub converged: u64,
    /// What is otherwise, by the device: one sentence for each key.
    pub differences: BTreeMap<u32, Vec<String>>,
}

impl ShadowReader {
    /// A reader of the account's shadows.
    pub fn new(config: &SdkConfig) -> Self {
        ShadowReader { data: super::client!(aws_sdk_iotdataplane, config) }
    }

    /// The document of a thing's classic shadow; nothing when there is none.
    async fn document(&self, thing: &str) -> Result<Option<Value>, QueryError> {
        match self.data.get_thing_shadow().thing_name(thing).send().await {
            Ok(answer) => {
                let payload = answer.payload().map_or(&[][..], |payload| payload.as_ref());
                let unreadable = |e| QueryError::new(format!("the shadow of {thing} is not JSON: {e}"));
                serde_json::from_slice(payload).map(Some).map_err(unreadable)
            }
            Err(SdkError::ServiceError(error)) if error.err().is_resource_not_found_exception() => Ok(None),
            Err(error) => Err(sdk(error)),
        }
    }

    /// Compares the shadows of these devices with what they should be.
    pub async fn look(&self, truth: &Truth, shadowed: &[Shadowed]) -> Result<Convergence, QueryError> {
        let mut found = Convergence::default();
        for each in shadowed {
            let (_, thing) = truth.device(each.device);
            let differences = differences(self.document(thing).await?.as_ref(), each);
            if differences.is_empty() {
                found.converged += 1;
            } else {
                found.differences.insert(each.device, differences);
            }
        }
        Ok(found)
    }
}

impl Convergence {
    /// The broken promise, when peace is over.
    pub fn violation(&self, truth: &Truth) -> Option<Violation> {
        let name = |(device, differences): (&u32, &Vec<String>)| {
            let (tenant, id) = truth.device(*device);
            format!("device {tenant}/{id} (thing {id}): {}", differences.join(", "))
        };
        let named: Vec<String> = self.differences.iter().take(NAMED_MAX).map(name).collect();
        (!named.is_empty()).then(|| {
            let (count, total) = (self.differences.len(), self.differences.len() as u64 + self.converged);
            let more = if count > named.len() { "; …" } else { "" };
            let message = format!("{count} of {total} shadows are not as they should be: {}{more}", named.join("; "));
            Violation { invariant: SHADOW_CONVERGENCE, message, reading: None }
        })
    }
}

/// What is wrong with a shadow, one sentence for each key.
fn differences(document: Option<&Value>, should: &Shadowed) -> Vec<String> {
    let Some(document) = document else { return vec!["there is no shadow".to_owned()] };
    let section = |name: &str| document["state"][name].as_object().cloned().unwrap_or_default();
    let (desired, reported) = (section("desired"), section("reported"));
    let mut wrong = Vec::new();
    for (key, wanted) in &should.desired {
        // The platform may ask for another interval after the operator.
        if key != "publish_interval_ms" && desired.get(key) != Some(wanted) {
            wrong.push(format!(
                "`{key}` was desired as {wanted}, and accepted, and is desired as {}",
                shown(&desired, key)
            ));
        }
    }
    for (key, wanted) in &desired {
        if reported.get(key) != Some(wanted) {
            wrong.push(format!("`{key}` is desired as {wanted} and reported as {}", shown(&reported, key)));
        }
    }
    let keys = should.own.keys().chain(reported.keys().filter(|key| !should.own.contains_key(*key)));
    for key in keys.filter(|key| *key != MEASURED) {
        if reported.get(key) != should.own.get(key) {
            let (reported, is) = (shown(&reported, key), shown(&should.own, key));
            wrong.push(format!("`{key}` is reported as {reported} and is {is} in the device"));
        }
    }
    wrong
}

fn shown(section: &OwnState, key: &str) -> String {
    section.get(key).map_or("nothing".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::world::time::Time;

    fn object(value: Value) -> OwnState {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn each_key_that_is_otherwise_is_named() {
        let own = object(json!({ "firmware": "1.1.0", "publish_interval_ms": 5_000 }));
        let shadowed = Shadowed { device: 0, own, desired: object(json!({ "firmware": "1.1.0" })) };
        let reported = json!({ "firmware": "1.1.0", "publish_interval_ms": 5_000, "battery_percent": 71 });
        let state = |desired: Value, reported: &Value| json!({ "state": { "desired": desired, "reported": reported } });
        for (document, expected) in [
            (state(json!({ "firmware": "1.1.0", "publish_interval_ms": 5_000 }), &reported), ""),
            (
                state(json!({}), &reported),
                "`firmware` was desired as \"1.1.0\", and accepted, and is desired as nothing",
            ),
            (
                state(json!({ "firmware": "1.1.0", "setpoint": 3 }), &reported),
                "`setpoint` is desired as 3 and reported as nothing",
            ),
            (
                state(
                    json!({ "firmware": "1.1.0" }),
                    &json!({ "firmware": "1.1.0", "publish_interval_ms": 1, "x": 2 }),
                ),
                "`publish_interval_ms` is reported as 1 and is 5000 in the device, \
                 `x` is reported as 2 and is nothing in the device",
            ),
        ] {
            assert_eq!(differences(Some(&document), &shadowed).join(", "), expected);
        }
        assert_eq!(differences(None, &shadowed), ["there is no shadow"]);
    }

    #[test]
    fn a_violation_names_device_thing_and_key() {
        let mut truth = Truth::new(Time::EPOCH);
        truth.add_device("acme", "pump-1");
        let mut found = Convergence { converged: 4, differences: BTreeMap::new() };
        assert_eq!(found.violation(&truth), None);
        found.differences.insert(0, vec!["`firmware` is desired as 2 and reported as 1".to_owned()]);
        let message = found.violation(&truth).expect("a violation").message;
        let expected = "1 of 5 shadows are not as they should be: device acme/pump-1 (thing pump-1): `firmware` is \
                        desired as 2 and reported as 1";
        assert_eq!(message, expected);
    }
}
