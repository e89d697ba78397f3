//! Looking at templates.

use std::collections::BTreeSet;

use super::super::language::{Template, as_text, invalid, types_in_use};
use super::wish::{self, capabilities};
use super::{Call, change_sets};
use crate::core::AwsError;
use crate::front::query::{Form, Xml};

/// `GetTemplate`: as it was given; there are no macros that would process it.
pub(super) fn get_template(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let stack = form.text("StackName");
    let change_set = form.text("ChangeSetName");
    form.text("TemplateStage");
    form.finish()?;
    let body = match (stack, change_set) {
        (stack, Some(name)) => {
            let (index, at) = change_sets::find(call, "GetTemplate", &name, stack.as_deref())?;
            call.at(index).change_sets[at].target.body.clone()
        }
        (Some(name), None) => {
            let index = call.stack("GetTemplate", &name)?;
            let current = call.at(index).current.as_ref();
            current.map(|current| current.body.clone()).unwrap_or_default()
        }
        (None, None) => return Err(invalid("StackName must be specified")),
    };
    let mut xml = Xml::new();
    xml.text("TemplateBody", body);
    xml.texts("StagesAvailable", ["Original", "Processed"]);
    Ok(xml)
}

fn parse(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Template, AwsError> {
    let (body, bytes_max) = wish::template(call, form)?;
    Template::parse(&body, call.cx.limits, bytes_max)
}

fn needed(xml: &mut Xml, template: &Template) {
    let (needed, types) = capabilities(template);
    if !needed.is_empty() {
        xml.texts("Capabilities", needed);
        let types: Vec<&str> = types.into_iter().collect();
        xml.text(
            "CapabilitiesReason",
            format!("The following resource(s) require capabilities: [{}]", types.join(", ")),
        );
    }
}

/// `ValidateTemplate`.
pub(super) fn validate_template(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    call.cx.authorize("cloudformation:ValidateTemplate", "*")?;
    let template = parse(call, form)?;
    form.finish()?;
    let mut xml = Xml::new();
    xml.list("Parameters", &template.parameters, |xml, (name, declared)| {
        xml.text("ParameterKey", name);
        xml.optional("DefaultValue", declared.default.as_ref().map(as_text));
        xml.value("NoEcho", declared.no_echo);
        xml.optional("Description", declared.description.as_deref());
    });
    xml.optional("Description", template.description.as_deref());
    needed(&mut xml, &template);
    Ok(xml)
}

/// `GetTemplateSummary`, of a stack or of a template.
pub(super) fn get_template_summary(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let template = match form.text("StackName") {
        Some(name) => {
            let index = call.stack("GetTemplateSummary", &name)?;
            let current = call.at(index).current.as_ref().map(|current| current.template.clone());
            current.ok_or_else(|| invalid(format!("Stack with id {name} has no template")))?
        }
        None => {
            call.cx.authorize("cloudformation:GetTemplateSummary", "*")?;
            parse(call, form)?
        }
    };
    form.finish()?;
    let mut xml = Xml::new();
    xml.list("Parameters", &template.parameters, |xml, (name, declared)| {
        xml.text("ParameterKey", name);
        xml.optional("DefaultValue", declared.default.as_ref().map(as_text));
        xml.text("ParameterType", &declared.r#type);
        xml.value("NoEcho", declared.no_echo);
        xml.optional("Description", declared.description.as_deref());
        xml.element("ParameterConstraints", |xml| {
            if let Some(allowed) = &declared.allowed_values {
                xml.texts("AllowedValues", allowed.iter().map(as_text));
            }
        });
    });
    xml.optional("Description", template.description.as_deref());
    needed(&mut xml, &template);
    xml.texts("ResourceTypes", types_in_use(&template).collect::<BTreeSet<&str>>());
    xml.optional("Version", template.version());
    xml.optional("Metadata", template.metadata.as_ref().map(ToString::to_string));
    Ok(xml)
}
