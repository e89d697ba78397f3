//! What a template registers: a thing, an activated certificate, policies.
//!
//! Every call is asked of the template's role. All of them are asked, and everything that is named is looked up, before
//! anything is changed.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::body::{Override, PolicyWish, ThingWish, Wish};
use crate::core::{AwsError, Cx, Outcome, Principal};
use crate::iot::Iot;
use crate::iot::registry::arns::{
    billing_group_arn, certificate_arn, policy_arn, thing_arn, thing_group_arn, thing_type_arn,
};
use crate::iot::registry::{CertificateStatus, ThingUpdate, not_found};
use world::trace::Level;

/// What is to be done with a thing.
enum ThingPlan {
    Create,
    Update(ThingUpdate),
    Keep,
}

/// The role in which a template registers devices. The name of its session is unverified.
pub(super) fn session(cx: &Cx<'_>, role_arn: &str) -> Principal {
    let role = role_arn.rsplit('/').next().unwrap_or(role_arn);
    Principal::new(format!("arn:aws:sts::{}:assumed-role/{role}/provisioning", cx.account.id))
}

impl Iot {
    /// Registers what a template wants. The caller is the template's role, or whoever called RegisterThing.
    pub(super) fn register(&mut self, cx: &mut Cx<'_>, wish: &Wish) -> Result<(), AwsError> {
        self.may_use_certificate(cx, wish)?;
        let plan = match &wish.thing {
            Some(thing) => Some((thing, self.plan_thing(cx, thing)?)),
            None => None,
        };
        let policies = self.plan_policies(cx, wish)?;
        if let Some((thing, plan)) = plan {
            self.put_thing(cx, thing, plan)?;
        }
        self.set_status_of(cx, &wish.certificate, wish.active)?;
        let certificate = certificate_arn(cx, &wish.certificate);
        for (name, document) in policies {
            let (registry, quotas) = self.registry_and_quotas(cx);
            if let Some(document) = document {
                registry.create_policy(cx, quotas, &name, &document)?;
                done(cx, "CreatePolicy");
            }
            let (registry, quotas) = self.registry_and_quotas(cx);
            registry.attach_policy(cx, quotas, &name, &certificate)?;
            done(cx, "AttachPolicy");
        }
        if let Some(thing) = &wish.thing {
            self.registry.attach_thing_principal(cx, &thing.name, &certificate, false)?;
            done(cx, "AttachThingPrincipal");
        }
        Ok(())
    }

    fn may_use_certificate(&self, cx: &mut Cx<'_>, wish: &Wish) -> Result<(), AwsError> {
        let arn = certificate_arn(cx, &wish.certificate);
        cx.authorize("iot:DescribeCertificate", &arn)?;
        if !self.registry.certificates.contains_key(wish.certificate.as_str()) {
            return Err(not_found(format!("the certificate {} does not exist", wish.certificate)));
        }
        cx.authorize("iot:UpdateCertificate", &arn)?;
        if wish.thing.is_some() {
            cx.authorize("iot:AttachThingPrincipal", &arn)?;
        }
        Ok(())
    }

    fn plan_thing(&self, cx: &mut Cx<'_>, wish: &ThingWish) -> Result<ThingPlan, AwsError> {
        let arn = thing_arn(cx, &wish.name);
        cx.authorize("iot:DescribeThing", &arn)?;
        if let Some(thing_type) = &wish.thing_type {
            cx.authorize("iot:DescribeThingType", &thing_type_arn(cx, thing_type))?;
            self.registry.thing_type(thing_type)?;
        }
        let plan = self.planned(wish)?;
        let action = match &plan {
            ThingPlan::Create => Some("iot:CreateThing"),
            ThingPlan::Update(_) => Some("iot:UpdateThing"),
            ThingPlan::Keep => None,
        };
        if let Some(action) = action {
            cx.authorize(action, &arn)?;
            if let Some(thing_type) = &wish.thing_type {
                cx.authorize(action, &thing_type_arn(cx, thing_type))?;
            }
        }
        for group in &wish.groups {
            let group_arn = thing_group_arn(cx, group);
            cx.authorize("iot:DescribeThingGroup", &group_arn)?;
            self.registry.thing_group(group)?;
            cx.authorize("iot:AddThingToThingGroup", &group_arn)?;
            cx.authorize("iot:AddThingToThingGroup", &arn)?;
        }
        if let Some(group) = &wish.billing_group {
            let group_arn = billing_group_arn(cx, group);
            cx.authorize("iot:DescribeBillingGroup", &group_arn)?;
            self.registry.billing_group(group)?;
            cx.authorize("iot:AddThingToBillingGroup", &group_arn)?;
            cx.authorize("iot:AddThingToBillingGroup", &arn)?;
        }
        cx.authorize("iot:AttachThingPrincipal", &arn)?;
        Ok(plan)
    }

