//! What roles may do, and what carries tags.

use std::collections::BTreeSet;

use serde_json::Value;

use super::tests::{Known, everything, resources, templates};
use super::*;

/// Actions to which AWS gives no resource (Service Authorization Reference): only these stand beside `*`.
const WITHOUT_RESOURCE: [&str; 14] = [
    "ce:GetCostAndUsage",
    "cognito-identity:CreateIdentityPool",
    "cognito-identity:SetIdentityPoolRoles",
    "cognito-identity:SetPrincipalTagAttributeMap",
    "cognito-idp:CreateUserPool",
    "iot:DescribeEndpoint",
    "iot:GetV2LoggingOptions",
    "iot:SetV2LoggingOptions",
    "iot:UpdateEventConfigurations",
    "kinesis:UpdateShardCount",
    "kinesis:UpdateStreamMode",
    "lambda:CreateEventSourceMapping",
    "sns:GetSubscriptionAttributes",
    "sns:Unsubscribe",
];

/// Whether a stack's roles deploy the platform: they are outside of the boundary, which is for roles that work on data.
fn deploys(stack: &Stack) -> bool {
    stack.name.ends_with("-pipeline")
}

/// One grant of a role: what may be done on what.
struct Grant {
    role: String,
    bounded: bool,
    action: String,
    resource: String,
}

/// The items of a member that is one text or a list.
fn items(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn statements(document: &Value) -> Vec<&Value> {
    document["Statement"].as_array().expect("a document has statements").iter().collect()
}

/// The policies inside of a role.
fn inline(properties: &Value) -> Vec<&Value> {
    items(&properties["Policies"]).into_iter().map(|policy| &policy["PolicyDocument"]).collect()
}

fn grants(templates: &[(Stack, Value)], known: &Known) -> Vec<Grant> {
    let mut grants = Vec::new();
    for (stack, template) in templates {
        for (id, kind, properties) in resources(template) {
            let documents = match kind {
                "AWS::IAM::Role" => inline(properties),
                "AWS::IAM::ManagedPolicy" if deploys(stack) => vec![&properties["PolicyDocument"]],
                _ => continue,
            };
            for statement in documents.into_iter().flat_map(statements) {
                if statement["Effect"] == "Deny" {
                    continue;
                }
                for action in items(&statement["Action"]) {
                    for resource in items(&statement["Resource"]) {
                        grants.push(Grant {
                            role: format!("{} {id}", stack.name),
                            bounded: !deploys(stack),
                            action: action.as_str().expect("an action is a text").to_owned(),
                            resource: known.resolve(&stack.name, resource),
                        });
                    }
                }
            }
        }
    }
    assert!(grants.len() > 60, "{} grants: this check would pass for the wrong reason", grants.len());
    grants
}

#[test]
fn roles_may_do_named_actions_on_named_resources() {
    let templates = templates(&everything());
    for Grant { role, action, resource, .. } in grants(&templates, &Known::of(&templates)) {
        assert!(action.contains(':') && !action.contains('*'), "{role}: {action}");
        // Otherwise a wildcard stands only at the end, after something that the platform names or that AWS calls a kind:
        // objects below a prefix, the streams of one log group, the things of the registry.
        let named = resource.strip_suffix('*').unwrap_or(&resource);
        let excepted = resource == "*" && WITHOUT_RESOURCE.contains(&action.as_str());
        let arn = named.starts_with("arn:aws:") && named.split(':').nth(5).is_some_and(|name| !name.is_empty());
        assert!(excepted || (arn && !named.contains(['*', '<'])) || kms(&action), "{role}: {action} on {resource}");
    }
}

/// Ids of keys are made by KMS, so that no name of one is known before.
fn kms(action: &str) -> bool {
    action.starts_with("kms:")
}

/// Whether a pattern of IAM, in which `*` stands for any text, matches.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((begin, rest)) => text.strip_prefix(begin).is_some_and(|text| {
            rest.is_empty() || (0..=text.len()).any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))
        }),
    }
}

