//! Limits are data: every quota is a row of `cloud/data/quotas.toml` with its unit and its source.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::bucket::{Scale, TokenBucket};
use world::time::Time;

/// Regions that a row's `value` is for. Every other Region is one of the `other` of `by_region`.
const VALUE_REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// One quota.
#[derive(Clone, Debug, Deserialize)]
pub struct Quota {
    /// Service, such as `kinesis`.
    pub service: String,
    /// Name, such as `shard_write_records`.
    pub name: String,
    /// Default value in us-east-1 and eu-west-1 unless `by_region` says otherwise, and everywhere without `by_region`.
    pub value: toml::Value,
    /// Values that differ by Region. `other` stands for the Regions that are neither named here nor us-east-1 or
    /// eu-west-1.
    #[serde(default)]
    pub by_region: BTreeMap<String, toml::Value>,
    /// Unit of the value.
    pub unit: String,
    /// Where the value was read.
    pub source: String,
}

impl Quota {
    /// The value in `region`, as the table writes it.
    fn in_region(&self, region: &str) -> &toml::Value {
        let other = if VALUE_REGIONS.contains(&region) { None } else { self.by_region.get("other") };
        self.by_region.get(region).or(other).unwrap_or(&self.value)
    }
}

#[derive(Deserialize)]
struct Table {
    quota: Vec<Quota>,
}

/// The rows by service and name. They are part of the build: every account of a process reads the same.
static QUOTAS: LazyLock<BTreeMap<String, BTreeMap<String, Quota>>> = LazyLock::new(|| {
    let table: Table =
        toml::from_str(include_str!("../data/quotas.toml")).expect("the quota table is part of the build");
    let mut quotas: BTreeMap<String, BTreeMap<String, Quota>> = BTreeMap::new();
    for quota in table.quota {
        quotas.entry(quota.service.clone()).or_default().insert(quota.name.clone(), quota);
    }
    quotas
});

/// The quotas of the simulated account in its Region.
#[derive(Clone, Debug)]
pub struct Limits {
    region: String,
    /// Which part of its rates is in force, by service.
    scales: BTreeMap<String, Scale>,
}

impl Limits {
    /// AWS's defaults in `region`, as the table gives them.
    pub fn for_region(region: &str) -> Self {
        let scales = QUOTAS.keys().map(|service| (service.clone(), Scale::default())).collect();
        Limits { region: region.to_owned(), scales }
    }

    /// Which part of a service's rates is in force: what its token buckets are to share. Rates of single connections and
    /// clients, of inbound publishes and of rule evaluations share none: what exceeds them is beyond what a platform survives.
    ///
    /// # Panics
    /// When the table has no such service.
    pub fn scale(&self, service: &str) -> &Scale {
        self.scales.get(service).unwrap_or_else(|| panic!("no quota of {service} is in quotas.toml"))
    }

    /// The same for all services, or for one by its signing name or its name in the table.
    pub fn scales_of<'l>(&'l self, service: Option<&'l str>) -> impl Iterator<Item = &'l Scale> {
        let wanted = move |name: &String| service.is_none_or(|service| name == service || is_of(name, service));
        self.scales.iter().filter(move |(name, _)| wanted(name)).map(|(_, scale)| scale)
    }

    /// A full bucket of a quota in units a second: one second's worth of burst.
    pub fn bucket(&self, service: &str, name: &str, now: Time) -> TokenBucket {
        TokenBucket::per_second(self.get(service, name), now).scaled(self.scale(service))
    }

    /// AWS's defaults in us-east-1, the largest Region.
    pub fn aws_defaults() -> Self {
        Limits::for_region("us-east-1")
    }

    /// The value of a quota in the account's Region, as a whole number.
    ///
    /// # Panics
    /// When the table has no such row, or gives the Region no whole number (`1000 or 6000`): nothing is guessed.
    pub fn get(&self, service: &str, name: &str) -> u64 {
        let quota = QUOTAS.get(service).and_then(|quotas| quotas.get(name));
        let quota = quota.unwrap_or_else(|| panic!("quota {service}/{name} is not in quotas.toml"));
        let region = &self.region;
        match quota.in_region(region) {
            toml::Value::Integer(n) => {
                u64::try_from(*n).unwrap_or_else(|_| panic!("quota {service}/{name} of {region} is negative"))
            }
            other => panic!(
                "quota {service}/{name} of {region} is {other} in quotas.toml, which is not a whole number: add this \
                 Region to the row's by_region, or simulate one of {VALUE_REGIONS:?}"
            ),
        }
    }
}

/// Whether a service of the table has this signing name.
fn is_of(name: &str, signing: &str) -> bool {
    name == "iot-core" && matches!(signing, "iot" | "iotdata" | "iotdevicegateway")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_selects_the_value() {
        for (service, name, region, expected) in [
            // A row with `other` alone: its value is for the two largest Regions.
            ("iot-core", "connect_rate_per_account", "us-east-1", 3_000),
            ("iot-core", "connect_rate_per_account", "eu-west-1", 3_000),
            ("iot-core", "connect_rate_per_account", "ca-central-1", 100),
            // A row that names Regions, with and without `other`.
            ("athena", "active_dml_queries", "us-east-1", 200),
            ("athena", "active_dml_queries", "eu-west-1", 150),
            ("athena", "start_query_execution", "ca-central-1", 20),
            ("athena", "start_query_burst", "ca-central-1", 5),
            // A row that is the same everywhere.
            ("kinesis", "shard_write_records", "eu-west-1", 1_000),
            ("kinesis", "shard_write_records", "ca-central-1", 1_000),
        ] {
            assert_eq!(Limits::for_region(region).get(service, name), expected, "{service}/{name} of {region}");
        }
    }

    #[test]
    #[should_panic(expected = "quota athena/active_dml_queries of ca-central-1 is")]
    fn a_value_that_the_table_leaves_open_is_not_guessed() {
        Limits::for_region("ca-central-1").get("athena", "active_dml_queries");
    }

    #[test]
    fn every_row_has_a_value_in_the_largest_regions() {
        for region in VALUE_REGIONS {
            for quota in QUOTAS
                .values()
                .flat_map(BTreeMap::values)
                .filter(|quota| quota.in_region("other-1") != quota.in_region(region))
            {
                let value = quota.in_region(region);
                assert!(value.is_integer(), "{}/{} of {region} is {value}", quota.service, quota.name);
            }
        }
    }
}
