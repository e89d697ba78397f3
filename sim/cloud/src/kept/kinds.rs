//! The types that are kept, a row each. Forms of ARNs: the Service Authorization Reference; values of `Ref` and
//! `Fn::GetAtt`: `data/cloudformation-resources.json`.

use serde_json::Value;

use crate::core::{Cx, Provisioned};

/// What tells resources of one type apart, and is the value of `Ref`.
pub(super) enum Identity {
    /// The name in this property; a generated name when the template gives none.
    Name {
        /// The property, dotted when it is nested.
        path: &'static str,
        /// Most characters of a generated name.
        characters_max: usize,
    },
    /// The values of these properties.
    Of(&'static [&'static str]),
    /// So many random small letters and digits.
    Letters(usize),
    /// `eu-west-1_Ab3dE6gHi`.
    PoolId,
    /// `eu-west-1:uuid`.
    RegionUuid,
}

/// A type that is kept.
pub(super) struct Kind {
    /// Type, such as `AWS::Logs::LogGroup`.
    pub name: &'static str,
    /// See [`Identity`].
    pub identity: Identity,
    /// Attributes: name and value, with `{id}`, `{region}`, `{account}`, `{version}` and `{Property}` filled in.
    attributes: &'static [(&'static str, &'static str)],
}

const fn named(
    name: &'static str,
    path: &'static str,
    characters_max: usize,
    attributes: &'static [(&'static str, &'static str)],
) -> Kind {
    Kind { name, identity: Identity::Name { path, characters_max }, attributes }
}

const fn of(name: &'static str, paths: &'static [&'static str]) -> Kind {
    Kind { name, identity: Identity::Of(paths), attributes: &[] }
}

static KINDS: &[Kind] = &[
    named("AWS::Budgets::Budget", "Budget.BudgetName", 100, &[]),
    named(
        "AWS::CloudTrail::Trail",
        "TrailName",
        128,
        &[("Arn", "arn:aws:cloudtrail:{region}:{account}:trail/{id}"), ("SnsTopicArn", "{SnsTopicName}")],
    ),
    named("AWS::CloudWatch::Alarm", "AlarmName", 255, &[("Arn", "arn:aws:cloudwatch:{region}:{account}:alarm:{id}")]),
    named(
        "AWS::CloudWatch::CompositeAlarm",
        "AlarmName",
        255,
        &[("Arn", "arn:aws:cloudwatch:{region}:{account}:alarm:{id}")],
    ),
    named("AWS::CloudWatch::Dashboard", "DashboardName", 255, &[]),
    named("AWS::CodeBuild::Project", "Name", 255, &[("Arn", "arn:aws:codebuild:{region}:{account}:project/{id}")]),
    named("AWS::CodePipeline::Pipeline", "Name", 100, &[("Version", "{version}")]),
    named(
        "AWS::Config::ConfigRule",
        "ConfigRuleName",
        128,
        &[("Arn", "arn:aws:config:{region}:{account}:config-rule/{id}"), ("ConfigRuleId", "{id}")],
    ),
    Kind {
        name: "AWS::Cognito::IdentityPool",
        identity: Identity::RegionUuid,
        attributes: &[("Name", "{IdentityPoolName}")],
    },
    of("AWS::Cognito::IdentityPoolPrincipalTag", &["IdentityPoolId", "IdentityProviderName"]),
    Kind {
        name: "AWS::Cognito::IdentityPoolRoleAttachment",
        identity: Identity::Of(&["IdentityPoolId"]),
        attributes: &[("Id", "{id}")],
    },
    Kind {
        name: "AWS::Cognito::UserPool",
        identity: Identity::PoolId,
        attributes: &[
            ("Arn", "arn:aws:cognito-idp:{region}:{account}:userpool/{id}"),
            ("ProviderName", "cognito-idp.{region}.amazonaws.com/{id}"),
            ("ProviderURL", "https://cognito-idp.{region}.amazonaws.com/{id}"),
            ("UserPoolId", "{id}"),
        ],
    },
    Kind { name: "AWS::Cognito::UserPoolClient", identity: Identity::Letters(26), attributes: &[("ClientId", "{id}")] },
    of("AWS::Cognito::UserPoolDomain", &["Domain"]),
    Kind {
        name: "AWS::Cognito::UserPoolGroup",
        identity: Identity::Of(&["UserPoolId", "GroupName"]),
        attributes: &[(REF, "{GroupName}")],
    },
    of("AWS::Cognito::UserPoolResourceServer", &["UserPoolId", "Identifier"]),
    named("AWS::Events::Rule", "Name", 64, &[("Arn", "arn:aws:events:{region}:{account}:rule/{id}")]),
    named(
        "AWS::IoT::DomainConfiguration",
        "DomainConfigurationName",
        128,
        &[("Arn", "arn:aws:iot:{region}:{account}:domainconfiguration/{id}"), ("DomainType", "{domain_type}")],
    ),
    of("AWS::IoT::Logging", &["AccountId"]),
    Kind {
        name: "AWS::IoT::ResourceSpecificLogging",
        identity: Identity::Of(&["TargetType", "TargetName"]),
        attributes: &[(REF, "{TargetType}:{TargetName}"), ("TargetId", "{TargetType}:{TargetName}")],
    },
    named(
        "AWS::IoT::RoleAlias",
        "RoleAlias",
        128,
        &[("RoleAliasArn", "arn:aws:iot:{region}:{account}:rolealias/{id}")],
    ),
    named("AWS::Logs::LogGroup", "LogGroupName", 512, &[("Arn", "arn:aws:logs:{region}:{account}:log-group:{id}:*")]),
    Kind {
        name: "AWS::Logs::LogStream",
        identity: Identity::Of(&["LogGroupName", "LogStreamName"]),
        attributes: &[(REF, "{LogStreamName}")],
    },
    Kind {
        name: "AWS::Logs::MetricFilter",
        identity: Identity::Of(&["LogGroupName", "FilterName"]),
        attributes: &[(REF, "{FilterName}")],
    },
    of("AWS::Logs::ResourcePolicy", &["PolicyName"]),
];

/// The attribute that stands for the value of `Ref` where it is not the identity.
const REF: &str = "";

/// The row of a type.
pub(super) fn find(kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|row| row.name == kind)
}

impl Kind {
    /// What a resource answers to references after `changes` changes.
    pub fn provisioned(&self, cx: &Cx<'_>, id: &str, properties: &Value, changes: u64) -> Provisioned {
        let mut provisioned = Provisioned::new(id);
        for (name, form) in self.attributes {
            let Some(value) = filled(cx, form, id, properties, changes) else { continue };
            if *name == REF {
                provisioned.physical_id = value;
            } else {
                provisioned = provisioned.attribute(name, value);
            }
        }
        provisioned
    }
}

/// `form` with its holes filled; nothing when a property that it takes is not given.
fn filled(cx: &Cx<'_>, form: &str, id: &str, properties: &Value, changes: u64) -> Option<String> {
    let mut out = String::new();
    let mut rest = form;
    while let Some((before, after)) = rest.split_once('{') {
        let (hole, after) = after.split_once('}')?;
        out.push_str(before);
        match hole {
            "id" => out.push_str(id),
            "region" => out.push_str(&cx.account.region),
            "account" => out.push_str(&cx.account.id),
            "version" => out.push_str(&(changes + 1).to_string()),
            "domain_type" => out.push_str(domain_type(properties)),
            property => out.push_str(properties.get(property)?.as_str()?),
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn domain_type(properties: &Value) -> &'static str {
    if properties.get("DomainName").is_some() { "CUSTOMER_MANAGED" } else { "AWS_MANAGED" }
}
