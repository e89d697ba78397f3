//! The document of a provisioning template: parameters, resources and the functions that fill them in.
//!
//! Source: "Provisioning templates" of the IoT Core guide. Unverified: that a template names one certificate and at most
//! one thing, what holds without `OverrideSettings` (here `FAIL`), and that parameters which the template does not declare
//! are passed over.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::function::{Scope, list, text, value};
use crate::core::AwsError;
use crate::iot::registry::invalid;

/// The parameter that holds the id of the device's certificate.
pub const CERTIFICATE_ID: &str = "AWS::IoT::Certificate::Id";

/// What happens to a part of a thing that is there already and differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Override {
    /// It stays.
    DoNothing,
    /// It becomes what the template says.
    Replace,
    /// The registration fails.
    Fail,
    /// Both hold: of thing groups and attributes only.
    Merge,
}

/// A thing as the template wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThingWish {
    /// Name.
    pub name: String,
    /// Attributes, if the template says any.
    pub attributes: Option<BTreeMap<String, String>>,
    /// Name of its type.
    pub thing_type: Option<String>,
    /// Names of its groups.
    pub groups: Vec<String>,
    /// Name of its billing group.
    pub billing_group: Option<String>,
    /// What happens when the thing is there with other attributes, another type, other groups.
    pub overrides: Overrides,
}

/// What happens to each part of a thing that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrides {
    /// `AttributePayload`.
    pub attributes: Override,
    /// `ThingTypeName`.
    pub thing_type: Override,
    /// `ThingGroups`.
    pub groups: Override,
}

/// A policy as the template wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyWish {
    /// One that is there, by its name.
    Named(String),
    /// One that is made from its document.
    Document(String),
}

/// What is to be registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// The thing, if there is one.
    pub thing: Option<ThingWish>,
    /// Id of the certificate.
    pub certificate: String,
    /// Whether the certificate becomes ACTIVE; otherwise it becomes INACTIVE.
    pub active: bool,
    /// The policies to attach to it.
    pub policies: Vec<PolicyWish>,
    /// What the device is told.
    pub device_configuration: Map<String, Value>,
}

/// A template's document, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// Default of each parameter, if it has one.
    parameters: BTreeMap<String, Option<String>>,
    mappings: Value,
    resources: Vec<Declared>,
    device_configuration: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq)]
struct Declared {
    kind: Kind,
    properties: Map<String, Value>,
    overrides: BTreeMap<String, Override>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Thing,
    Certificate,
    Policy,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    #[serde(default)]
    mappings: Map<String, Value>,
    resources: Map<String, Value>,
    #[serde(default)]
    device_configuration: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Parameter {
    r#type: String,
    default: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ResourceDocument {
    r#type: String,
    properties: Map<String, Value>,
    #[serde(default)]
    override_settings: BTreeMap<String, Override>,
}

impl Kind {
    fn of(name: &str) -> Option<Kind> {
        Some(match name {
            "AWS::IoT::Thing" => Kind::Thing,
            "AWS::IoT::Certificate" => Kind::Certificate,
            "AWS::IoT::Policy" => Kind::Policy,
            _ => return None,
        })
    }

    /// Properties that are modelled, and those that AWS has beside them.
    fn properties(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Kind::Thing => (
                &["ThingName", "AttributePayload", "ThingTypeName", "ThingGroups", "BillingGroup"],
                &["PackageVersions", "ThingPrincipalType"],
            ),
            Kind::Certificate => (
                &["CertificateId", "Status"],
                &["CertificateSigningRequest", "CertificatePem", "CACertificatePem", "ThingPrincipalType"],
            ),
            Kind::Policy => (&["PolicyName", "PolicyDocument"], &[]),
        }
    }

    /// Parts whose override a resource of this kind can set, and whether they can be merged.
    fn overrides(self) -> &'static [(&'static str, bool)] {
        match self {
            Kind::Thing => &[("AttributePayload", true), ("ThingTypeName", false), ("ThingGroups", true)],
            Kind::Certificate => &[("Status", false)],
            Kind::Policy => &[],
        }
    }
}

