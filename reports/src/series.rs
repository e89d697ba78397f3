//! Metrics of a run as series over simulated time.

use std::collections::BTreeMap;

use record::{MetricRow, RecordError};

/// Totals of one metric: (seconds since the first sample, value).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Series {
    /// Points in the order of time.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// Increase a second between each sample and the one before it.
    pub fn per_second(&self) -> Series {
        let rate = |pair: &[(f64, f64)]| {
            let ((from, before), (to, after)) = (pair[0], pair[1]);
            (to > from).then(|| (to, (after - before).max(0.0) / (to - from)))
        };
        Series { points: self.points.windows(2).filter_map(rate).collect() }
    }

    /// The increase from the first value to the last; zero when there is none.
    pub fn growth(&self) -> f64 {
        match (self.points.first(), self.points.last()) {
            (Some((_, first)), Some((_, last))) => last - first,
            _ => 0.0,
        }
    }

    /// Zero up to the time of the first value, as a counter is that nothing has touched yet.
    fn beginning_at(mut self, start: f64) -> Series {
        if let Some((first, value)) = self.points.first().copied()
            && first > start
            && value > 0.0
        {
            self.points.insert(0, (start, 0.0));
        }
        self
    }
}

/// All metrics of a run by (service, name).
#[derive(Debug, Default)]
pub(crate) struct Metrics(BTreeMap<(String, String), Series>);

impl Metrics {
    /// Reads every row.
    pub fn read(rows: impl Iterator<Item = Result<MetricRow, RecordError>>) -> Result<Self, RecordError> {
        let mut all: BTreeMap<(String, String), Series> = BTreeMap::new();
        let mut start_us = None;
        for row in rows {
            let row = row?;
            let start_us = *start_us.get_or_insert(row.time_us);
            let seconds = (row.time_us - start_us) as f64 / 1e6;
            let series = all.entry((row.service.into_owned(), row.name.into_owned())).or_default();
            series.points.push((seconds, row.value));
        }
        Ok(Metrics(all.into_iter().map(|(key, series)| (key, series.beginning_at(0.0))).collect()))
    }

    /// One metric; empty when the run has none of that name.
    pub fn get(&self, service: &str, name: &str) -> Series {
        self.0.get(&(service.to_owned(), name.to_owned())).cloned().unwrap_or_default()
    }

    /// The `count` metrics that grow most, of those whose name ends with `suffix`: (`service:name without suffix`, series).
    pub fn largest(&self, suffix: &str, count: usize) -> Vec<(String, Series)> {
        let mut found: Vec<(String, Series)> = self
            .0
            .iter()
            .filter_map(|((service, name), series)| {
                let operation = name.strip_suffix(suffix)?;
                (series.growth() > 0.0).then(|| (format!("{service}:{operation}"), series.clone()))
            })
            .collect();
        found.sort_by(|a, b| b.1.growth().total_cmp(&a.1.growth()).then_with(|| a.0.cmp(&b.0)));
        found.truncate(count);
        found
    }
}
