//! Batches of streams: their delivery to the function, what becomes of them when the invocation ends, and those that are
//! given up.
//!
//! A failure destination that cannot be told is tried again, as long as it takes, and the lane waits: what the account's
//! owner wants kept is not lost with the failure of a call. How often Lambda tries is not published (unverified). A batch
//! that is given up without a destination is dropped and counted.

use std::time::Duration;

use bytes::Bytes;

use super::admission::Admitted;
use super::answer::{Verdict, judge};
use super::destination::Destination;
use super::failure::{Last, Subject};
use super::invoke::{Begin, FunctionError, Origin, Running, count_end};
use super::lane::{Delivery, Fate, Task};
use super::{Lambda, Ports};
use crate::core::Cx;
use world::mark;
use world::trace::{Field, Level};

/// A batch with an older record is marked.
const BEHIND: Duration = Duration::from_secs(60);

impl Lambda {
    /// Does what is to be done for the batches of a poller. Answers whether that made room.
    pub(super) fn deliver(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, index: usize) -> bool {
        let mut made_room = false;
        loop {
            let poller = &mut self.pollers[index];
            let follows = poller.follow(self.mappings[poller.mapping].lanes);
            made_room |= self.deliver_lanes(cx, ports, index, follows);
            // The new lanes may have waited for nothing but a failure destination, which was told just now.
            if follows || self.pollers[index].is_busy() {
                return made_room;
            }
        }
    }

    /// The same for the lanes as they are, where new deliveries begin only when there are as many as the mapping says.
    fn deliver_lanes(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, index: usize, follows: bool) -> bool {
        let mut made_room = false;
        for lane in 0..self.pollers[index].lanes.len() {
            while let Some(task) = self.task(cx, ports, index, lane) {
                let done = match task {
                    Task::Tell => self.tell(cx, ports, index, lane),
                    Task::Deliver(_) if !follows => false,
                    Task::Deliver(delivery) => {
                        made_room |= self.deliver_batch(cx, ports, index, lane, delivery);
                        false
                    }
                };
                made_room |= done;
                if !done {
                    break;
                }
            }
        }
        made_room
    }

    /// What is to be done for a lane now. Records that expired in the stream meanwhile are dropped before.
    fn task(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, index: usize, lane: usize) -> Option<Task> {
        let poller = &mut self.pollers[index];
        let mapping = &self.mappings[poller.mapping];
        let task = poller.lanes[lane].task(cx.now, mapping)?;
        if matches!(task, Task::Tell) || !poller.may_have_expired(cx.now, lane) {
            return Some(task);
        }
        let mut cx = cx.acting_as(&mapping.reader);
        let expired = poller.expire(&mut cx, &*ports.streams, mapping, lane).unwrap_or(0);
        if expired > 0 {
            cx.meter.add("lambda", "DroppedEventCount", expired as u64);
            let fields = [("shard", (&*poller.shard_id).into()), ("records", expired.into())];
            cx.trace.event(Level::Call, cx.now, "lambda", "drop-expired", &mapping.function, &fields);
        }
        poller.lanes[lane].task(cx.now, mapping)
    }

    /// Has the function process a batch. Answers whether an invocation took it.
    fn deliver_batch(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        index: usize,
        lane: usize,
        delivery: Delivery,
    ) -> bool {
        let target = self.mappings[self.pollers[index].mapping].target();
        match self.admit(cx, ports, &target, true) {
            Ok(admitted) => {
                self.invoke_batch(cx, index, lane, delivery, admitted);
                true
            }
            Err(refusal) => {
                let poller = &mut self.pollers[index];
                refusal.count(cx, &target.function, &[("shard", (&*poller.shard_id).into())]);
                poller.lanes[lane].not_delivered(cx.now);
                false
            }
        }
    }

    fn invoke_batch(&mut self, cx: &mut Cx<'_>, index: usize, lane: usize, delivery: Delivery, admitted: Admitted) {
        let poller = &mut self.pollers[index];
        let mapping = &self.mappings[poller.mapping];
        let shard_id = poller.shard_id.clone();
        let lane_of_batch = &mut poller.lanes[lane];
        let payload = mapping.template.render(&shard_id, delivery.bytes, lane_of_batch.records(delivery.records));
        let newest = lane_of_batch.records(delivery.records).last().map_or(cx.now, |record| record.arrival);
        if lane_of_batch.records(delivery.records).next().is_some_and(|oldest| cx.now.since(oldest.arrival) > BEHIND) {
            cx.trace.mark(cx.now, mark::READER_BEHIND, &shard_id);
        }
        if delivery.attempt > 1 {
            cx.trace.mark(cx.now, mark::BATCH_REPEATED, &shard_id);
        }
        lane_of_batch.started();
        let iterator_age_ms = cx.now.since(newest).as_millis().try_into().unwrap_or(u64::MAX);
        let fields = [
            ("shard", Field::from(&*shard_id)),
            ("records", delivery.records.into()),
            ("iterator_age_ms", iterator_age_ms.into()),
        ];
        cx.meter.add("lambda", "IteratorAge_ms", iterator_age_ms);
        cx.meter.add("lambda", "InvokedEventCount", delivery.records as u64);
        let (origin, request_id) = (Origin::Shard(index, lane), cx.uuid());
        let begin = Begin { origin, payload, request_id, attempt: delivery.attempt, fields: &fields };
        self.begin(cx, admitted, begin);
    }

