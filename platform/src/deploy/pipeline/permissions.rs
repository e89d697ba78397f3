//! What the deployment role may do: what CloudFormation calls to make, read, change and delete the resources of the stages
//! after the foundation (the handlers' permissions in the registry's schemas of each type), on resources of the platform's
//! names in this account and Region. Which action takes which resource and condition: Service Authorization Reference.

use crate::cross_cutting::{logging, security};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::Expr;
use crate::template::iam::{Statement, allow, deny};

/// The policies (logical id, name, statements). A role's own policies have 10,240 characters at most, which is too little;
/// a managed policy has 6,144 (IAM guide, "IAM and AWS STS quotas").
pub(super) fn policies(settings: &Settings) -> [(&'static str, &'static str, Vec<Statement>); 3] {
    let naming = Naming::new(settings);
    let mut data = streams(naming).to_vec();
    data.extend([deliveries(naming), functions(naming)]);
    data.extend(mappings(naming));
    data.extend([directory(naming), buckets(naming), catalog(naming), athena(naming), packages(settings)]);
    let mut identities_and_devices = vec![iot(naming)];
    identities_and_devices.extend(iot_account());
    identities_and_devices.extend(identities(settings));
    identities_and_devices.extend(roles(naming));
    let mut operation = vec![keys(settings)];
    operation.extend(operations(naming));
    operation.extend(not_by_pipeline(naming));
    [
        ("DeployData", "deploy-data", data),
        ("DeployIdentities", "deploy-identities", identities_and_devices),
        ("DeployOperations", "deploy-operations", operation),
    ]
}

/// Condition key of the tag [`crate::template::TAG_ENVIRONMENT`] of a resource.
const OWN_TAG: &str = "aws:ResourceTag/environment";
/// Condition key of the same tag of a resource that is about to be made.
const GIVEN_TAG: &str = "aws:RequestTag/environment";

fn named(naming: Naming<'_>, service: &str, kind: &str) -> Expr {
    Expr::arn(service, format!("{kind}{}", naming.name("*")))
}

fn streams(naming: Naming<'_>) -> [Statement; 3] {
    let actions = [
        "kinesis:AddTagsToStream",
        "kinesis:CreateStream",
        "kinesis:DecreaseStreamRetentionPeriod",
        "kinesis:DeleteStream",
        "kinesis:DescribeStream",
        "kinesis:DescribeStreamSummary",
        "kinesis:IncreaseStreamRetentionPeriod",
        "kinesis:ListTagsForResource",
        "kinesis:ListTagsForStream",
        "kinesis:RemoveTagsFromStream",
        "kinesis:TagResource",
        "kinesis:UntagResource",
    ];
    let streams = || named(naming, "kinesis", "stream/");
    [
        allow(actions, [streams()]),
        // AWS asks for the key as a second resource.
        allow(["kinesis:StartStreamEncryption"], [streams(), Expr::arn("kms", "key/*")]),
        // AWS gives these two no resource.
        allow(["kinesis:UpdateShardCount", "kinesis:UpdateStreamMode"], ["*".into()]),
    ]
}

fn deliveries(naming: Naming<'_>) -> Statement {
    let actions = [
        "firehose:CreateDeliveryStream",
        "firehose:DeleteDeliveryStream",
        "firehose:DescribeDeliveryStream",
        "firehose:ListTagsForDeliveryStream",
        "firehose:TagDeliveryStream",
        "firehose:UntagDeliveryStream",
        "firehose:UpdateDestination",
    ];
    allow(actions, [named(naming, "firehose", "deliverystream/")])
}

fn functions(naming: Naming<'_>) -> Statement {
    let actions = [
        "lambda:AddPermission",
        "lambda:CreateFunction",
        "lambda:DeleteFunction",
        "lambda:DeleteFunctionConcurrency",
        "lambda:GetFunction",
        "lambda:GetFunctionCodeSigningConfig",
        "lambda:GetFunctionRecursionConfig",
        "lambda:GetPolicy",
        "lambda:GetRuntimeManagementConfig",
        "lambda:ListTags",
        "lambda:PutFunctionConcurrency",
        "lambda:RemovePermission",
        "lambda:TagResource",
        "lambda:UntagResource",
        "lambda:UpdateFunctionCode",
        "lambda:UpdateFunctionConfiguration",
    ];
    allow(actions, [named(naming, "lambda", "function:")])
}

