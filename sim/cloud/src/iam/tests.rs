//! Roles, users and policies from their declaration to their deletion.

use serde_json::{Value, json};

use super::*;
use crate::core::Principal;
use crate::core::access::Access;
use crate::core::cx::CxParts;
use world::seed::Seed;
use world::trace::Trace;

const POLICY: &str = "arn:aws:iam::123456789012:policy/bounds";

struct Fixture {
    iam: Iam,
    parts: CxParts,
}

fn resource(kind: &str, properties: Value) -> Resource {
    Resource {
        stack: "stack".to_owned(),
        logical_id: "Logical".to_owned(),
        kind: format!("AWS::IAM::{kind}"),
        properties,
    }
}

fn allow(action: &str) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": action, "Resource": "*" }] })
}

fn trust(principal: Value, condition: Option<Value>) -> Value {
    let mut statement = json!({ "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole" });
    if let Some(condition) = condition {
        statement["Condition"] = condition;
    }
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

fn role(name: &str, more: Value) -> Value {
    let service = json!({ "Service": "lambda.amazonaws.com" });
    let mut role = json!({ "RoleName": name, "AssumeRolePolicyDocument": trust(service, None) });
    role.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    role
}

impl Fixture {
    fn new() -> Self {
        let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        parts.access = Access::enforced();
        Fixture { iam: Iam::default(), parts }
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Iam, &mut Cx<'_>) -> T) -> T {
        let owner = Principal::new("arn:aws:iam::123456789012:root");
        act(&mut self.iam, &mut self.parts.cx(Time::EPOCH, &owner))
    }

    fn create(&mut self, kind: &str, properties: Value) -> Result<Provisioned, AwsError> {
        self.with(|iam, cx| iam.provision(cx, &resource(kind, properties)))
    }

    fn may(&mut self, principal: &str, action: &str) -> bool {
        let caller = Principal::new(principal);
        self.parts.cx(Time::EPOCH, &caller).authorize(action, "*").is_ok()
    }
}

const WORKER: &str = "arn:aws:sts::123456789012:assumed-role/worker/one";

#[test]
fn a_role_within_the_limits_is_created() {
    let longest = "r".repeat(64);
    for name in ["a_b+c=d,e.f@g-h", &longest] {
        let created = Fixture::new().create("Role", role(name, json!({}))).unwrap();
        assert_eq!(created.attributes["Arn"], format!("arn:aws:iam::123456789012:role/{name}"));
        assert!(created.attributes["RoleId"].starts_with("AROA"), "{created:?}");
    }
}

#[test]
fn what_is_beyond_the_limits_or_does_not_exist_is_refused() {
    let long = |chars: usize| {
        json!({ "Version": "2012-10-17", "Statement": [
            { "Sid": "x".repeat(chars), "Effect": "Allow", "Action": "s3:*", "Resource": "*" }] })
    };
    let inline = |name: &str, document: Value| json!({ "PolicyName": name, "PolicyDocument": document });
    let services = json!({ "Service": vec!["lambda.amazonaws.com"; 100] });
    for (kind, properties, code, expected) in [
        ("Role", role("", json!({})), "ValidationError", "greater than or equal to 1"),
        ("Role", role(&"r".repeat(65), json!({})), "ValidationError", "'roleName' failed to satisfy constraint"),
        ("Role", role("a/b", json!({})), "ValidationError", "[\\w+=,.@-]+"),
        ("Role", role("r", json!({ "Policies": [inline("a b", long(1))] })), "ValidationError", "'policyName'"),
        (
            "Role",
            role("r", json!({ "AssumeRolePolicyDocument": trust(services, None) })),
            "LimitExceeded",
            "ACLSizePerRole: 2048",
        ),
        (
            "Role",
            role("r", json!({ "Policies": [inline("one", long(5_200)), inline("two", long(5_200))] })),
            "LimitExceeded",
            "size of 10240 bytes exceeded for role r",
        ),
        (
            "Role",
            role("r", json!({ "Policies": [inline("p", json!({ "Version": "2012-10-17", "Statement": [{}] }))] })),
            "MalformedPolicyDocument",
            "Effect",
        ),
        ("Role", role("r", json!({ "PermissionsBoundary": POLICY })), "NoSuchEntity", POLICY),
        ("Role", role("r", json!({ "ManagedPolicyArns": [POLICY] })), "NoSuchEntity", POLICY),
        (
            "Role",
            role("r", json!({ "ManagedPolicyArns": ["arn:aws:iam::aws:policy/PowerUserAccess"] })),
            "NotImplemented",
            "PowerUserAccess",
        ),
        ("Role", role("r", json!({ "MaxSessionDuration": 60 })), "ValidationError", "3600 to 43200"),
        ("Role", role("r", json!({ "Path": "/a/" })), "ValidationError", "Path"),
        ("Role", role("r", json!({ "Permissions": [] })), "ValidationError", "Permissions"),
        (
            "Role",
            role("r", json!({ "Tags": [{ "Key": "a", "Value": "1" }, { "Key": "A", "Value": "2" }] })),
            "InvalidInput",
            "Duplicate tag keys",
        ),
        ("User", json!({ "UserName": "u", "Policies": [inline("p", long(2_100))] }), "LimitExceeded", "2048"),
        (
            "ManagedPolicy",
            json!({ "ManagedPolicyName": "p", "PolicyDocument": long(6_200) }),
            "LimitExceeded",
            "PolicySize: 6144",
        ),
        ("Policy", json!({ "PolicyName": "p", "PolicyDocument": allow("s3:*") }), "ValidationError", "At least one of"),
        (
            "Policy",
            json!({ "PolicyName": "p", "PolicyDocument": allow("s3:*"), "Roles": ["gone"] }),
            "NoSuchEntity",
            "gone",
        ),
        ("Group", json!({}), "ValidationError", "AWS::IAM::Group"),
    ] {
        let error = Fixture::new().create(kind, properties).expect_err(expected);
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(expected), "{error}");
    }
}

