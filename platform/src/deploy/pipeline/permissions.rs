//! What the deployment role may do: what CloudFormation calls to make, read, change and delete the resources of the
//! platform's templates (the handlers' permissions in the registry's schemas of each type), on resources of the platform's
//! names in this account and Region.

use crate::cross_cutting::{logging, security};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::Expr;
use crate::template::iam::{Statement, allow};

/// The policies (logical id, name, statements). A role's own policies have 10,240 characters at most, which is too little;
/// a managed policy has 6,144 (IAM guide, "IAM and AWS STS quotas").
pub(super) fn policies(settings: &Settings) -> [(&'static str, &'static str, Vec<Statement>); 3] {
    let naming = Naming::new(settings);
    let mut data = vec![streams(naming), deliveries(naming), functions(naming), mappings(), directory(naming)];
    data.extend([buckets(naming), catalog(naming), athena(naming), packages(settings)]);
    let mut identities_and_devices = vec![iot(naming)];
    identities_and_devices.extend(iot_account());
    identities_and_devices.extend(identities(settings));
    identities_and_devices.extend(roles(naming));
    let mut operation = keys(settings);
    operation.extend(operations(naming));
    operation.extend(audit(naming));
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

fn streams(naming: Naming<'_>) -> Statement {
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
        "kinesis:StartStreamEncryption",
        "kinesis:TagResource",
        "kinesis:UntagResource",
        "kinesis:UpdateShardCount",
        "kinesis:UpdateStreamMode",
    ];
    allow(actions, [named(naming, "kinesis", "stream/")])
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

/// Mappings have no names, only ids.
fn mappings() -> Statement {
    let actions = [
        "lambda:CreateEventSourceMapping",
        "lambda:DeleteEventSourceMapping",
        "lambda:GetEventSourceMapping",
        "lambda:ListTags",
        "lambda:TagResource",
        "lambda:UntagResource",
        "lambda:UpdateEventSourceMapping",
    ];
    allow(actions, [Expr::arn("lambda", "event-source-mapping:*")])
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
        "s3:PutBucketObjectLockConfiguration",
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
            "cognito-identity:SetIdentityPoolRoles",
            "cognito-identity:SetPrincipalTagAttributeMap",
            "cognito-identity:TagResource",
            "cognito-identity:UntagResource",
            "cognito-identity:UpdateIdentityPool",
        ],
        [users, pools],
    );
    vec![made, tagged(changed)]
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
    let policy = [
        "iam:CreatePolicy",
        "iam:CreatePolicyVersion",
        "iam:DeletePolicy",
        "iam:DeletePolicyVersion",
        "iam:GetPolicy",
        "iam:GetPolicyVersion",
        "iam:ListEntitiesForPolicy",
        "iam:ListPolicyVersions",
    ];
    let services = ["cloudtrail", "firehose", "iot", "lambda", "scheduler"].map(|s| format!("{s}.amazonaws.com"));
    vec![
        allow(read, [roles()]),
        within(allow(change, [roles()])),
        allow(["iam:DeleteRole"], [roles()]),
        // The boundary itself: what it allows is changed by an approved deployment.
        allow(policy, [Expr::global_arn("iam", format!("policy/{}", naming.role("boundary")))]),
        allow(["iam:PassRole"], [roles()]).when_any("StringEquals", "iam:PassedToService", services),
        // Which service's name Cognito's check carries is not documented, so this role is named instead.
        allow(["iam:PassRole"], [Expr::global_arn("iam", format!("role/{}", naming.role("tenant")))]),
    ]
}

