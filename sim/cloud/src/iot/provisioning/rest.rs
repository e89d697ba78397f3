//! The control plane of provisioning.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::SERVICE;
use super::body::Body;
use super::template::{Hook, Wanted, check_type, described, described_in_full, template_arn};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::arns::{certificate_arn, policy_arn, thing_arn};
use crate::iot::registry::invalid;
use crate::iot::rest::{RestRequest, parse, query};

/// Templates of a page of `ListProvisioningTemplates` unless asked otherwise: the default is unverified, the largest is the
/// model's.
const PAGE: usize = 25;
/// See [`PAGE`].
const PAGE_MAX: usize = 250;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateTemplate {
    template_name: String,
    description: Option<String>,
    template_body: String,
    #[serde(default)]
    enabled: bool,
    provisioning_role_arn: String,
    pre_provisioning_hook: Option<Hook>,
    r#type: Option<String>,
    #[serde(rename = "tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateTemplate {
    description: Option<String>,
    enabled: Option<bool>,
    default_version_id: Option<u64>,
    provisioning_role_arn: Option<String>,
    pre_provisioning_hook: Option<Hook>,
    #[serde(default)]
    remove_pre_provisioning_hook: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RegisterThing {
    template_body: String,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
}

impl Iot {
    /// `RegisterThing`: a template of the caller's, carried out in his own name.
    pub(in crate::iot) fn rest_register_thing(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        r: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: RegisterThing = parse(r.body)?;
        let template = Body::parse(&body.template_body, cx.limits.get(SERVICE, "provisioning_template_size"))?;
        let wish = template.fill_in(&body.parameters)?;
        self.register(cx, &wish)?;
        let mut arns = Map::new();
        arns.insert("certificate".to_owned(), certificate_arn(cx, &wish.certificate).into());
        if let Some(thing) = &wish.thing {
            arns.insert("thing".to_owned(), thing_arn(cx, &thing.name).into());
        }
        if let Some(super::body::PolicyWish::Named(name)) = wish.policies.first() {
            arns.insert("policy".to_owned(), policy_arn(cx, name).into());
        }
        // The PEM of a certificate is not kept here.
        Ok(json!({ "resourceArns": arns }))
    }

    pub(in crate::iot) fn rest_create_template(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        r: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: CreateTemplate = parse(r.body)?;
        check_type(body.r#type.as_deref())?;
        cx.authorize("iam:PassRole", &body.provisioning_role_arn)?;
        let wanted = Wanted {
            text: body.template_body,
            description: body.description,
            enabled: body.enabled,
            role_arn: body.provisioning_role_arn,
            hook: body.pre_provisioning_hook.map(Hook::function).transpose()?,
        };
        self.create_template(cx, &body.template_name, wanted)?;
        Ok(json!({
            "templateArn": template_arn(cx, &body.template_name),
            "templateName": body.template_name,
            "defaultVersionId": 1,
        }))
    }

    pub(in crate::iot) fn rest_describe_template(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let (name, template) = self.template(name)?;
        Ok(described_in_full(cx, name, template))
    }

    pub(in crate::iot) fn rest_list_templates(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        r: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let query = query(r.query)?;
        let page = match query.get("maxResults").map(|text| text.parse()) {
            None => PAGE,
            Some(Ok(page)) if (1..=PAGE_MAX).contains(&page) => page,
            Some(_) => return Err(invalid(format!("maxResults is 1 to {PAGE_MAX}"))),
        };
        let after = query.get("nextToken").map(|token| {
            let name = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            name.ok_or_else(|| invalid("this is no nextToken of ListProvisioningTemplates"))
        });
        let after = after.transpose()?;
        let is_later = |name: &str| after.as_deref().is_none_or(|after| name > after);
        let later = self.provisioning.templates.iter().filter(|(name, _)| is_later(name));
        let mut found: Vec<_> = later.take(page + 1).collect();
        let more = found.len() > page;
        found.truncate(page);
        let listed: Vec<Value> = found.iter().map(|(name, template)| described(cx, name, template)).collect();
        let mut answer = json!({ "templates": listed });
        if let Some((last, _)) = found.last().filter(|_| more) {
            answer["nextToken"] = URL_SAFE_NO_PAD.encode(last.as_bytes()).into();
        }
        Ok(answer)
    }

    pub(in crate::iot) fn rest_update_template(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        r: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: UpdateTemplate = parse(r.body)?;
        if let Some(role) = &body.provisioning_role_arn {
            cx.authorize("iam:PassRole", role)?;
        }
        let (_, template) = self.template(name)?;
        if body.default_version_id.is_some_and(|id| id != template.version) {
            return Err(AwsError::not_modelled("iot UpdateProvisioningTemplate to another version"));
        }
        let hook = match body.pre_provisioning_hook {
            Some(_) if body.remove_pre_provisioning_hook => {
                return Err(invalid("a hook is either set or removed"));
            }
            Some(hook) => Some(hook.function()?),
            None => template.hook.clone().filter(|_| !body.remove_pre_provisioning_hook),
        };
        let wanted = Wanted {
            text: template.text.clone(),
            description: body.description.or_else(|| template.description.clone()),
            enabled: body.enabled.unwrap_or(template.enabled),
            role_arn: body.provisioning_role_arn.unwrap_or_else(|| template.role_arn.clone()),
            hook,
        };
        self.replace_template(cx, name, wanted)?;
        Ok(json!({}))
    }

    pub(in crate::iot) fn rest_delete_template(
        &mut self,
        _: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        self.delete_template(name)?;
        Ok(json!({}))
    }
}