#[test]
fn white_space_does_not_count() {
    assert_eq!(properties::size_chars(&json!({ "Sid": " a b " })), "{\"Sid\":\"ab\"}".len() as u64);
}

#[test]
fn inline_and_managed_policies_allow_and_a_boundary_bounds() {
    let mut fixture = Fixture::new();
    let bounds = json!({ "ManagedPolicyName": "bounds", "PolicyDocument": allow("kinesis:*") });
    assert_eq!(fixture.create("ManagedPolicy", bounds.clone()).unwrap().physical_id, POLICY);
    let inline = json!([{ "PolicyName": "p", "PolicyDocument": allow("*") }]);
    fixture.create("Role", role("worker", json!({ "Policies": inline, "PermissionsBoundary": POLICY }))).unwrap();
    assert!(fixture.may(WORKER, "kinesis:ListStreams") && !fixture.may(WORKER, "s3:ListAllMyBuckets"));
    // A boundary that widens lets the role do more, at once.
    let wider = json!({ "ManagedPolicyName": "bounds", "PolicyDocument": allow("*") });
    fixture.with(|iam, cx| iam.update(cx, &resource("ManagedPolicy", wider), POLICY, &bounds)).unwrap();
    assert!(fixture.may(WORKER, "s3:ListAllMyBuckets"));
    let deleted = |fixture: &mut Fixture| {
        fixture.with(|iam, cx| iam.delete(cx, &resource("ManagedPolicy", bounds.clone()), POLICY))
    };
    assert_eq!(deleted(&mut fixture).unwrap_err().code, "DeleteConflict");
    fixture.with(|iam, cx| iam.delete(cx, &resource("Role", role("worker", json!({}))), "worker")).unwrap();
    assert!(!fixture.may(WORKER, "kinesis:ListStreams"));
    deleted(&mut fixture).unwrap();
    assert!(fixture.create("Role", role("worker", json!({ "PermissionsBoundary": POLICY }))).is_err());
}

