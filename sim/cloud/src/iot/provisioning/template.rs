//! Provisioning templates of the account.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::SERVICE;
use super::body::Body;
use crate::core::{AwsError, Cx, Provisioned, Resource};
use crate::iot::Iot;
use crate::iot::registry::{already_exists, check_name, invalid, not_found};
use world::time::Time;

/// Longest name of a template, in characters (API reference, `CreateProvisioningTemplate`).
const NAME_MAX: usize = 36;
/// Longest description, in characters (same source).
const DESCRIPTION_MAX: usize = 500;
/// The only version of what a hook is told.
const HOOK_VERSION: &str = "2020-04-01";

/// A template.
#[derive(Debug)]
pub(super) struct Template {
    pub text: String,
    pub body: Body,
    pub description: Option<String>,
    pub enabled: bool,
    pub role_arn: String,
    /// ARN of the hook's function.
    pub hook: Option<String>,
    pub version: u64,
    pub created: Time,
    pub modified: Time,
}

/// What a template is made of.
pub(super) struct Wanted {
    pub text: String,
    pub description: Option<String>,
    pub enabled: bool,
    pub role_arn: String,
    pub hook: Option<String>,
}

/// `PreProvisioningHook`, in the spelling of CloudFormation or of the API.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hook {
    #[serde(alias = "PayloadVersion", rename = "payloadVersion")]
    payload_version: Option<String>,
    #[serde(alias = "TargetArn", rename = "targetArn")]
    target_arn: String,
}

