//! One ordered queue of wake-ups for the whole account. A service owns no clock: it asks to be woken.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use world::time::Time;

/// The services of the account that can be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// AWS IoT Core.
    Iot,
    /// Amazon Kinesis Data Streams.
    Kinesis,
    /// AWS Lambda.
    Lambda,
    /// Amazon Data Firehose.
    Firehose,
    /// Amazon S3.
    S3,
    /// Amazon Athena.
    Athena,
    /// Amazon EventBridge Scheduler.
    Scheduler,
    /// AWS CloudFormation.
    CloudFormation,
}

/// Whom to wake, and about what. The token's meaning is the service's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wake {
    /// The service to wake.
    pub service: Service,
    /// What the service asked to be reminded of.
    pub token: u64,
}

/// Wake-ups in the order of (time, request).
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Time, u64, Wake)>>,
    next: u64,
}

impl Timers {
    /// Asks for one wake-up at `time`. A wake-up cannot be withdrawn: the service checks whether it still matters.
    pub fn at(&mut self, time: Time, service: Service, token: u64) {
        self.heap.push(Reverse((time, self.next, Wake { service, token })));
        self.next += 1;
    }

    /// When the next wake-up is due.
    pub fn next_due(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((time, _, _))| *time)
    }

    /// Takes the next wake-up that is due at `now`.
    pub fn pop_due(&mut self, now: Time) -> Option<Wake> {
        if self.next_due()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, wake))| wake)
    }
}
