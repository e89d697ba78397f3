//! The permissions boundary: the most that any role of the platform can ever do, whatever its own policies say.
//!
//! It names data, not infrastructure: no role that works for the platform makes or deletes streams, buckets, keys or
//! roles. Who deploys the platform is another principal, outside of this boundary.

use crate::cross_cutting::logging;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::Expr;
use crate::template::iam::{ManagedPolicy, PolicyDocument, Statement, allow, deny};

/// The boundary of an environment: resources of the platform, in this account and Region, by the keys `key_arns`.
pub(super) fn policy(settings: &Settings, key_arns: &[Expr; 2]) -> ManagedPolicy {
    let naming = Naming::new(settings);
    let mut statements =
        vec![streams_and_functions(naming), lake(naming), buckets(naming), logs(naming), registry(naming)];
    statements.push(provisioning(naming));
    statements.push(allow(["kms:Decrypt", "kms:GenerateDataKey"], key_arns.clone()).named("Keys"));
    statements.push(nameless());
    statements.extend(denials());
    ManagedPolicy {
        // Managed policies are unique in an account, in all its Regions.
        managed_policy_name: naming.role("boundary"),
        description: "The most that any role of the platform can do",
        policy_document: PolicyDocument::new(statements),
        roles: Vec::new(),
    }
}

fn streams_and_functions(naming: Naming<'_>) -> Statement {
    let named = |service, kind: &str| Expr::arn(service, format!("{kind}{}", naming.name("*")));
    allow(
        [
            "kinesis:DescribeStream",
            "kinesis:DescribeStreamSummary",
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:ListShards",
            "kinesis:PutRecord",
            "kinesis:PutRecords",
            "dynamodb:BatchGetItem",
            "dynamodb:DescribeTable",
            "dynamodb:GetItem",
            "dynamodb:UpdateItem",
            "lambda:InvokeFunction",
            "sns:Publish",
        ],
        [named("kinesis", "stream/"), named("dynamodb", "table/"), named("lambda", "function:"), named("sns", "")],
    )
    .named("StreamsTablesFunctionsTopics")
}

fn lake(naming: Naming<'_>) -> Statement {
    let database = naming.identifier("*");
    allow(
        [
            "athena:GetQueryExecution",
            "athena:StartQueryExecution",
            "glue:BatchCreatePartition",
            "glue:GetDatabase",
            "glue:GetPartition",
            "glue:GetPartitions",
            "glue:GetTable",
            "glue:GetTableVersion",
            "glue:GetTableVersions",
            "glue:UpdatePartition",
        ],
        [
            Expr::arn("athena", format!("workgroup/{}", naming.name("*"))),
            Expr::arn("glue", "catalog"),
            // Athena looks for this database before any query (Athena guide, "Access to databases and tables").
            Expr::arn("glue", "database/default"),
            Expr::arn("glue", format!("database/{database}")),
            Expr::arn("glue", format!("table/{database}")),
        ],
    )
    .named("Lake")
}

fn buckets(naming: Naming<'_>) -> Statement {
    allow(
        [
            "s3:AbortMultipartUpload",
            "s3:GetBucketLocation",
            "s3:GetObject",
            "s3:ListBucket",
            "s3:ListBucketMultipartUploads",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
        ],
        [Expr::s3_arn(naming.name("*"))],
    )
    .named("Buckets")
    .in_this_account_only()
}

fn logs(naming: Naming<'_>) -> Statement {
    let [lambda, firehose, own, iot] =
        logging::log_group_patterns(naming).map(|group| Expr::arn("logs", format!("log-group:{group}:*")));
    allow(["logs:CreateLogStream", "logs:PutLogEvents"], [lambda, firehose, own, iot]).named("Logs")
}

/// Things of the registry are the tenants' own, so their names say nothing of the platform.
fn registry(naming: Naming<'_>) -> Statement {
    let of = |resource: &str| Expr::arn("iot", resource);
    allow(
        [
            "iot:AddThingToBillingGroup",
            "iot:AddThingToThingGroup",
            "iot:CreateBillingGroup",
            "iot:CreateThingGroup",
            "iot:DescribeThing",
            "iot:GetThingShadow",
            "iot:ListThingGroupsForThing",
            "iot:RemoveThingFromBillingGroup",
            "iot:RemoveThingFromThingGroup",
            "iot:TagResource",
            "iot:UpdateThingShadow",
        ],
        [
            of("thing/*"),
            Expr::arn("iot", format!("thinggroup/{}", naming.name("*"))),
            Expr::arn("iot", format!("billinggroup/{}", naming.name("*"))),
        ],
    )
    .named("Registry")
}

/// What IoT Core does in the platform's role when a device registers itself.
fn provisioning(naming: Naming<'_>) -> Statement {
    let of = |resource: &str| Expr::arn("iot", resource);
    let own = |kind: &str| Expr::arn("iot", format!("{kind}/{}", naming.name("*")));
    allow(
        [
            "iot:AttachPolicy",
            "iot:AttachThingPrincipal",
            "iot:CreateThing",
            "iot:DescribeCertificate",
            "iot:DescribeThingType",
            "iot:GetPolicy",
            "iot:UpdateCertificate",
            "iot:UpdateThing",
        ],
        [of("thing/*"), of("cert/*"), own("policy"), own("thingtype")],
    )
    .named("Provisioning")
}

/// Actions to which AWS gives no resource.
fn nameless() -> Statement {
    allow(["ce:GetCostAndUsage", "iot:DescribeEndpoint"], ["*".into()]).named("WithoutResource")
}

/// What is denied even where something above would allow it, now or after a change.
fn denials() -> [Statement; 2] {
    [
        deny(["iam:*", "sts:AssumeRole", "organizations:*", "account:*"], ["*".into()]).named("NoOtherIdentity"),
        deny(["*"], ["*".into()]).named("NoUnencryptedTransport").when("Bool", "aws:SecureTransport", "false"),
    ]
}
