//! Messages that reach rules by other ways than a client's publish: Basic Ingest, and what rules republish.

use super::{Around, Ports};
use crate::core::Cx;
use crate::iot::Iot;
use crate::iot::message::Posted;
use crate::iot::quotas::Quotas;
use crate::iot::reserved;
use crate::iot::sql::{Message, Segments};
use world::trace::{Field, Level};

impl Iot {
    /// Basic Ingest: a message for this rule alone, on this topic; nobody else gets it, and it is not charged as a message
    /// (counter `BasicIngest`, a name of this simulator). Its client learns nothing of what becomes of it.
    pub(in crate::iot) fn ingest(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        rule: &str,
        topic: &str,
        posted: &Posted,
    ) {
        cx.meter.add("iot", "BasicIngest", 1);
        let segments = Segments::of(topic).expect("the number of slashes is checked");
        let message = Message::new(posted, topic, segments, cx.now);
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let around = &mut Around { quotas, ports, shadows: &mut self.shadows };
        self.rules.ingest(cx, around, rule, &message);
    }

    /// Publishes what rules have republished. Nothing but the account's rates ends a loop of rules.
    pub(in crate::iot) fn publish_republished(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>) {
        while let Some(posted) = self.rules.outbox.pop() {
            let fields = [("payload", Field::Bytes(&posted.payload))];
            cx.trace.event(Level::Call, cx.now, "iot", "republish", &posted.topic, &fields);
            match reserved::request(&posted.topic) {
                Some(request) => self.ask(cx, ports, request, &posted),
                None => self.route(cx, ports, &posted),
            }
        }
    }
}