/// Mappings have no names, only ids. One that is about to be made is known by its function alone.
fn mappings(naming: Naming<'_>) -> [Statement; 2] {
    let actions = [
        "lambda:DeleteEventSourceMapping",
        "lambda:GetEventSourceMapping",
        "lambda:ListTags",
        "lambda:TagResource",
        "lambda:UntagResource",
        "lambda:UpdateEventSourceMapping",
    ];
    let own = named(naming, "lambda", "function:");
    [
        allow(actions, [Expr::arn("lambda", "event-source-mapping:*")]),
        allow(["lambda:CreateEventSourceMapping"], ["*".into()]).when("ArnLike", "lambda:FunctionArn", own),
    ]
}

fn directory(naming: Naming<'_>) -> Statement {
    let actions = [
        "dynamodb:CreateTable",
        "dynamodb:DeleteTable",
        "dynamodb:DescribeContinuousBackups",
        "dynamodb:DescribeContributorInsights",
        "dynamodb:DescribeKinesisStreamingDestination",
        "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive",
        "dynamodb:GetResourcePolicy",
        "dynamodb:ListTagsOfResource",
        "dynamodb:TagResource",
        "dynamodb:UntagResource",
        "dynamodb:UpdateContinuousBackups",
        "dynamodb:UpdateTable",
        "dynamodb:UpdateTimeToLive",
    ];
    allow(actions, [named(naming, "dynamodb", "table/")])
}

fn buckets(naming: Naming<'_>) -> Statement {
    let actions = [
        "s3:CreateBucket",
        "s3:DeleteBucket",
        "s3:DeleteBucketPolicy",
        "s3:GetBucketLogging",
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetBucketOwnershipControls",
        "s3:GetBucketPolicy",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetBucketTagging",
        "s3:GetBucketVersioning",
        "s3:GetEncryptionConfiguration",
        "s3:GetLifecycleConfiguration",
        "s3:ListBucket",
        "s3:ListTagsForResource",
        "s3:PutBucketLogging",
        "s3:PutBucketOwnershipControls",
        "s3:PutBucketPolicy",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutBucketTagging",
        "s3:PutBucketVersioning",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
        "s3:TagResource",
        "s3:UntagResource",
    ];
    allow(actions, [Expr::s3_arn(naming.name("*"))]).in_this_account_only()
}

/// Lambda takes a function's package in the name of whoever makes the function.
fn packages(settings: &Settings) -> Statement {
    let naming = Naming::new(settings);
    let bucket = settings.artifact_bucket.as_deref().map_or_else(|| naming.bucket("artifacts"), Expr::from);
    allow(["s3:GetObject", "s3:GetObjectVersion"], [Expr::s3_arn(bucket).then("/*")])
}

fn catalog(naming: Naming<'_>) -> Statement {
    let database = naming.identifier("*");
    let actions = [
        "glue:CreateDatabase",
        "glue:CreateTable",
        "glue:DeleteDatabase",
        "glue:DeleteTable",
        "glue:GetDatabase",
        "glue:GetTable",
        "glue:UpdateDatabase",
        "glue:UpdateTable",
    ];
    let resources = [
        Expr::arn("glue", "catalog"),
        Expr::arn("glue", format!("database/{database}")),
        Expr::arn("glue", format!("table/{database}")),
        // Glue asks for it when a database is deleted, which deletes the functions in it.
        Expr::arn("glue", format!("userDefinedFunction/{database}")),
    ];
    allow(actions, resources)
}

fn athena(naming: Naming<'_>) -> Statement {
    let actions = [
        "athena:CreateNamedQuery",
        "athena:CreateWorkGroup",
        "athena:DeleteNamedQuery",
        "athena:DeleteWorkGroup",
        "athena:GetNamedQuery",
        "athena:GetWorkGroup",
        "athena:ListTagsForResource",
        "athena:TagResource",
        "athena:UntagResource",
        "athena:UpdateWorkGroup",
    ];
    allow(actions, [named(naming, "athena", "workgroup/")])
}

