//! Quotas that the templates need, with AWS's defaults.

use std::collections::BTreeMap;

use aws_sdk_servicequotas::Client;
use aws_types::SdkConfig;
use aws_types::region::Region;
use serde_json::Value;

use super::plan::Plan;

/// How many of something a plan needs, and how many an account has by default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Need {
    /// What is counted.
    pub what: &'static str,
    /// How many the plan needs.
    pub count: u64,
    /// The default.
    pub default: u64,
    /// The service in Service Quotas.
    pub service: &'static str,
    /// The quota there: its code or its name.
    quota: &'static str,
    /// Where Service Quotas keeps the quotas of services that have no Region.
    global: bool,
}

/// A quota that counts resources of one type: what, type, default, service, quota. Defaults are from the services' pages
/// of quotas, codes from Service Quotas.
const BY_TYPE: [(&str, &str, u64, &str, &str, bool); 8] = [
    ("stacks", "", 2000, "cloudformation", "L-0485CB21", false),
    ("buckets", "AWS::S3::Bucket", 10_000, "s3", "L-DC2B2D3D", false),
    ("roles", "AWS::IAM::Role", 1000, "iam", "L-FE177D64", true),
    ("rules of the event bus", "AWS::Events::Rule", 300, "events", "L-244521F2", false),
    ("tables", "AWS::DynamoDB::Table", 2500, "dynamodb", "L-F98FE922", false),
    ("keys", "AWS::KMS::Key", 100_000, "kms", "L-C2F1777E", false),
    (
        "delivery streams",
        "AWS::KinesisFirehose::DeliveryStream",
        5000,
        "firehose",
        "Delivery streams per Region",
        false,
    ),
    ("trails", "AWS::CloudTrail::Trail", 5, "cloudtrail", "Trails per Region", false),
];

/// What a plan needs.
pub(super) fn needs(plan: &Plan) -> Vec<Need> {
    let count = |kind: &str| match kind {
        "" => plan.stacks.len() as u64,
        kind => of_type(plan, kind).count() as u64,
    };
    let by_type = BY_TYPE.into_iter().map(|(what, kind, default, service, quota, global)| Need {
        what,
        count: count(kind),
        default,
        service,
        quota,
        global,
    });
    // Shards: 20,000 in the largest Regions, 1,000 or 6,000 elsewhere; the smallest is taken (Kinesis guide, "Quotas").
    let shards = of_type(plan, "AWS::Kinesis::Stream").map(|stream| shards(stream).unwrap_or(0)).sum();
    let (service, quota) = ("kinesis", "Shards per Region");
    let shards = Need { what: "shards", count: shards, default: 1000, service, quota, global: false };
    let (service, quota) = ("lambda", "L-B99A9384");
    let what = "concurrent executions";
    let concurrency = Need { what, count: concurrency(plan), default: 1000, service, quota, global: false };
    by_type.chain([shards, concurrency]).filter(|need| need.count > 0).collect()
}

/// The properties of all resources of a type.
fn of_type<'p>(plan: &'p Plan, wanted: &'p str) -> impl Iterator<Item = &'p Value> {
    let resources = plan.stacks.iter().flat_map(|stack| stack.resources());
    resources.filter(move |(_, kind, _)| *kind == wanted).map(|(_, _, properties)| properties)
}

/// Shards of a stream; nothing when it is on demand.
fn shards(stream: &Value) -> Option<u64> {
    (stream["StreamModeDetails"]["StreamMode"] != "ON_DEMAND").then(|| stream["ShardCount"].as_u64()).flatten()
}

/// Executions at the same time: one a shard and parallel batch of every mapping of a stream (four shards for a stream on
/// demand, with which it begins), and what functions reserve.
fn concurrency(plan: &Plan) -> u64 {
    let mut published: BTreeMap<&str, u64> = BTreeMap::new();
    for stack in &plan.stacks {
        let streams: BTreeMap<&str, u64> = stack
            .resources()
            .filter(|(_, kind, _)| *kind == "AWS::Kinesis::Stream")
            .map(|(id, _, stream)| (id, shards(stream).unwrap_or(4)))
            .collect();
        for (_, _, parameter) in stack.resources().filter(|(_, kind, _)| *kind == "AWS::SSM::Parameter") {
            let source = parameter["Value"]["Fn::GetAtt"][0].as_str().and_then(|id| streams.get(id));
            if let (Some(path), Some(shards)) = (parameter["Name"].as_str(), source) {
                published.insert(path, *shards);
            }
        }
    }
    let mappings = of_type(plan, "AWS::Lambda::EventSourceMapping").map(|mapping| {
        let source = mapping["EventSourceArn"].as_str().unwrap_or_default();
        let path = source.trim_start_matches("{{resolve:ssm:").trim_end_matches("}}");
        published.get(path).copied().unwrap_or(1) * mapping["ParallelizationFactor"].as_u64().unwrap_or(1)
    });
    let functions = of_type(plan, "AWS::Lambda::Function");
    mappings.sum::<u64>()
        + functions.filter_map(|function| function["ReservedConcurrentExecutions"].as_u64()).sum::<u64>()
}

/// What an account has, as Service Quotas says it; nothing when it does not answer or has no such quota.
pub(super) async fn applied(config: &SdkConfig, need: &Need) -> Option<u64> {
    let config = match need.global {
        true => config.to_builder().region(Region::from_static("us-east-1")).build(),
        false => config.clone(),
    };
    let client = Client::new(&config);
    let mut token = None;
    loop {
        let page = client.list_service_quotas().service_code(need.service).set_next_token(token).send().await.ok()?;
        let matching = page.quotas().iter().find(|quota| {
            quota.quota_code() == Some(need.quota)
                || quota.quota_name().is_some_and(|name| name.eq_ignore_ascii_case(need.quota))
        });
        if let Some(value) = matching.and_then(|quota| quota.value()) {
            return Some(value as u64);
        }
        token = Some(page.next_token()?.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn need(plan: &Plan, what: &str) -> u64 {
        needs(plan).iter().find(|need| need.what == what).map_or(0, |need| need.count)
    }

    #[test]
    fn needs_follow_the_templates() {
        let small = Plan::of(&Settings { raw_shards: Some(3), enriched_shards: Some(2), ..Settings::default() });
        let large = Plan::of(&Settings { raw_shards: Some(700), enriched_shards: Some(2), ..Settings::default() });
        assert_eq!(need(&small, "shards"), 5);
        assert_eq!(need(&large, "shards"), 702);
        assert_eq!(need(&large, "concurrent executions") - need(&small, "concurrent executions"), 697);
        assert_eq!(need(&small, "stacks"), small.stacks.len() as u64);
        assert!(need(&small, "roles") > 0 && need(&small, "buckets") > 0);
    }
}