#[test]
fn every_role_has_the_boundary_and_the_boundary_allows_what_roles_are_granted() {
    let templates = templates(&everything());
    let known = Known::of(&templates);
    let mut bounds = None;
    for (stack, template) in &templates {
        for (_, _, properties) in resources(template).filter(|(_, kind, _)| *kind == "AWS::IAM::ManagedPolicy") {
            let name = known.resolve(&stack.name, &properties["ManagedPolicyName"]);
            let size = serde_json::to_string(&properties["PolicyDocument"]).expect("JSON").len();
            assert!(size <= 6_144, "{name}: {size} characters");
            if deploys(stack) {
                continue;
            }
            assert!(name.contains("boundary"), "{name}");
            bounds = Some((
                stack.name.clone(),
                format!("arn:aws:iam::123456789012:policy/{name}"),
                &properties["PolicyDocument"],
            ));
        }
    }
    let (owner, arn, document) = bounds.expect("a stack owns the boundary");
    let mut roles = 0;
    for (stack, template) in &templates {
        for (id, _, properties) in resources(template).filter(|(_, kind, _)| *kind == "AWS::IAM::Role") {
            if deploys(stack) {
                assert_eq!(properties["PermissionsBoundary"], Value::Null, "{} {id}", stack.name);
            } else {
                let boundary = known.resolve(&stack.name, &properties["PermissionsBoundary"]);
                assert_eq!(boundary, arn, "{} {id}", stack.name);
            }
            let size: usize = inline(properties).iter().map(|document| document.to_string().len()).sum();
            assert!(size <= 10_240, "{} {id}: {size} characters", stack.name);
            roles += 1;
        }
    }
    assert!(roles > 10, "{roles} roles: this check would pass for the wrong reason");
    let allowed = |grant: &Grant| {
        statements(document).into_iter().filter(|statement| statement["Effect"] == "Allow").any(|statement| {
            let action = items(&statement["Action"]).iter().any(|action| action.as_str() == Some(&grant.action));
            let on = |pattern: &&Value| matches(&known.resolve(&owner, pattern), &grant.resource);
            action && items(&statement["Resource"]).iter().any(on)
        })
    };
    let beyond: Vec<String> = grants(&templates, &known)
        .iter()
        .filter(|grant| grant.bounded && !allowed(grant))
        .map(|grant| format!("{}: {} on {}", grant.role, grant.action, grant.resource))
        .collect();
    assert!(beyond.is_empty(), "granted, but beyond the boundary:\n{}", beyond.join("\n"));
}

#[test]
fn the_boundary_allows_no_action_that_no_role_is_granted() {
    let templates = templates(&everything());
    let granted = grants(&templates, &Known::of(&templates));
    let granted: BTreeSet<&str> = granted.iter().filter(|grant| grant.bounded).map(|grant| &*grant.action).collect();
    let mut allowed = BTreeSet::new();
    for (_, template) in templates.iter().filter(|(stack, _)| !deploys(stack)) {
        for (_, _, properties) in resources(template).filter(|(_, kind, _)| *kind == "AWS::IAM::ManagedPolicy") {
            let statements = statements(&properties["PolicyDocument"]).into_iter();
            let actions = statements.filter(|statement| statement["Effect"] == "Allow");
            allowed.extend(actions.flat_map(|statement| items(&statement["Action"])).filter_map(Value::as_str));
        }
    }
    assert!(allowed.len() > 30, "{} actions: this check would pass for the wrong reason", allowed.len());
    let unneeded: Vec<&&str> = allowed.difference(&granted).collect();
    assert!(unneeded.is_empty(), "the boundary allows what nobody is granted: {unneeded:?}");
}

/// Most characters of a policy of IoT Core, white space not counted (IoT quotas, "Policy document size").
const DEVICE_POLICY_MAX: usize = 2_048;