    /// What the overrides say of a thing that is there already.
    fn planned(&self, wish: &ThingWish) -> Result<ThingPlan, AwsError> {
        let Ok(thing) = self.registry.thing(&wish.name) else { return Ok(ThingPlan::Create) };
        let mut update = ThingUpdate::default();
        let wanted = wish.attributes.as_ref().filter(|wanted| **wanted != thing.attributes);
        match (wanted, wish.overrides.attributes) {
            (None, _) | (_, Override::DoNothing) => {}
            (Some(wanted), Override::Replace) => update.attributes = Some((wanted.clone(), false)),
            (Some(wanted), Override::Merge) => update.attributes = Some((wanted.clone(), true)),
            (Some(_), Override::Fail) => return Err(conflict(&wish.name, "attributes")),
        }
        let wanted = wish.thing_type.as_ref().filter(|wanted| thing.thing_type.as_deref() != Some(wanted.as_str()));
        match (wanted, wish.overrides.thing_type) {
            (None, _) | (_, Override::DoNothing) => {}
            (Some(_), Override::Fail) => return Err(conflict(&wish.name, "thing type")),
            (Some(wanted), _) => update.thing_type = Some(wanted.clone()),
        }
        let differs = thing.groups.len() != wish.groups.len()
            || wish.groups.iter().any(|group| !thing.groups.contains(group.as_str()));
        if differs && !wish.groups.is_empty() && wish.overrides.groups == Override::Fail {
            return Err(conflict(&wish.name, "thing groups"));
        }
        Ok(if update == ThingUpdate::default() { ThingPlan::Keep } else { ThingPlan::Update(update) })
    }

    fn put_thing(&mut self, cx: &mut Cx<'_>, wish: &ThingWish, plan: ThingPlan) -> Result<(), AwsError> {
        let is_new = matches!(plan, ThingPlan::Create);
        let (registry, quotas) = self.registry_and_quotas(cx);
        match plan {
            ThingPlan::Create => {
                let attributes: BTreeMap<String, String> = wish.attributes.clone().unwrap_or_default();
                registry.create_thing(cx, quotas, &wish.name, wish.thing_type.as_deref(), attributes)?;
                done(cx, "CreateThing");
            }
            ThingPlan::Update(update) => {
                registry.update_thing(cx, quotas, &wish.name, update)?;
                done(cx, "UpdateThing");
            }
            ThingPlan::Keep => {}
        }
        if is_new || wish.overrides.groups != Override::DoNothing {
            self.put_into_groups(cx, wish, is_new)?;
        }
        if let Some(group) = &wish.billing_group {
            self.registry.add_to_billing_group(&wish.name, group)?;
            done(cx, "AddThingToBillingGroup");
        }
        Ok(())
    }

    fn put_into_groups(&mut self, cx: &mut Cx<'_>, wish: &ThingWish, is_new: bool) -> Result<(), AwsError> {
        if !is_new && wish.overrides.groups == Override::Replace {
            let others = self.registry.thing(&wish.name)?.groups.clone();
            for other in others.iter().filter(|other| !wish.groups.iter().any(|group| **group == ***other)) {
                cx.authorize("iot:RemoveThingFromThingGroup", &thing_group_arn(cx, other))?;
                self.registry.remove_from_thing_group(cx, &wish.name, other)?;
                done(cx, "RemoveThingFromThingGroup");
            }
        }
        for group in &wish.groups {
            let (registry, quotas) = self.registry_and_quotas(cx);
            registry.add_to_thing_group(cx, quotas, &wish.name, group)?;
            done(cx, "AddThingToThingGroup");
        }
        Ok(())
    }

    /// Names of the policies to attach, with the document of one that has to be made: it is called after its hash.
    fn plan_policies(&self, cx: &mut Cx<'_>, wish: &Wish) -> Result<Vec<(String, Option<String>)>, AwsError> {
        let certificate = certificate_arn(cx, &wish.certificate);
        let mut policies = Vec::new();
        for policy in &wish.policies {
            let (name, document) = match policy {
                PolicyWish::Named(name) => (name.clone(), None),
                PolicyWish::Document(text) => (hex::encode(Sha256::digest(text)), Some(text.clone())),
            };
            let arn = policy_arn(cx, &name);
            cx.authorize("iot:GetPolicy", &arn)?;
            let document = document.filter(|_| self.registry.policy(&name).is_err());
            if document.is_some() {
                cx.authorize("iot:CreatePolicy", &arn)?;
            } else {
                self.registry.policy(&name)?;
            }
            cx.authorize("iot:AttachPolicy", &certificate)?;
            policies.push((name, document));
        }
        Ok(policies)
    }

    /// A certificate that waited for its activation becomes what the template says.
    fn set_status_of(&mut self, cx: &mut Cx<'_>, id: &str, active: bool) -> Result<(), AwsError> {
        let status = if active { CertificateStatus::Active } else { CertificateStatus::Inactive };
        self.set_certificate_status(cx, id, status)?;
        done(cx, "UpdateCertificate");
        Ok(())
    }
}

fn conflict(thing: &str, what: &str) -> AwsError {
    let message = format!("the thing {thing} is there already with other {what}");
    AwsError::new("ResourceConflictsException", message).status(409)
}

/// Counts a call that the registration made.
fn done(cx: &mut Cx<'_>, operation: &'static str) {
    cx.meter.call("iot", operation, Outcome::Ok);
}

/// An event that a device was registered, or why not.
pub(super) fn tell(cx: &Cx<'_>, kind: &'static str, template: &str, client: &str, certificate: &str, why: &str) {
    let fields = [("client", client.into()), ("certificate", certificate.into()), ("reason", why.into())];
    cx.trace.event(Level::Call, cx.now, "iot", kind, template, &fields);
}
