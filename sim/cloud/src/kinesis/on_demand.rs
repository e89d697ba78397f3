//! Capacity on demand: when AWS splits the shards of such a stream, and when it merges them again.
//!
//! Guide, "How on-demand mode scales": a shard that takes more than 500 KB/s is split evenly within 15 minutes, and a stream
//! has capacity for twice the peak of the last 30 days. Here a rate is what arrived in a minute. A split is done when the
//! 15 minutes are over, the longest that AWS may take. The guide names bytes only: records are held to the same part of
//! their rate (unverified). A split that is due while the stream changes otherwise begins after that. Merges happen once an
//! hour, of the neighbours with the fewest keys that would not be split again at the rate of the last window (unverified).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::quotas::Quotas;
use super::reshard::{DAY, Step};
use super::stream::Stream;
use super::work::{RESHARD, TickKind, Work};
use super::{Kinesis, SERVICE};
use crate::core::Cx;
use world::time::Time;
use world::trace::Level;

/// Over which time a rate is taken.
const WINDOW: Duration = Duration::from_secs(60);
/// How long a split waits at least when the stream is changing.
const SPLIT_AGAIN: Duration = Duration::from_secs(1);
/// How often the stream is looked at when nothing happens, and billed.
const HOUR: Duration = Duration::from_secs(3_600);
/// What a record is rounded up to for billing.
const BILLED_UNIT_BYTES: u64 = 1_024;

/// StreamMode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Its owner says how many shards there are.
    Provisioned,
    /// AWS does.
    OnDemand,
}

impl Mode {
    /// AWS's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Provisioned => "PROVISIONED",
            Mode::OnDemand => "ON_DEMAND",
        }
    }

    /// The mode with this name.
    pub fn of(name: &str) -> Option<Mode> {
        [Mode::Provisioned, Mode::OnDemand].into_iter().find(|mode| mode.as_str() == name)
    }
}

/// What arrived at a shard in the present window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrived {
    /// Records.
    pub records: u64,
    /// Bytes, keys included.
    pub bytes: u64,
}

impl Arrived {
    /// Counts a record.
    pub fn count(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
    }

    /// Bytes a second: those that arrived, or those whose share of a shard's rate is that of the records that did.
    fn rate(self, quotas: &Quotas) -> u64 {
        let of_records = self.records * quotas.shard_write_bytes / quotas.shard_write_records;
        self.bytes.max(of_records) / WINDOW.as_secs()
    }
}

/// What AWS knows of the traffic of a stream on demand.
#[derive(Debug)]
pub(super) struct OnDemand {
    /// Names the stream's wake-ups for scaling.
    token: u64,
    /// When the next of them is due.
    armed: Time,
    window_began: Time,
    /// Until when the stream is billed.
    billed_until: Time,
    /// The highest rate of each day, by the day's beginning.
    peaks: VecDeque<(Time, u64)>,
    /// Shards that are to be split, and when the split begins.
    hot: BTreeMap<u32, Time>,
}

impl OnDemand {
    /// A stream that is on demand from now on and keeps capacity for `peak` bytes a second.
    fn new(token: u64, now: Time, peak: u64) -> Self {
        let peaks = VecDeque::from([(now, peak)]);
        OnDemand { token, armed: Time::MAX, window_began: now, billed_until: now, peaks, hot: BTreeMap::new() }
    }

    /// Notes a rate of the whole stream.
    fn note_peak(&mut self, now: Time, rate: u64, quotas: &Quotas) {
        let days = u32::try_from(quotas.on_demand_peak_days).unwrap_or(u32::MAX);
        while self.peaks.front().is_some_and(|(since, _)| *since + DAY * (days + 1) <= now) {
            self.peaks.pop_front();
        }
        match self.peaks.back_mut() {
            Some((since, peak)) if *since + DAY > now => *peak = rate.max(*peak),
            _ => self.peaks.push_back((now, rate)),
        }
    }

    /// Open shards that the stream has at least, by its peak.
    fn shards_needed(&self, quotas: &Quotas) -> u64 {
        let peak = self.peaks.iter().map(|(_, peak)| *peak).max().unwrap_or(0);
        (peak * quotas.on_demand_peak_factor).div_ceil(quotas.shard_write_bytes).max(quotas.on_demand_shards_min)
    }
}

impl Stream {
    /// Its mode.
    pub fn mode(&self) -> Mode {
        if self.on_demand.is_some() { Mode::OnDemand } else { Mode::Provisioned }
    }

    /// A record has arrived at a shard of a stream on demand.
    pub(super) fn scale_by(&mut self, cx: &mut Cx<'_>, quotas: &Quotas, shard: usize, bytes: u64) {
        let Some(on_demand) = &self.on_demand else { return };
        cx.meter.add(SERVICE, "ondemand_data_in_bytes", bytes.max(1).next_multiple_of(BILLED_UNIT_BYTES));
        if cx.now >= on_demand.window_began + WINDOW {
            self.end_window(cx, quotas);
        }
        self.shards[shard].arrived.count(bytes);
    }

    /// Looks at the window's rates, and begins the next one.
    fn end_window(&mut self, cx: &mut Cx<'_>, quotas: &Quotas) {
        let Stream { on_demand: Some(on_demand), shards, open, .. } = self else { return };
        let (mut total, began) = (0, on_demand.window_began);
        let lead = Duration::from_secs(quotas.on_demand_split_secs).saturating_sub(RESHARD);
        for (_, index) in &*open {
            let shard = &mut shards[*index as usize];
            let rate = std::mem::take(&mut shard.arrived).rate(quotas);
            shard.rate = rate;
            total += rate;
            if rate > quotas.on_demand_split_bytes && shard.range.middle().is_some() {
                on_demand.hot.entry(*index).or_insert((began + lead).max(cx.now));
            }
        }
        on_demand.note_peak(cx.now, total, quotas);
        on_demand.window_began = cx.now;
        self.arm_scaling(cx);
    }