fn iot(naming: Naming<'_>) -> Statement {
    let actions = [
        "iot:CreatePolicy",
        "iot:CreatePolicyVersion",
        "iot:CreateProvisioningTemplate",
        "iot:CreateProvisioningTemplateVersion",
        "iot:CreateThingType",
        "iot:CreateTopicRule",
        "iot:DeletePolicy",
        "iot:DeletePolicyVersion",
        "iot:DeleteProvisioningTemplate",
        "iot:DeleteProvisioningTemplateVersion",
        "iot:DeleteThingType",
        "iot:DeleteTopicRule",
        "iot:DeprecateThingType",
        "iot:DescribeProvisioningTemplate",
        "iot:DescribeThingType",
        "iot:GetPolicy",
        "iot:GetTopicRule",
        "iot:ListPolicyVersions",
        "iot:ListProvisioningTemplateVersions",
        "iot:ListTagsForResource",
        "iot:ReplaceTopicRule",
        "iot:SetDefaultPolicyVersion",
        "iot:TagResource",
        "iot:UntagResource",
        "iot:UpdateProvisioningTemplate",
        "iot:UpdateThingType",
    ];
    let resources = [
        named(naming, "iot", "policy/"),
        named(naming, "iot", "provisioningtemplate/"),
        named(naming, "iot", "thingtype/"),
        Expr::arn("iot", format!("rule/{}", naming.identifier("*"))),
    ];
    allow(actions, resources)
}

/// The name of a domain configuration is the platform's; the logging options are one in an account and Region.
fn iot_account() -> [Statement; 2] {
    let actions = [
        "iot:CreateDomainConfiguration",
        "iot:DeleteDomainConfiguration",
        "iot:DescribeDomainConfiguration",
        "iot:ListTagsForResource",
        "iot:TagResource",
        "iot:UntagResource",
        "iot:UpdateDomainConfiguration",
    ];
    [
        allow(actions, [Expr::arn("iot", "domainconfiguration/*")]),
        // AWS gives the logging options no ARN.
        allow(["iot:GetV2LoggingOptions", "iot:SetV2LoggingOptions"], ["*".into()]),
    ]
}

/// Pools have no names that policies could say, only ids: they are known by the environment's tag once they are made.
fn identities(settings: &Settings) -> Vec<Statement> {
    let users = Expr::arn("cognito-idp", "userpool/*");
    let pools = Expr::arn("cognito-identity", "identitypool/*");
    let tagged = |statement: Statement| statement.when("StringEquals", OWN_TAG, settings.env.clone());
    let made = allow(
        ["cognito-idp:CreateUserPool", "cognito-identity:CreateIdentityPool"],
        // AWS gives no ARN to what is not there yet.
        ["*".into()],
    )
    .when("StringEquals", GIVEN_TAG, settings.env.clone());
    let changed = allow(
        [
            "cognito-idp:AddCustomAttributes",
            "cognito-idp:CreateUserPoolClient",
            "cognito-idp:DeleteUserPool",
            "cognito-idp:DeleteUserPoolClient",
            "cognito-idp:DescribeUserPool",
            "cognito-idp:DescribeUserPoolClient",
            "cognito-idp:GetUserPoolMfaConfig",
            "cognito-idp:ListTagsForResource",
            "cognito-idp:SetUserPoolMfaConfig",
            "cognito-idp:TagResource",
            "cognito-idp:UntagResource",
            "cognito-idp:UpdateUserPool",
            "cognito-idp:UpdateUserPoolClient",
            "cognito-identity:DeleteIdentityPool",
            "cognito-identity:DescribeIdentityPool",
            "cognito-identity:GetIdentityPoolRoles",
            "cognito-identity:GetPrincipalTagAttributeMap",
            "cognito-identity:ListTagsForResource",
            "cognito-identity:TagResource",
            "cognito-identity:UntagResource",
            "cognito-identity:UpdateIdentityPool",
        ],
        [users.clone(), pools.clone()],
    );
    // What is made with tags is tagged before it has any. A pool of another environment stays out of reach.
    let tagged_first = allow(["cognito-idp:TagResource", "cognito-identity:TagResource"], [users, pools])
        .when("StringEquals", GIVEN_TAG, settings.env.clone())
        .when("StringEqualsIfExists", OWN_TAG, settings.env.clone());
    // AWS gives these two no resource.
    let mapped =
        allow(["cognito-identity:SetIdentityPoolRoles", "cognito-identity:SetPrincipalTagAttributeMap"], ["*".into()]);
    vec![made, tagged(changed), tagged_first, mapped]
}