/// Keys have ids and no names: they are known by the environment's tag once they are made.
fn keys(settings: &Settings) -> Vec<Statement> {
    let naming = Naming::new(settings);
    let keys = || Expr::arn("kms", "key/*");
    let managed = allow(
        [
            "kms:CreateAlias",
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:DeleteAlias",
            "kms:DescribeKey",
            "kms:DisableKey",
            "kms:EnableKey",
            "kms:EnableKeyRotation",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:GetKeyPolicy",
            "kms:GetKeyRotationStatus",
            "kms:ListResourceTags",
            "kms:PutKeyPolicy",
            "kms:ScheduleKeyDeletion",
            "kms:TagResource",
            "kms:UntagResource",
            "kms:UpdateAlias",
            "kms:UpdateKeyDescription",
        ],
        [keys()],
    );
    vec![
        // AWS gives no ARN to what is not there yet, nor to the list of aliases.
        allow(["kms:CreateKey"], ["*".into()]).when("StringEquals", GIVEN_TAG, settings.env.clone()),
        allow(["kms:ListAliases"], ["*".into()]),
        managed.when("StringEquals", OWN_TAG, settings.env.clone()),
        allow(
            ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"],
            [Expr::arn("kms", format!("alias/{}", naming.name("*")))],
        ),
    ]
}

fn operations(naming: Naming<'_>) -> Vec<Statement> {
    let topics = [
        "sns:CreateTopic",
        "sns:DeleteTopic",
        "sns:GetDataProtectionPolicy",
        "sns:GetSubscriptionAttributes",
        "sns:GetTopicAttributes",
        "sns:ListSubscriptionsByTopic",
        "sns:ListTagsForResource",
        "sns:SetTopicAttributes",
        "sns:Subscribe",
        "sns:TagResource",
        "sns:Unsubscribe",
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
    vec![
        allow(topics, [named(naming, "sns", "")]),
        allow(alarms, [named(naming, "cloudwatch", "alarm:")]),
        allow(dashboards, [Expr::global_arn("cloudwatch", format!("dashboard/{}", naming.name("*")))]),
        allow(schedules, [named(naming, "scheduler", "schedule/default/")]),
        allow(parameters, [Expr::arn("ssm", format!("parameter{}", naming.path("*")))]),
    ]
}

fn audit(naming: Naming<'_>) -> Vec<Statement> {
    let groups = [
        "logs:AssociateKmsKey",
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:DeleteLogGroup",
        "logs:DeleteLogStream",
        "logs:DeleteRetentionPolicy",
        "logs:DescribeLogStreams",
        "logs:DisassociateKmsKey",
        "logs:ListTagsForResource",
        "logs:PutRetentionPolicy",
        "logs:TagResource",
        "logs:UntagResource",
    ];
    let trails = [
        "cloudtrail:AddTags",
        "cloudtrail:CreateTrail",
        "cloudtrail:DeleteTrail",
        "cloudtrail:GetEventSelectors",
        "cloudtrail:GetInsightSelectors",
        "cloudtrail:GetTrail",
        "cloudtrail:GetTrailStatus",
        "cloudtrail:ListTags",
        "cloudtrail:PutEventSelectors",
        "cloudtrail:RemoveTags",
        "cloudtrail:StartLogging",
        "cloudtrail:StopLogging",
        "cloudtrail:UpdateTrail",
    ];
    let budgets = [
        "budgets:ListTagsForResource",
        "budgets:ModifyBudget",
        "budgets:TagResource",
        "budgets:UntagResource",
        "budgets:ViewBudget",
    ];
    let rules = [
        "config:DeleteConfigRule",
        "config:DescribeComplianceByConfigRule",
        "config:DescribeConfigRules",
        "config:PutConfigRule",
    ];
    let group_arns = logging::log_group_patterns(naming).map(|group| Expr::arn("logs", format!("log-group:{group}")));
    vec![
        allow(groups, group_arns),
        // AWS gives these two no ARN: they list.
        allow(["logs:DescribeLogGroups", "cloudtrail:DescribeTrails"], ["*".into()]),
        allow(trails, [named(naming, "cloudtrail", "trail/")]),
        allow(budgets, [Expr::global_arn("budgets", format!("budget/{}", naming.name("*")))]),
        // Rules have ids and no names.
        allow(rules, [Expr::arn("config", "config-rule/*")]),
    ]
}