#[test]
fn a_policy_of_its_own_is_written_to_roles_and_users_and_taken_away() {
    let mut fixture = Fixture::new();
    fixture.create("Role", role("worker", json!({}))).unwrap();
    fixture.create("User", json!({ "UserName": "ada" })).unwrap();
    let ada = "arn:aws:iam::123456789012:user/ada";
    let policy = |roles: Value, users: Value| json!({ "PolicyName": "p", "PolicyDocument": allow("kinesis:*"), "Roles": roles, "Users": users });
    let both = policy(json!(["worker"]), json!(["ada"]));
    fixture.create("Policy", both.clone()).unwrap();
    assert!(fixture.may(WORKER, "kinesis:ListStreams") && fixture.may(ada, "kinesis:ListStreams"));
    let one = policy(json!(["worker"]), json!([]));
    fixture.with(|iam, cx| iam.update(cx, &resource("Policy", one.clone()), "p", &both)).unwrap();
    assert!(fixture.may(WORKER, "kinesis:ListStreams") && !fixture.may(ada, "kinesis:ListStreams"));
    // A change of the role keeps what others gave it.
    let inline = json!([{ "PolicyName": "own", "PolicyDocument": allow("s3:*") }]);
    let changed = role("worker", json!({ "Policies": inline }));
    fixture.with(|iam, cx| iam.update(cx, &resource("Role", changed), "worker", &role("worker", json!({})))).unwrap();
    assert!(fixture.may(WORKER, "kinesis:ListStreams") && fixture.may(WORKER, "s3:ListAllMyBuckets"));
    fixture.with(|iam, cx| iam.delete(cx, &resource("Policy", one), "p")).unwrap();
    assert!(!fixture.may(WORKER, "kinesis:ListStreams"));
}

#[test]
fn a_service_assumes_a_role_as_its_trust_policy_says() {
    let rule = "arn:aws:iot:eu-west-1:123456789012:rule/readings";
    let mine = |key: &str, value: &str| Some(json!({ "StringEquals": { key: value } }));
    let like = |value: &str| Some(json!({ "ArnLike": { "aws:SourceArn": value } }));
    for (condition, service, source, expected) in [
        (None, "iot.amazonaws.com", None, true),
        (None, "lambda.amazonaws.com", None, false),
        (mine("aws:SourceAccount", "123456789012"), "iot.amazonaws.com", None, true),
        (mine("aws:SourceAccount", "210987654321"), "iot.amazonaws.com", None, false),
        (like("arn:aws:iot:*:123456789012:rule/*"), "iot.amazonaws.com", Some(rule), true),
        (like("arn:aws:iot:*:123456789012:rule/other"), "iot.amazonaws.com", Some(rule), false),
        (like("arn:aws:iot:*:123456789012:rule/*"), "iot.amazonaws.com", None, false),
    ] {
        let mut fixture = Fixture::new();
        let trusting = trust(json!({ "Service": "iot.amazonaws.com" }), condition.clone());
        fixture.create("Role", role("worker", json!({ "AssumeRolePolicyDocument": trusting }))).unwrap();
        let arn = "arn:aws:iam::123456789012:role/worker";
        let result = fixture.iam.check_assumable_for(arn, service, source);
        assert_eq!(result.is_ok(), expected, "{condition:?} {service} {source:?}: {result:?}");
    }
}

#[test]
fn a_policy_that_cannot_be_attached_to_all_is_attached_to_none() {
    let mut fixture = Fixture::new();
    fixture.create("Role", role("worker", json!({}))).unwrap();
    let policy = |roles: Value| json!({ "ManagedPolicyName": "p", "PolicyDocument": allow("s3:*"), "Roles": roles });
    let error = fixture.create("ManagedPolicy", policy(json!(["worker", "missing"]))).unwrap_err();
    assert_eq!(error.code, "NoSuchEntity");
    assert!(!fixture.may(WORKER, "s3:ListAllMyBuckets"));
    fixture.create("Role", role("other", json!({}))).unwrap();
    let arn = fixture.create("ManagedPolicy", policy(json!(["worker", "other"]))).unwrap().physical_id;
    assert!(fixture.may(WORKER, "s3:ListAllMyBuckets"));
    let changed = resource("ManagedPolicy", policy(json!(["other", "missing"])));
    let before = policy(json!(["worker", "other"]));
    let error = fixture.with(|iam, cx| iam.update(cx, &changed, &arn, &before)).unwrap_err();
    assert_eq!(error.code, "NoSuchEntity");
    assert!(fixture.may(WORKER, "s3:ListAllMyBuckets"), "a refused change leaves everything as it was");
}