impl Body {
    /// Checks a document of at most `size_max` bytes.
    pub fn parse(document: &str, size_max: u64) -> Result<Body, AwsError> {
        if document.len() as u64 > size_max {
            return Err(invalid(format!("the template has {} bytes, at most {size_max} are allowed", document.len())));
        }
        let document: Document =
            serde_json::from_str(document).map_err(|error| invalid(format!("the template is malformed: {error}")))?;
        if let Some((name, other)) = document.parameters.iter().find(|(_, parameter)| parameter.r#type != "String") {
            return Err(invalid(format!("the parameter {name} is of type {:?}, not String", other.r#type)));
        }
        let parameters = document.parameters.into_iter().map(|(name, parameter)| (name, parameter.default)).collect();
        let resources = document.resources.into_iter().map(|(name, resource)| declared(&name, resource));
        let body = Body {
            parameters,
            mappings: Value::Object(document.mappings),
            resources: resources.collect::<Result<_, _>>()?,
            device_configuration: document.device_configuration,
        };
        body.check()?;
        Ok(body)
    }

    /// What the template wants with these parameters.
    pub fn fill_in(&self, given: &BTreeMap<String, String>) -> Result<Wish, AwsError> {
        let mut parameters = BTreeMap::new();
        for (name, default) in &self.parameters {
            let known = given.get(name).or(default.as_ref());
            let known = known.ok_or_else(|| invalid(format!("the template's parameter {name} has no value")))?;
            parameters.insert(name.as_str(), known.as_str());
        }
        let scope = Scope { parameters, mappings: &self.mappings };
        self.wish(&scope)
    }

    /// Checks what does not depend on the values of parameters: with any of them, the same resources follow.
    fn check(&self) -> Result<(), AwsError> {
        let count = |kind| self.resources.iter().filter(|resource| resource.kind == kind).count();
        if count(Kind::Certificate) != 1 || count(Kind::Thing) > 1 {
            return Err(invalid("a template names one certificate and at most one thing"));
        }
        let known: BTreeSet<&str> = self.parameters.keys().map(String::as_str).collect();
        let whole = self.resources.iter().flat_map(|resource| resource.properties.values());
        for part in whole.chain(self.device_configuration.values()) {
            super::function::check(part, &known, &self.mappings)?;
        }
        Ok(())
    }

    fn wish(&self, scope: &Scope<'_>) -> Result<Wish, AwsError> {
        let mut wish = Wish {
            thing: None,
            certificate: String::new(),
            active: true,
            policies: Vec::new(),
            device_configuration: Map::new(),
        };
        for Declared { kind, properties, overrides } in &self.resources {
            match kind {
                Kind::Thing => wish.thing = Some(thing(scope, properties, overrides)?),
                Kind::Certificate => {
                    wish.certificate = required(scope, properties, "CertificateId")?;
                    wish.active = status(optional(scope, properties, "Status")?.as_deref())?;
                }
                Kind::Policy => wish.policies.push(policy(scope, properties)?),
            }
        }
        for (name, part) in &self.device_configuration {
            wish.device_configuration.insert(name.clone(), value(scope, part)?);
        }
        Ok(wish)
    }
}

fn declared(name: &str, resource: Value) -> Result<Declared, AwsError> {
    let resource: ResourceDocument = serde_json::from_value(resource)
        .map_err(|error| invalid(format!("the template's resource {name} is malformed: {error}")))?;
    let kind = Kind::of(&resource.r#type)
        .ok_or_else(|| invalid(format!("the template's resource {name} has the unknown type {}", resource.r#type)))?;
    let (modelled, others) = kind.properties();
    for property in resource.properties.keys() {
        if others.contains(&property.as_str()) {
            let what = format!("iot provisioning templates with the property {property} of {}", resource.r#type);
            return Err(AwsError::not_modelled(what));
        }
        if !modelled.contains(&property.as_str()) {
            return Err(invalid(format!("{} has no property {property}", resource.r#type)));
        }
    }
    for (part, wanted) in &resource.override_settings {
        let found = kind.overrides().iter().find(|(name, _)| name == part);
        let (_, merges) = found.ok_or_else(|| invalid(format!("{} overrides no {part}", resource.r#type)))?;
        if *wanted == Override::Merge && !merges {
            return Err(invalid(format!("MERGE is for thing groups and attributes, not for {part}")));
        }
    }
    let required = match kind {
        Kind::Thing => "ThingName",
        Kind::Certificate => "CertificateId",
        Kind::Policy => match (resource.properties.get("PolicyName"), resource.properties.get("PolicyDocument")) {
            (Some(_), None) | (None, Some(_)) => return Ok(Declared::new(kind, resource)),
            _ => return Err(invalid(format!("the policy {name} has either PolicyName or PolicyDocument"))),
        },
    };
    if !resource.properties.contains_key(required) {
        return Err(invalid(format!("the template's resource {name} has no {required}")));
    }
    Ok(Declared::new(kind, resource))
}

impl Declared {
    fn new(kind: Kind, resource: ResourceDocument) -> Self {
        Declared { kind, properties: resource.properties, overrides: resource.override_settings }
    }
}

fn optional(scope: &Scope<'_>, properties: &Map<String, Value>, name: &str) -> Result<Option<String>, AwsError> {
    properties.get(name).map(|part| text(scope, part)).transpose()
}

fn required(scope: &Scope<'_>, properties: &Map<String, Value>, name: &str) -> Result<String, AwsError> {
    optional(scope, properties, name)?.ok_or_else(|| invalid(format!("the template has no {name}")))
}

fn thing(
    scope: &Scope<'_>,
    properties: &Map<String, Value>,
    overrides: &BTreeMap<String, Override>,
) -> Result<ThingWish, AwsError> {
    let attributes = match properties.get("AttributePayload") {
        None => None,
        Some(Value::Object(members)) => {
            let filled = members.iter().map(|(name, part)| Ok((name.clone(), text(scope, part)?)));
            Some(filled.collect::<Result<_, AwsError>>()?)
        }
        Some(_) => return Err(invalid("AttributePayload is an object")),
    };
    let of = |part: &str| overrides.get(part).copied().unwrap_or(Override::Fail);
    Ok(ThingWish {
        name: required(scope, properties, "ThingName")?,
        attributes,
        thing_type: optional(scope, properties, "ThingTypeName")?,
        groups: properties.get("ThingGroups").map_or(Ok(Vec::new()), |part| list(scope, part))?,
        billing_group: optional(scope, properties, "BillingGroup")?,
        overrides: Overrides {
            attributes: of("AttributePayload"),
            thing_type: of("ThingTypeName"),
            groups: of("ThingGroups"),
        },
    })
}

fn policy(scope: &Scope<'_>, properties: &Map<String, Value>) -> Result<PolicyWish, AwsError> {
    if let Some(name) = optional(scope, properties, "PolicyName")? {
        return Ok(PolicyWish::Named(name));
    }
    match properties.get("PolicyDocument") {
        // A document is a text, or an object as it stands.
        Some(part @ Value::Object(members)) if members.contains_key("Statement") => {
            Ok(PolicyWish::Document(part.to_string()))
        }
        _ => Ok(PolicyWish::Document(required(scope, properties, "PolicyDocument")?)),
    }
}

/// `ACTIVE` or `INACTIVE`, in any case: AWS's own examples write `Active`.
fn status(text: Option<&str>) -> Result<bool, AwsError> {
    match text.map(str::to_ascii_uppercase).as_deref() {
        None | Some("ACTIVE") => Ok(true),
        Some("INACTIVE") => Ok(false),
        Some(other) => Err(invalid(format!("a certificate of a template is ACTIVE or INACTIVE, not {other}"))),
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