/// Roles of the platform's names, and only within the boundary: a template could not make a role that does more.
fn roles(naming: Naming<'_>) -> Vec<Statement> {
    let roles = || Expr::global_arn("iam", format!("role/{}", naming.name("*")));
    let boundary = security::Outputs::new(naming).boundary_arn.read();
    let within = |statement: Statement| statement.when("StringEquals", "iam:PermissionsBoundary", boundary.clone());
    let read = [
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListAttachedRolePolicies",
        "iam:ListRolePolicies",
        "iam:TagRole",
        "iam:UntagRole",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateRole",
        "iam:UpdateRoleDescription",
    ];
    let change = ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"];
    let services = ["firehose", "iot", "lambda", "scheduler"].map(|s| format!("{s}.amazonaws.com"));
    vec![
        allow(read, [roles()]),
        within(allow(change, [roles()])),
        allow(["iam:DeleteRole"], [roles()]),
        allow(["iam:PassRole"], [roles()]).when_any("StringEquals", "iam:PassedToService", services),
        // Which service's name Cognito's check carries is not documented, so this role is named instead.
        allow(["iam:PassRole"], [Expr::global_arn("iam", format!("role/{}", naming.role("tenant")))]),
    ]
}

/// Use of the keys for what is encrypted by them; the keys themselves are the foundation's. Keys have ids and no names: they
/// are known by the environment's tag.
fn keys(settings: &Settings) -> Statement {
    let actions = [
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        // DynamoDB guide, "Encryption at rest: usage notes": what it needs of a customer-managed key.
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
    ];
    allow(actions, [Expr::arn("kms", "key/*")]).when("StringEquals", OWN_TAG, settings.env.clone())
}

fn operations(naming: Naming<'_>) -> Vec<Statement> {
    let topics = [
        "sns:CreateTopic",
        "sns:DeleteTopic",
        "sns:GetDataProtectionPolicy",
        "sns:GetTopicAttributes",
        "sns:ListSubscriptionsByTopic",
        "sns:ListTagsForResource",
        "sns:SetTopicAttributes",
        "sns:Subscribe",
        "sns:TagResource",
        "sns:UntagResource",
    ];
    let alarms = [
        "cloudwatch:DeleteAlarms",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:ListTagsForResource",
        "cloudwatch:PutMetricAlarm",
        "cloudwatch:TagResource",
        "cloudwatch:UntagResource",
    ];
    let dashboards = ["cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"];
    let schedules =
        ["scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:GetSchedule", "scheduler:UpdateSchedule"];
    let parameters = [
        "ssm:AddTagsToResource",
        "ssm:DeleteParameter",
        "ssm:GetParameters",
        "ssm:ListTagsForResource",
        "ssm:PutParameter",
        "ssm:RemoveTagsFromResource",
    ];
    let budgets = [
        "budgets:ListTagsForResource",
        "budgets:ModifyBudget",
        "budgets:TagResource",
        "budgets:UntagResource",
        "budgets:ViewBudget",
    ];
    vec![
        allow(topics, [named(naming, "sns", "")]),
        // AWS gives these two no resource.
        allow(["sns:GetSubscriptionAttributes", "sns:Unsubscribe"], ["*".into()]),
        allow(alarms, [named(naming, "cloudwatch", "alarm:")]),
        allow(dashboards, [Expr::global_arn("cloudwatch", format!("dashboard/{}", naming.name("*")))]),
        allow(schedules, [named(naming, "scheduler", "schedule/default/")]),
        allow(parameters, [Expr::arn("ssm", format!("parameter{}", naming.path("*")))]),
        allow(budgets, [Expr::global_arn("budgets", format!("budget/{}", naming.name("*")))]),
    ]
}

/// What has the platform's names and is deployed by hand: the foundation and the pipeline. The deployment role could
/// otherwise give itself more, or end the audit.
fn not_by_pipeline(naming: Naming<'_>) -> Vec<Statement> {
    let roles = ["build", "deployment", "pipeline", "registry-events", "trail"];
    let roles = roles.map(|role| Expr::global_arn("iam", format!("role/{}", naming.role(role))));
    let buckets = ["access", "audit", "pipeline"].map(|bucket| Expr::s3_arn(naming.bucket(bucket)));
    let parameters = [security::STACK, logging::STACK]
        .map(|stack| Expr::arn("ssm", format!("parameter{}", naming.path(&format!("*/{stack}/*")))));
    vec![
        deny(["iam:*"], roles),
        deny(["s3:*"], buckets),
        deny(
            ["ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:PutParameter", "ssm:RemoveTagsFromResource"],
            parameters,
        ),
    ]
}