impl Hook {
    /// The ARN of its function.
    pub fn function(self) -> Result<String, AwsError> {
        match self.payload_version.as_deref() {
            None | Some(HOOK_VERSION) => Ok(self.target_arn),
            Some(other) => Err(invalid(format!("there is no payload version {other} of hooks"))),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    template_name: String,
    description: Option<String>,
    #[serde(default)]
    enabled: bool,
    pre_provisioning_hook: Option<Hook>,
    provisioning_role_arn: String,
    template_body: String,
    template_type: Option<String>,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

/// Refuses the type of templates that is not modelled.
pub(super) fn check_type(name: Option<&str>) -> Result<(), AwsError> {
    match name {
        None | Some("FLEET_PROVISIONING") => Ok(()),
        Some("JITP") => Err(AwsError::not_modelled("iot provisioning templates of type JITP")),
        Some(other) => Err(invalid(format!("there is no type {other:?} of provisioning templates"))),
    }
}

/// ARN of a template.
pub(super) fn template_arn(cx: &Cx<'_>, name: &str) -> String {
    cx.account.arn("iot", &format!("provisioningtemplate/{name}"))
}

impl Template {
    fn new(cx: &Cx<'_>, wanted: Wanted) -> Result<Template, AwsError> {
        let Wanted { text, description, enabled, role_arn, hook } = wanted;
        if description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_MAX) {
            return Err(invalid(format!("a description has at most {DESCRIPTION_MAX} characters")));
        }
        if !role_arn.starts_with("arn:aws:iam::") || !role_arn.contains(":role/") {
            return Err(invalid(format!("{role_arn:?} is no ARN of a role")));
        }
        let body = Body::parse(&text, cx.limits.get(SERVICE, "provisioning_template_size"))?;
        let (version, created, modified) = (1, cx.now, cx.now);
        Ok(Template { text, body, description, enabled, role_arn, hook, version, created, modified })
    }
}

impl Iot {
    /// `CreateProvisioningTemplate`.
    pub(super) fn create_template(&mut self, cx: &Cx<'_>, name: &str, wanted: Wanted) -> Result<(), AwsError> {
        check_name("template name", name, NAME_MAX, "-")?;
        let template = Template::new(cx, wanted)?;
        let templates = &mut self.provisioning.templates;
        if templates.contains_key(name) {
            return Err(already_exists("the template", name, template_arn(cx, name)));
        }
        let max = cx.limits.get(SERVICE, "provisioning_templates");
        if templates.len() as u64 >= max {
            let message = format!("an account has at most {max} provisioning templates");
            return Err(AwsError::new("LimitExceededException", message).status(410));
        }
        templates.insert(name.into(), template);
        Ok(())
    }

    /// `UpdateProvisioningTemplate`, and a new default version when the body is another. Older versions are not kept.
    pub(super) fn replace_template(&mut self, cx: &Cx<'_>, name: &str, wanted: Wanted) -> Result<(), AwsError> {
        let new = Template::new(cx, wanted)?;
        let old = self.template_mut(name)?;
        let version = old.version + u64::from(new.text != old.text);
        *old = Template { version, created: old.created, ..new };
        Ok(())
    }

    /// `DeleteProvisioningTemplate`.
    pub(super) fn delete_template(&mut self, name: &str) -> Result<(), AwsError> {
        self.provisioning.templates.remove(name).map(drop).ok_or_else(|| missing(name))
    }

    /// A template by its name.
    pub(super) fn template(&self, name: &str) -> Result<(&Arc<str>, &Template), AwsError> {
        self.provisioning.templates.get_key_value(name).ok_or_else(|| missing(name))
    }

    pub(super) fn template_mut(&mut self, name: &str) -> Result<&mut Template, AwsError> {
        self.provisioning.templates.get_mut(name).ok_or_else(|| missing(name))
    }

    /// Creates `AWS::IoT::ProvisioningTemplate`. `Ref` is its name.
    pub(in crate::iot) fn provision_template(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
    ) -> Result<Provisioned, AwsError> {
        let (name, wanted) = wanted(resource)?;
        self.create_template(cx, &name, wanted)?;
        Ok(provisioned(cx, &name))
    }

    /// Changes `AWS::IoT::ProvisioningTemplate` in place.
    pub(in crate::iot) fn update_template(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        name: &str,
    ) -> Result<Provisioned, AwsError> {
        let (_, wanted) = wanted(resource)?;
        self.replace_template(cx, name, wanted)?;
        Ok(provisioned(cx, name))
    }

    /// Deletes `AWS::IoT::ProvisioningTemplate`. Deleting what is gone succeeds.
    pub(in crate::iot) fn remove_template(&mut self, name: &str) {
        self.provisioning.templates.remove(name);
    }
}

fn missing(name: &str) -> AwsError {
    not_found(format!("the provisioning template {name} does not exist"))
}

fn provisioned(cx: &Cx<'_>, name: &str) -> Provisioned {
    Provisioned::new(name).attribute("TemplateArn", template_arn(cx, name))
}

fn wanted(resource: &Resource) -> Result<(String, Wanted), AwsError> {
    let properties: Properties = resource.parse()?;
    check_type(properties.template_type.as_deref())?;
    let wanted = Wanted {
        text: properties.template_body,
        description: properties.description,
        enabled: properties.enabled,
        role_arn: properties.provisioning_role_arn,
        hook: properties.pre_provisioning_hook.map(Hook::function).transpose()?,
    };
    Ok((properties.template_name, wanted))
}

/// A template as it is described.
pub(super) fn described(cx: &Cx<'_>, name: &str, template: &Template) -> Value {
    let mut answer = json!({
        "templateArn": template_arn(cx, name),
        "templateName": name,
        "creationDate": template.created.epoch_seconds(),
        "lastModifiedDate": template.modified.epoch_seconds(),
        "enabled": template.enabled,
        "type": "FLEET_PROVISIONING",
    });
    if let Some(description) = &template.description {
        answer["description"] = description.as_str().into();
    }
    answer
}

/// What `DescribeProvisioningTemplate` says beside what a list says.
pub(super) fn described_in_full(cx: &Cx<'_>, name: &str, template: &Template) -> Value {
    let mut answer = described(cx, name, template);
    answer["defaultVersionId"] = template.version.into();
    answer["templateBody"] = template.text.as_str().into();
    answer["provisioningRoleArn"] = template.role_arn.as_str().into();
    if let Some(hook) = &template.hook {
        answer["preProvisioningHook"] = json!({ "payloadVersion": HOOK_VERSION, "targetArn": hook });
    }
    answer
}