    /// Asks to be woken for the next split, or when the hour is over.
    fn arm_scaling(&mut self, cx: &mut Cx<'_>) {
        let Some(on_demand) = &mut self.on_demand else { return };
        let due = on_demand.hot.values().copied().min().unwrap_or(Time::MAX).min(on_demand.billed_until);
        if due < on_demand.armed {
            on_demand.armed = due;
            cx.timers.at(due, crate::core::Service::Kinesis, on_demand.token);
        }
    }

    /// The splits that are due. While something else is being done to the stream, they wait for its end: what they split may
    /// be another shard by then.
    fn splits_due(&mut self, now: Time, quotas: &Quotas) -> Vec<Step> {
        let (is_quiet, again) = (self.is_quiet(), self.busy_until.max(now + SPLIT_AGAIN));
        let Some(on_demand) = &mut self.on_demand else { return Vec::new() };
        if !is_quiet {
            on_demand.hot.values_mut().filter(|due| **due <= now).for_each(|due| *due = again);
            return Vec::new();
        }
        let due: Vec<u32> = on_demand.hot.iter().filter(|(_, due)| **due <= now).map(|(index, _)| *index).collect();
        let room = quotas.on_demand_shards_max.saturating_sub(self.open.len() as u64);
        let mut steps = Vec::new();
        for index in due {
            on_demand.hot.remove(&index);
            let shard = &self.shards[index as usize];
            if let (None, Some(at)) = (shard.closed, shard.range.middle())
                && (steps.len() as u64) < room
            {
                steps.push(Step::Split { at });
            }
        }
        steps
    }

    /// Merges of different shards that leave the stream with the capacity that its peak asks for, and that no split would
    /// undo.
    fn merges_due(&self, quotas: &Quotas) -> Vec<Step> {
        let Some(on_demand) = &self.on_demand else { return Vec::new() };
        let open = self.open.len() as u64;
        let mut spare = open.saturating_sub(on_demand.shards_needed(quotas));
        let shard = |place: usize| &self.shards[self.open[place].1 as usize];
        let stays_cool = |above: &usize| {
            let (low, high) = (shard(above - 1), shard(*above));
            let waits = [low, high].iter().any(|shard| on_demand.hot.contains_key(&shard.index));
            !waits && low.rate + high.rate <= quotas.on_demand_split_bytes
        };
        let keys = |above: usize| shard(above).range.end - shard(above - 1).range.start;
        let mut pairs: Vec<(u128, usize)> =
            (1..self.open.len()).filter(stays_cool).map(|above| (keys(above), above)).collect();
        pairs.sort_unstable();
        let (mut taken, mut steps) = (vec![false; self.open.len()], Vec::new());
        for (_, above) in pairs {
            if spare > 0 && !taken[above] && !taken[above - 1] {
                (taken[above], taken[above - 1]) = (true, true);
                spare -= 1;
                steps.push(Step::Merge { at: self.open[above].0 });
            }
        }
        steps
    }
}

impl Kinesis {
    /// Makes a stream one on demand, or one with provisioned shards. Its shards stay as they are.
    pub(super) fn set_mode(&mut self, cx: &mut Cx<'_>, name: &str, mode: Mode) {
        let quotas = self.quotas(cx);
        let Some(stream) = self.streams.get_mut(name).filter(|stream| stream.mode() != mode) else { return };
        stream.on_demand = match mode {
            Mode::Provisioned => None,
            Mode::OnDemand => {
                // What it has is kept as if its peak had needed it.
                let peak = stream.open.len() as u64 * quotas.shard_write_bytes / quotas.on_demand_peak_factor;
                let token = self.ticks.reserve(stream, TickKind::Scale);
                Some(OnDemand::new(token, cx.now, peak))
            }
        };
        stream.shards.iter_mut().for_each(|shard| (shard.arrived, shard.rate) = (Arrived::default(), 0));
        stream.watch();
        bill(cx, stream);
        stream.arm_scaling(cx);
    }

    /// A wake-up of a stream on demand.
    pub(super) fn scale(&mut self, cx: &mut Cx<'_>, name: &str) {
        let quotas = self.quotas(cx);
        let Some(stream) = self.streams.get_mut(name) else { return };
        let Some(on_demand) = &mut stream.on_demand else { return };
        // A wake-up that an earlier one has overtaken is none.
        if on_demand.armed > cx.now {
            return;
        }
        on_demand.armed = Time::MAX;
        let (window_is_over, hour_is_over) =
            (cx.now >= on_demand.window_began + WINDOW, cx.now >= on_demand.billed_until);
        if window_is_over {
            stream.end_window(cx, &quotas);
        }
        let mut steps = stream.splits_due(cx.now, &quotas);
        if steps.is_empty() && hour_is_over && stream.is_quiet() {
            steps = stream.merges_due(&quotas);
        }
        bill(cx, stream);
        stream.arm_scaling(cx);
        if !steps.is_empty() {
            let fields = [("open", stream.open.len().into()), ("steps", steps.len().into())];
            cx.trace.event(Level::Call, cx.now, SERVICE, "stream scales on demand", name, &fields);
            self.begin(cx, name, [Work::Reshard(steps)]);
        }
    }
}

/// Bills the hours of a stream on demand that have begun.
fn bill(cx: &mut Cx<'_>, stream: &mut Stream) {
    let Some(on_demand) = &mut stream.on_demand else { return };
    while on_demand.billed_until <= cx.now {
        on_demand.billed_until += HOUR;
        cx.meter.add(SERVICE, "ondemand_stream_hour", 1);
    }
}
