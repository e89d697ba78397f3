//! `UpdateStreamMode`, `UpdateMaxRecordSize` and `DescribeLimits`.

use serde::Deserialize;
use serde_json::json;

use super::lifecycle::StreamModeDetails;
use super::on_demand::Mode;
use super::reshard::DAY;
use super::wire::{Checks, Text, authorized, expect_active, parse, stream_name, text};
use super::work::Work;
use super::{Kinesis, SERVICE};
use crate::core::{AwsError, Cx};
use world::time::Time;
use world::trace::Level;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateStreamModeInput<'a> {
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    stream_mode_details: Option<StreamModeDetails>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateMaxRecordSizeInput<'a> {
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribeLimitsInput {}

impl Kinesis {
    /// `UpdateStreamMode`.
    pub(super) fn update_stream_mode_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: UpdateStreamModeInput<'_> = parse("UpdateStreamMode", body)?;
        let mut checks = Checks::default();
        let arn = checks.required(text(&input.stream_arn), "streamARN").unwrap_or_default();
        checks.stream(None, text(&input.stream_arn));
        checks.required(input.stream_mode_details.as_ref(), "streamModeDetails");
        let mode = input.stream_mode_details.as_ref().and_then(|details| details.check(&mut checks));
        checks.finish()?;
        let name = stream_name(cx, None, Some(arn))?;
        authorized(cx, "kinesis:UpdateStreamMode", name)?;
        let stream = self.existing(cx, name)?;
        expect_active(cx, stream)?;
        if let Some(mode) = mode {
            self.change_mode(cx, name, mode)?;
        }
        Ok(Vec::new())
    }

    /// Whether the mode of a stream that exists may be changed now.
    pub(super) fn check_mode_change(&mut self, cx: &Cx<'_>, name: &str, mode: Mode) -> Result<(), AwsError> {
        let max = self.quotas(cx).mode_changes_per_day;
        let stream = self.existing(cx, name)?;
        while stream.mode_changes.front().is_some_and(|at| *at + DAY <= cx.now) {
            stream.mode_changes.pop_front();
        }
        if stream.mode_changes.len() as u64 >= max {
            // The text is unverified.
            let message = format!("The mode of stream {name} can be changed {max} times in 24 hours.");
            return Err(AwsError::new("LimitExceededException", message));
        }
        let open = stream.open.len() as u64;
        match mode {
            Mode::OnDemand => self.check_on_demand_limit(cx),
            Mode::Provisioned => self.check_shard_limit(cx, open),
        }
    }

    /// Begins to change the mode of a stream that exists, after what was begun before. Answers when that is done.
    pub(super) fn change_mode(&mut self, cx: &mut Cx<'_>, name: &str, mode: Mode) -> Result<Time, AwsError> {
        self.check_mode_change(cx, name, mode)?;
        let stream = self.existing(cx, name)?;
        stream.mode_changes.push_back(cx.now);
        let open = stream.open.len() as u64;
        let fields = [("mode", mode.as_str().into()), ("open", open.into())];
        cx.trace.event(Level::Call, cx.now, SERVICE, "UpdateStreamMode", name, &fields);
        Ok(self.begin(cx, name, [Work::Mode(mode)]))
    }

    /// Whether the account may have one more stream on demand.
    pub(super) fn check_on_demand_limit(&mut self, cx: &Cx<'_>) -> Result<(), AwsError> {
        let limit = self.quotas(cx).on_demand_streams;
        if self.on_demand_streams() < limit {
            return Ok(());
        }
        // The text is unverified.
        let message = format!("The account {} has {limit} streams on demand, which is the limit.", cx.account.id);
        Err(AwsError::new("LimitExceededException", message))
    }

    fn on_demand_streams(&self) -> u64 {
        self.streams.values().filter(|stream| stream.mode_when_done() == Mode::OnDemand).count() as u64
    }

    /// `UpdateMaxRecordSize`.
    pub(super) fn update_max_record_size_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: UpdateMaxRecordSizeInput<'_> = parse("UpdateMaxRecordSize", body)?;
        let mut checks = Checks::default();
        let kib = checks.required(input.max_record_size_in_kib, "maxRecordSizeInKiB");
        self.check_record_size(cx, &mut checks, kib, "maxRecordSizeInKiB");
        checks.stream(None, text(&input.stream_arn));
        checks.finish()?;
        let name = stream_name(cx, None, text(&input.stream_arn))?;
        authorized(cx, "kinesis:UpdateMaxRecordSize", name)?;
        let stream = self.existing(cx, name)?;
        expect_active(cx, stream)?;
        let bytes = kib.and_then(|kib| usize::try_from(kib).ok()).unwrap_or_default() << 10;
        cx.trace.event(Level::Call, cx.now, SERVICE, "UpdateMaxRecordSize", name, &[("bytes", bytes.into())]);
        self.begin(cx, name, [Work::RecordSize(bytes)]);
        Ok(Vec::new())
    }

    /// Notes a size of records that no stream may allow.
    pub(super) fn check_record_size(&mut self, cx: &Cx<'_>, checks: &mut Checks, kib: Option<i64>, path: &str) {
        let quotas = self.quotas(cx);
        let [min, max] = [quotas.record_bytes_default, quotas.record_bytes_max].map(|bytes| (bytes >> 10) as i64);
        checks.range(kib, path, min, max);
    }

    /// `DescribeLimits`.
    pub(super) fn describe_limits_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let DescribeLimitsInput {} = parse("DescribeLimits", body)?;
        cx.authorize("kinesis:DescribeLimits", "*")?;
        let quotas = self.quotas(cx);
        let answer = json!({
            "ShardLimit": quotas.shards_per_account,
            "OpenShardCount": self.open_provisioned_shards(),
            "OnDemandStreamCount": self.on_demand_streams(),
            "OnDemandStreamCountLimit": quotas.on_demand_streams,
        });
        Ok(answer.to_string().into_bytes())
    }
}
