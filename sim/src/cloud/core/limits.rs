//! Limits are data: every quota is a row of `cloud/data/quotas.toml` with its unit and its source.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One quota.
#[derive(Clone, Debug, Deserialize)]
pub struct Quota {
    /// Service, such as `kinesis`.
    pub service: String,
    /// Name, such as `shard_write_records`.
    pub name: String,
    /// Default value in us-east-1 and eu-west-1 unless `by_region` says otherwise.
    pub value: toml::Value,
    /// Unit of the value.
    pub unit: String,
    /// Where the value was read.
    pub source: String,
}

#[derive(Deserialize)]
struct Table {
    quota: Vec<Quota>,
}

/// The quotas of the simulated account.
#[derive(Clone, Debug)]
pub struct Limits(BTreeMap<(String, String), Quota>);

impl Limits {
    /// AWS's defaults, as the table gives them.
    pub fn aws_defaults() -> Self {
        let table: Table =
            toml::from_str(include_str!("../data/quotas.toml")).expect("the quota table is part of the build");
        Limits(table.quota.into_iter().map(|q| ((q.service.clone(), q.name.clone()), q)).collect())
    }

    /// The value of a quota as a whole number.
    ///
    /// # Panics
    /// When the table has no such row, or its value is not a whole number: a bug of the simulator.
    pub fn get(&self, service: &str, name: &str) -> u64 {
        let key = (service.to_owned(), name.to_owned());
        let quota = self.0.get(&key).unwrap_or_else(|| panic!("quota {service}/{name} is not in quotas.toml"));
        match &quota.value {
            toml::Value::Integer(n) => {
                u64::try_from(*n).unwrap_or_else(|_| panic!("quota {service}/{name} is negative"))
            }
            other => panic!("quota {service}/{name} is not a whole number: {other}"),
        }
    }
}
