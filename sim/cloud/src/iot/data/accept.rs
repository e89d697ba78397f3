//! A message over HTTPS is accepted: its limits, the account's rate, and where it goes.

use super::throttled;
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::message::Posted;
use crate::iot::registry::invalid;
use crate::iot::reserved::{self, Request};
use crate::iot::rules::Ports;
use world::trace::{Field, Level};

impl Iot {
    /// Publishes a message that came over HTTPS and whose publisher may publish it.
    pub(in crate::iot) fn publish_http(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        posted: &Posted,
    ) -> Result<(), AwsError> {
        let accepted = self.check_http(cx, posted);
        let metric = match &accepted {
            Ok(()) => "PublishIn.Success",
            Err(error) if error.is_throttle() => "PublishIn.Throttle",
            Err(_) => "PublishIn.ClientError",
        };
        cx.meter.add("iot", metric, 1);
        accepted?;
        let fields = [
            ("principal", posted.principal.as_deref().unwrap_or("").into()),
            ("payload", Field::Bytes(&posted.payload)),
        ];
        cx.trace.event(Level::Message, cx.now, "iot", "publish-http", &posted.topic, &fields);
        self.route(cx, ports, posted);
        if let Some(Request::Shadow { thing, name, verb }) = reserved::request(&posted.topic) {
            self.shadow_request(cx, thing, name, verb, posted);
        }
        Ok(())
    }

    fn check_http(&mut self, cx: &Cx<'_>, posted: &Posted) -> Result<(), AwsError> {
        let quotas = self.quotas(cx);
        if posted.payload.len() > quotas.payload_size {
            return Err(invalid("a payload has at most 128 KiB"));
        }
        if posted.topic.starts_with('$') {
            match reserved::request(&posted.topic) {
                Some(Request::Shadow { .. }) if !posted.retain => {}
                Some(Request::Shadow { .. }) | None => {
                    return Err(invalid("no service of AWS IoT Core takes such a publish to this reserved topic"));
                }
                Some(_) => return Err(AwsError::not_modelled("iotdata Publish to this reserved topic")),
            }
        }
        if posted.retain {
            return Err(AwsError::not_modelled("iotdata Publish of retained messages"));
        }
        if quotas.publishes_in.try_take(cx.now, 1) { Ok(()) } else { Err(throttled()) }
    }
}
