//! Roles of the pipeline: who moves artifacts, who builds, who deploys.

use super::permissions;
use crate::cross_cutting::security;
use crate::naming::Naming;
use crate::settings::{Pipeline, Settings};
use crate::template::iam::{ManagedPolicy, PolicyDocument, Role, Statement, allow};
use crate::template::logs::LogGroup;
use crate::template::s3::Bucket;
use crate::template::{Expr, Handle, Judge, Template};

/// What reading and writing artifacts needs.
fn artifacts(naming: Naming<'_>, bucket: &Handle<Bucket>) -> Vec<Statement> {
    let key = security::Outputs::new(naming).data_key_arn.read();
    vec![
        allow(["s3:GetBucketLocation", "s3:GetBucketVersioning"], [bucket.arn()]),
        allow(["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"], [bucket.objects()]),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key]).via_service("s3"),
    ]
}

/// The role of the pipeline itself, which starts the builds of `projects`.
pub(super) fn pipeline(
    naming: Naming<'_>,
    settings: &Pipeline,
    bucket: &Handle<Bucket>,
    projects: [Expr; 2],
    deployment_role_arn: Expr,
) -> Role {
    // A connection that was made before 2024 has an ARN of its former service, and is asked for by its former action.
    let source = allow(
        ["codeconnections:UseConnection", "codestar-connections:UseConnection"],
        [settings.connection_arn.as_str().into()],
    );
    let build = allow(["codebuild:BatchGetBuilds", "codebuild:StartBuild"], projects);
    let change_sets = allow(
        [
            "cloudformation:CreateChangeSet",
            "cloudformation:DeleteChangeSet",
            "cloudformation:DescribeChangeSet",
            "cloudformation:DescribeStacks",
            "cloudformation:ExecuteChangeSet",
        ],
        [Expr::arn("cloudformation", format!("stack/{}", naming.name("*")))],
    );
    let pass = allow(["iam:PassRole"], [deployment_role_arn]).when(
        "StringEquals",
        "iam:PassedToService",
        "cloudformation.amazonaws.com",
    );
    Role::for_service(
        naming.role("pipeline"),
        "codepipeline.amazonaws.com",
        [
            ("take-source", vec![source]),
            ("start-builds", vec![build]),
            ("move-artifacts", artifacts(naming, bucket)),
            ("deploy-by-change-sets", vec![change_sets, pass]),
        ],
    )
    .described("Moves what was built from stage to stage")
    .for_this_account_only()
}

/// The role of the build.
pub(super) fn build(settings: &Settings, bucket: &Handle<Bucket>, group: &Handle<LogGroup>) -> Role {
    let naming = Naming::new(settings);
    let packages = settings.artifact_bucket.as_deref().map_or_else(|| naming.bucket("artifacts"), Expr::from);
    // `platform package --upload` makes the bucket when it is not there, closed to the public and reached over TLS only.
    let package = vec![
        allow(
            [
                "s3:CreateBucket",
                "s3:GetBucketPolicy",
                "s3:ListBucket",
                "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutBucketVersioning",
            ],
            [Expr::s3_arn(packages.clone())],
        ),
        allow(["s3:GetObject", "s3:PutObject"], [Expr::s3_arn(packages).then("/*")]),
    ];
    let package = package.into_iter().map(Statement::in_this_account_only).collect();
    Role::for_service(
        naming.role("build"),
        "codebuild.amazonaws.com",
        [("move-artifacts", artifacts(naming, bucket)), ("put-package", package), ("write-logs", write_logs(group))],
    )
    .described("Builds templates and the functions' package")
    .for_this_account_only()
}

fn write_logs(group: &Handle<LogGroup>) -> Vec<Statement> {
    vec![allow(["logs:CreateLogStream", "logs:PutLogEvents"], [group.arn()])]
}

/// Adds the role that switches registry events on. It reads an artifact because every action of a build takes one.
pub(super) fn add_registry_events(
    template: &mut Template,
    naming: Naming<'_>,
    bucket: &Handle<Bucket>,
    group: &Handle<LogGroup>,
) -> Handle<Role> {
    let key = security::Outputs::new(naming).data_key_arn.read();
    let read = vec![
        allow(["s3:GetObject", "s3:GetObjectVersion"], [bucket.objects()]),
        allow(["kms:Decrypt"], [key]).via_service("s3"),
    ];
    // AWS gives the action no resource.
    let events = vec![allow(["iot:UpdateEventConfigurations"], ["*".into()])];
    let role = Role::for_service(
        naming.role("registry-events"),
        "codebuild.amazonaws.com",
        [("read-artifacts", read), ("switch-events-on", events), ("write-logs", write_logs(group))],
    );
    let role = role.described("Switches the registry events of things on").for_this_account_only();
    let role = template.add("RegistryEventsRole", role);
    let reason = "iot:UpdateEventConfigurations has no resource and no condition that could limit it";
    template.explain(&role, Judge::Checkov, "CKV_AWS_111", reason);
    role
}

/// What the deployment may do everywhere, because nothing can limit it: policy, check, reason.
const UNLIMITED: [(&str, &str, &str); 4] = [
    ("DeployData", "CKV_AWS_111", "kinesis:UpdateShardCount and UpdateStreamMode have no resource and no condition"),
    ("DeployIdentities", "CKV_AWS_109", "cognito-identity:SetIdentityPoolRoles has no resource and no condition"),
    (
        "DeployIdentities",
        "CKV_AWS_111",
        "iot:SetV2LoggingOptions and cognito-identity:SetPrincipalTagAttributeMap have no resource and no condition",
    ),
    ("DeployOperations", "CKV_AWS_111", "sns:Unsubscribe has no resource and no condition"),
];

/// The role in which CloudFormation makes and changes the platform's resources. CloudFormation says nothing of the stack
/// when it assumes a role, so the trust names no source; the pipeline's role alone may pass it.
pub(super) fn add_deployment(template: &mut Template, settings: &Settings) -> Handle<Role> {
    let naming = Naming::new(settings);
    let role = Role::for_service(naming.role("deployment"), "cloudformation.amazonaws.com", [])
        .described("Makes and changes the resources of the platform's stacks");
    let role = template.add("DeploymentRole", role);
    for (logical_id, name, statements) in permissions::policies(settings) {
        let policy = ManagedPolicy {
            managed_policy_name: naming.role(name),
            description: "What making and changing the platform's resources needs",
            policy_document: PolicyDocument::new(statements),
            roles: vec![role.name()],
        };
        let policy = template.add(logical_id, policy);
        let reasons = UNLIMITED.iter().filter(|(limited, ..)| *limited == logical_id);
        for (_, check, reason) in reasons {
            template.explain(&policy, Judge::Checkov, check, reason);
        }
    }
    role
}