#[test]
fn the_device_policy_grants_the_own_name_the_own_topics_and_the_own_shadow_only() {
    let templates = templates(&everything());
    let known = Known::of(&templates);
    let mut found = Vec::new();
    for (stack, template) in &templates {
        for (id, _, properties) in resources(template).filter(|(_, kind, _)| *kind == "AWS::IoT::Policy") {
            let document = &properties["PolicyDocument"];
            assert!(deployed_length(document) <= DEVICE_POLICY_MAX, "{id}: {}", deployed_length(document));
            for statement in statements(document).into_iter().filter(|_| id == "DevicePolicy") {
                assert_eq!(statement.as_object().map(serde_json::Map::len), Some(3), "{statement}");
                for resource in items(&statement["Resource"]) {
                    let resource = known.resolve(&stack.name, resource);
                    found.push(format!("{} {} {resource}", statement["Effect"], statement["Action"]));
                }
            }
        }
    }
    let name = "${iot:Connection.Thing.ThingName}";
    let own = format!("tenant/${{iot:Connection.Thing.Attributes[tenant]}}/device/{name}");
    let shadow = format!("$aws/things/{name}/shadow");
    let expected = [
        ("Connect", format!("client/{name}")),
        ("Publish", format!("topic/{own}/data")),
        ("Publish", format!("topic/{shadow}/get")),
        ("Publish", format!("topic/{shadow}/update")),
        ("Subscribe", format!("topicfilter/{own}/command")),
        ("Subscribe", format!("topicfilter/{shadow}/get/*")),
        ("Subscribe", format!("topicfilter/{shadow}/update/*")),
        ("Receive", format!("topic/{own}/command")),
        ("Receive", format!("topic/{shadow}/get/*")),
        ("Receive", format!("topic/{shadow}/update/*")),
    ];
    let arn = "arn:aws:iot:eu-west-1:123456789012:";
    assert_eq!(found, expected.map(|(action, rest)| format!("\"Allow\" [\"iot:{action}\"] {arn}{rest}")));
    // Before any wildcard stands the device's own name: no wildcard reaches another device, let alone another tenant.
    for statement in &found {
        let before = statement.split('*').next().expect("a text has a first part");
        assert!(before.contains(name), "{statement}");
    }
}

/// Characters of a policy document without white space, as deployed where the names of Regions and partitions are longest.
fn deployed_length(document: &Value) -> usize {
    let mut text = document.to_string();
    for (variable, value) in [
        ("${AWS::Partition}", "aws-us-gov"),
        ("${AWS::Region}", "ap-southeast-5"),
        ("${AWS::AccountId}", "123456789012"),
        ("{\"Fn::Sub\":", ""),
        ("${!", "${"),
    ] {
        text = text.replace(variable, value);
    }
    // The end of each object of CloudFormation is still there: the true length is below.
    text.chars().filter(|character| !character.is_whitespace()).count()
}

#[test]
fn whatever_takes_tags_carries_those_of_its_stack() {
    // Types of which the CloudFormation reference lists no property for tags.
    let without = [
        "AWS::Athena::NamedQuery",
        "AWS::CloudWatch::Dashboard",
        "AWS::Cognito::IdentityPoolPrincipalTag",
        "AWS::Cognito::IdentityPoolRoleAttachment",
        "AWS::Cognito::UserPoolClient",
        "AWS::Config::ConfigRule",
        "AWS::Glue::Database",
        "AWS::Glue::Table",
        "AWS::IAM::ManagedPolicy",
        "AWS::IoT::Logging",
        "AWS::KMS::Alias",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogStream",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SNS::TopicPolicy",
        "AWS::Scheduler::Schedule",
    ];
    let mut untagged = BTreeSet::new();
    let mut tagged = 0;
    for (stack, template) in templates(&everything()) {
        for (id, kind, properties) in resources(&template) {
            let text = |key: &str| {
                let list = ["Tags", "IdentityPoolTags", "ResourceTags"]
                    .iter()
                    .filter_map(|member| properties[*member].as_array())
                    .find_map(|tags| tags.iter().find(|tag| tag["Key"] == key));
                let map = ["Tags", "UserPoolTags"].iter().find_map(|member| properties[*member].get(key));
                list.map(|tag| &tag["Value"]).or(map).and_then(Value::as_str).map(str::to_owned)
            };
            let tags = ["platform", "environment", "stack"].map(text);
            if tags.iter().all(Option::is_none) {
                untagged.insert(kind.to_owned());
                continue;
            }
            let short = stack.name.strip_prefix("iot-platform-sim-").expect("a name of this environment");
            let expected = ["iot-platform", "sim", short].map(|tag| Some(tag.to_owned()));
            assert_eq!(tags, expected, "{} {id}", stack.name);
            tagged += 1;
        }
    }
    let unexpected: Vec<&String> = untagged.iter().filter(|kind| !without.contains(&kind.as_str())).collect();
    assert!(unexpected.is_empty() && tagged > 60, "{tagged} carry tags, but none of these types: {unexpected:?}");
}
