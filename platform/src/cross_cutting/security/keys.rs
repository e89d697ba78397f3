//! Who may use the keys.
//!
//! Roles of the account are allowed by their own policies, to which the key's policy hands over. Named here are only the
//! AWS services that use a key as themselves, in nobody's role.

use crate::cross_cutting::logging;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::Expr;
use crate::template::iam::{PolicyDocument, Principal, Statement, allow};

/// Every statement of a key's policy is about that key: AWS writes it as `*`.
fn this_key() -> [Expr; 1] {
    ["*".into()]
}

/// The account's IAM policies decide who in it may use and manage the key (KMS guide, "Default key policy"). Without this
/// statement nobody could ever change the policy again.
fn account_decides() -> Statement {
    allow(["kms:*"], this_key()).named("AccountDecides").to(Principal::this_account())
}

/// The policy of the key of data.
pub(super) fn data_policy(settings: &Settings) -> PolicyDocument {
    let naming = Naming::new(settings);
    // Both write into encrypted topics (SNS guide, "Enable compatibility between event sources from AWS services and
    // encrypted topics"; Budgets guide, "Creating an Amazon SNS topic for budget notifications").
    let publisher = |sid, service: &'static str, source: Expr| {
        allow(["kms:Decrypt", "kms:GenerateDataKey"], this_key())
            .named(sid)
            .to(Principal::service(service))
            .when("StringEquals", "aws:SourceAccount", Expr::account_id())
            .when("ArnLike", "aws:SourceArn", source)
    };
    let alarms = Expr::arn("cloudwatch", format!("alarm:{}", naming.name("*")));
    PolicyDocument::new(vec![
        account_decides(),
        publisher("AlarmsPublish", "cloudwatch.amazonaws.com", alarms),
        publisher("BudgetsPublish", "budgets.amazonaws.com", Expr::global_arn("budgets", "*")),
    ])
}

/// The policy of the key of logs.
pub(super) fn logs_policy(settings: &Settings) -> PolicyDocument {
    let naming = Naming::new(settings);
    let trail = logging::trail_arn(naming);
    let groups = logging::log_group_patterns(naming).map(|group| Expr::arn("logs", format!("log-group:{group}")));
    // CloudWatch Logs guide, "Encrypt log data in CloudWatch Logs using AWS KMS".
    let log_groups = allow(
        [
            "kms:Encrypt",
            "kms:Decrypt",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:DescribeKey",
        ],
        this_key(),
    )
    .named("LogGroups")
    .to(Principal::service(Expr::concat(["logs.".into(), Expr::region(), ".amazonaws.com".into()])))
    .when_any("ArnLike", "kms:EncryptionContext:aws:logs:arn", groups);
    // CloudTrail guide, "Configure AWS KMS key policies for CloudTrail". The bucket's own key needs the same two.
    let cloudtrail = || Principal::service("cloudtrail.amazonaws.com");
    let trails = Expr::concat([
        "arn:".into(),
        Expr::partition(),
        ":cloudtrail:*:".into(),
        Expr::account_id(),
        ":trail/*".into(),
    ]);
    PolicyDocument::new(vec![
        account_decides(),
        log_groups,
        allow(["kms:GenerateDataKey"], this_key())
            .named("TrailEncrypts")
            .to(cloudtrail())
            .when("StringEquals", "aws:SourceArn", trail.clone())
            .when("StringLike", "kms:EncryptionContext:aws:cloudtrail:arn", trails),
        allow(["kms:DescribeKey"], this_key()).named("TrailLooks").to(cloudtrail()).when(
            "StringEquals",
            "aws:SourceArn",
            trail,
        ),
    ])
}
