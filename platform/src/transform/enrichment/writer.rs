//! Writing to the enriched stream, so that a device's readings keep their order whatever fails.

use std::time::SystemTime;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;

use super::waves;
use crate::calls::Clock;

/// A reading to write.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    /// Position in the batch.
    pub position: usize,
    /// Number of the device in the batch.
    pub device: usize,
    /// Partition key: the device's id.
    pub key: &'a str,
    /// The reading as JSON.
    pub data: Vec<u8>,
}

/// Writes to one stream.
#[derive(Debug)]
pub(super) struct Writer {
    client: Client,
    stream: String,
    clock: Clock,
}

/// A call after which none of its records is known to be written.
enum Failure {
    /// It may work later.
    Passing,
    /// It will not work before somebody changes something.
    Lasting,
}

impl Writer {
    /// A writer to `stream`.
    pub fn new(client: Client, stream: &str, clock: Clock) -> Self {
        Writer { client, stream: stream.to_owned(), clock }
    }

    /// Writes the readings, in the order of their positions, of `device_count` devices. Answers the lowest position
    /// that is not safely written, if there is one; then nothing after its wave was tried.
    pub async fn write(&self, readings: &[Outgoing<'_>], device_count: usize, deadline: SystemTime) -> Option<usize> {
        let devices: Vec<usize> = readings.iter().map(|reading| reading.device).collect();
        let waves = waves::plan(&devices, device_count);
        for (number, wave) in waves.iter().enumerate() {
            if let Some(unwritten) = self.write_wave(readings, wave, deadline).await {
                let later = waves[number + 1..].iter().filter_map(|wave| wave.first().copied());
                let lowest = later.chain([unwritten]).min().unwrap_or(unwritten);
                return Some(readings[lowest].position);
            }
        }
        None
    }

    /// Writes one wave. Answers the lowest index that is not safely written, if there is one.
    async fn write_wave(&self, readings: &[Outgoing<'_>], wave: &[usize], deadline: SystemTime) -> Option<usize> {
        let sizes = wave.iter().map(|&index| readings[index].data.len() + readings[index].key.len());
        for call in waves::calls(sizes) {
            let unwritten = self.write_call(readings, &wave[call], deadline).await;
            if let Some(&lowest) = unwritten.first() {
                // Later calls of the wave were not tried, but their indexes are higher.
                return Some(lowest);
            }
        }
        None
    }

    /// Writes records that fit one call, repeating those that fail. Answers the indexes that are not safely written.
    async fn write_call(&self, readings: &[Outgoing<'_>], call: &[usize], deadline: SystemTime) -> Vec<usize> {
        let mut pending = call.to_vec();
        let mut attempt = 0;
        while !pending.is_empty() && self.clock.may_attempt(attempt, deadline).await {
            attempt += 1;
            match self.put(readings, &pending, deadline).await {
                Ok(failed) => pending = failed,
                Err(Failure::Passing) => {}
                Err(Failure::Lasting) => break,
            }
        }
        if !pending.is_empty() {
            tracing::warn!(stream = %self.stream, records = pending.len(), attempt, "readings could not be written");
        }
        pending
    }

    /// One `PutRecords` call. Answers the indexes that failed.
    async fn put(
        &self,
        readings: &[Outgoing<'_>],
        indexes: &[usize],
        deadline: SystemTime,
    ) -> Result<Vec<usize>, Failure> {
        let entry = |&index: &usize| {
            let Outgoing { key, data, .. } = &readings[index];
            let entry = PutRecordsRequestEntry::builder().partition_key(*key).data(Blob::new(data.as_slice()));
            entry.build().expect("key and data are set")
        };
        let records = indexes.iter().map(entry).collect();
        let call = self.client.put_records().stream_name(&self.stream).set_records(Some(records)).send();
        let Some(answer) = self.clock.in_time(deadline, call).await else {
            tracing::warn!(stream = %self.stream, "PutRecords was not answered in time");
            return Err(Failure::Passing);
        };
        match answer {
            // An answer of another length says nothing about any record.
            Ok(answer) if answer.records().len() != indexes.len() => Err(Failure::Passing),
            Ok(answer) => {
                let failed = indexes.iter().zip(answer.records()).filter(|(_, result)| result.error_code().is_some());
                Ok(failed.map(|(&index, _)| index).collect())
            }
            Err(error) => {
                let refused = error.raw_response().is_some_and(|response| response.status().is_client_error());
                let throttled = error.code().is_some_and(|code| {
                    code.contains("Throttling") || code.contains("LimitExceeded") || code.contains("ThroughputExceeded")
                });
                tracing::warn!(stream = %self.stream, error = %DisplayErrorContext(error), "PutRecords failed");
                Err(if refused && !throttled { Failure::Lasting } else { Failure::Passing })
            }
        }
    }
}