#[test]
fn what_a_role_names_and_what_names_it_are_kept_apart() {
    let mut fixture = Fixture::new();
    let policy = |roles: Value| json!({ "ManagedPolicyName": "p", "PolicyDocument": allow("s3:*"), "Roles": roles });
    fixture.create("Role", role("worker", json!({}))).unwrap();
    let arn = fixture.create("ManagedPolicy", policy(json!(["worker"]))).unwrap().physical_id;
    let own = role("own", json!({ "ManagedPolicyArns": [arn] }));
    fixture.create("Role", own).unwrap();
    let tagged = role("worker", json!({ "Tags": [{ "Key": "a", "Value": "b" }] }));
    let before = role("worker", json!({}));
    fixture.with(|iam, cx| iam.update(cx, &resource("Role", tagged), "worker", &before)).unwrap();
    assert!(fixture.may(WORKER, "s3:ListAllMyBuckets"), "the policy still names the role");
    let nobody = resource("ManagedPolicy", policy(json!([])));
    fixture.with(|iam, cx| iam.update(cx, &nobody, &arn, &policy(json!(["worker"])))).unwrap();
    assert!(!fixture.may(WORKER, "s3:ListAllMyBuckets"));
    assert!(fixture.may("arn:aws:sts::123456789012:assumed-role/own/one", "s3:ListAllMyBuckets"));
}

#[test]
fn inline_policies_are_taken_away_and_put_back_by_hand() {
    let mut fixture = Fixture::new();
    let both = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["kinesis:PutRecords", "s3:PutObject"], "Resource": "*" },
        { "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*" },
        { "Effect": "Allow", "Action": "s3:*", "Resource": "*" },
    ] });
    let policies = json!({ "Policies": [
        { "PolicyName": "both", "PolicyDocument": both },
        { "PolicyName": "one", "PolicyDocument": allow("s3:GetObject") },
    ] });
    fixture.create("Role", role("worker", policies)).unwrap();
    let before = fixture.iam.role_policies("worker").unwrap().clone();
    assert_eq!(before["both"].services().into_iter().collect::<Vec<_>>(), ["kinesis", "s3"]);
    let worker = Principal::new("arn:aws:iam::123456789012:role/worker");
    let may = |fixture: &mut Fixture, action: &str| {
        fixture.parts.cx(Time::EPOCH, &worker).authorize(action, "arn:aws:s3:::lake/1").is_ok()
    };
    let seen = |fixture: &mut Fixture| {
        ["kinesis:PutRecords", "s3:PutObject", "s3:GetObject", "s3:DeleteObject"].map(|action| may(fixture, action))
    };
    assert_eq!(seen(&mut fixture), [true, true, true, false]);
    let left = before["both"].without_service("s3").expect("the rest is left");
    assert_eq!(before["one"].without_service("s3"), None);
    fixture.with(|iam, cx| iam.put_role_policy(cx, "worker", "both", Arc::new(left))).unwrap();
    assert_eq!(seen(&mut fixture), [true, false, true, false]);
    fixture.with(|iam, cx| iam.delete_role_policy(cx, "worker", "one")).unwrap();
    assert_eq!(seen(&mut fixture), [true, false, false, false]);
    for (name, document) in &before {
        fixture.with(|iam, cx| iam.put_role_policy(cx, "worker", name, document.clone())).unwrap();
    }
    assert_eq!(seen(&mut fixture), [true, true, true, false]);
    assert_eq!(fixture.iam.role_policies("worker").unwrap(), &before);
    for error in [
        fixture.with(|iam, cx| iam.delete_role_policy(cx, "worker", "none")).unwrap_err(),
        fixture.with(|iam, cx| iam.delete_role_policy(cx, "nobody", "one")).unwrap_err(),
        fixture.iam.role_policies("nobody").unwrap_err(),
    ] {
        assert_eq!(error.code, "NoSuchEntity");
    }
}