    /// The invocation that had a lane's batch has ended.
    pub(super) fn batch_ended(
        &mut self,
        cx: &mut Cx<'_>,
        index: usize,
        lane: usize,
        running: &Running,
        result: &Result<Bytes, FunctionError>,
        failure: Option<&'static str>,
    ) {
        let poller = &mut self.pollers[index];
        let mapping = &mut self.mappings[poller.mapping];
        let in_lane = &mut poller.lanes[lane];
        let verdict = match (failure, result) {
            (Some(reason), _) => Verdict::Failed(reason),
            (None, Ok(answer)) if mapping.reports_item_failures => judge(answer, |n| in_lane.position_in_batch(n)),
            (None, _) => Verdict::Done,
        };
        let records = in_lane.batch_records();
        let (kind, done) = match verdict {
            Verdict::Done => ("Success", records),
            Verdict::Again(position) => ("PartialFailure", position),
            Verdict::Failed(reason) => (reason, 0),
        };
        let again = records - done;
        let fields = [("shard", Field::from(&*poller.shard_id)), ("verdict", kind.into()), ("again", again.into())];
        count_end(cx, running, result, failure, &fields);
        cx.meter.add("lambda", "FailedInvokeEventCount", again as u64);
        mapping.last_result = if again == 0 { "OK" } else { "PROBLEM: Function call failed" };
        if again == 0 {
            return in_lane.finish_batch();
        }
        if done > 0 {
            cx.trace.mark(cx.now, mark::PARTIAL_BATCH, &poller.shard_id);
        }
        let function_error = failure.map(|_| "Unhandled");
        let version = running.revision.version.clone();
        let last = Last { request_id: running.request_id.clone(), version, function_error };
        match in_lane.failed(cx.now, mapping, done, last) {
            Fate::Again => {}
            Fate::Split => cx.trace.mark(cx.now, mark::BATCH_SPLIT, &poller.shard_id),
            Fate::GivenUp => cx.trace.mark(cx.now, mark::BATCH_GIVEN_UP, &poller.shard_id),
        }
    }

    /// Tells the failure destination of a lane's first batch, which is given up. Answers whether the batch is gone.
    fn tell(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, index: usize, lane: usize) -> bool {
        let poller = &mut self.pollers[index];
        let mapping = &self.mappings[poller.mapping];
        let shard_id = poller.shard_id.clone();
        let in_lane = &mut poller.lanes[lane];
        let (records, bytes) = (in_lane.batch_records(), in_lane.batch_bytes());
        let Some(given_up) = in_lane.given_up() else { return false };
        given_up.ids.get_or_insert_with(|| (cx.uuid(), cx.uuid()));
        let given_up = given_up.clone();
        let fields = [
            ("shard", Field::from(&*shard_id)),
            ("records", records.into()),
            ("condition", given_up.condition.name().into()),
        ];
        let Some(destination) = &mapping.on_failure else {
            cx.meter.add("lambda", "DroppedEventCount", records as u64);
            cx.trace.event(Level::Call, cx.now, "lambda", "drop-given-up", &mapping.function, &fields);
            in_lane.finish_batch();
            return true;
        };
        let batch: Vec<_> = in_lane.records(records).collect();
        let subject = Subject {
            function_arn: &mapping.function_arn,
            stream_arn: &mapping.source_arn,
            shard_id: &shard_id,
            first: batch[0],
            last: batch[batch.len() - 1],
            records,
        };
        let payload = matches!(destination, Destination::Bucket(_))
            .then(|| mapping.template.render(&shard_id, bytes, batch.iter().copied()));
        let payload = payload.as_ref().map(|event| std::str::from_utf8(event).expect("an event is JSON"));
        let record = given_up.record(&subject, payload);
        let key = given_up.object_key(&mapping.uuid, &shard_id);
        match destination.send(cx, ports, &mapping.reader, &key, record) {
            Ok(()) => {
                cx.meter.add("lambda", "OnFailureDestinationDeliveredEventCount", records as u64);
                let fields: Vec<_> = fields.into_iter().chain([("key", key.as_str().into())]).collect();
                cx.trace.event(Level::Call, cx.now, "lambda", "tell-of-failure", &mapping.function, &fields);
                in_lane.finish_batch();
                true
            }
            Err(error) => {
                cx.meter.add("lambda", "DestinationDeliveryFailures", 1);
                let fields: Vec<_> = fields.into_iter().chain([("code", error.code.into())]).collect();
                cx.trace.event(Level::Call, cx.now, "lambda", "failure-not-told", &mapping.function, &fields);
                in_lane.not_told(cx.now);
                false
            }
        }
    }
}
