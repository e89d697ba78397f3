//! Destroying: all stacks in reverse order. What would keep a stack from going is found before anything is deleted.

use std::collections::BTreeMap;

use aws_types::SdkConfig;

use super::apply::Options;
use super::aws::{Aws, Existing};
use super::error::{CallError, CallErrorKind, DeployError};
use super::plan::{Plan, Planned};
use super::report::{Approver, Destruction, News, Reporter, Retained};
use super::watch::{self, Condition};

/// Deletes all stacks of a plan in reverse order. Answers what was deleted and what outlives it.
pub async fn destroy(
    config: &SdkConfig,
    plan: &Plan,
    options: &Options,
    reporter: &mut dyn Reporter,
    approver: &mut dyn Approver,
) -> Result<Destruction, DeployError> {
    let aws = Aws::new(config)?;
    let identity = aws.identity_for(plan).await?;
    let patience = options.patience();
    let mut present: Vec<(&Planned, Existing)> = Vec::new();
    for planned in plan.stacks.iter().rev() {
        let place = (planned.name.as_str(), planned.stage);
        if let Some(existing) = watch::until_free(&aws, place, patience, reporter).await? {
            present.push((planned, existing));
        }
    }
    let (env, region) = (plan.env.clone(), plan.region.clone());
    let mut destruction = Destruction { env, account: identity.account, region, ..Destruction::default() };
    let mut in_the_way = Vec::new();
    for (planned, existing) in &present {
        destruction.stacks.push(planned.name.clone());
        if watch::condition(&existing.status) == Condition::Empty {
            // It has a change set and nothing else.
            continue;
        }
        let stack = planned.name.as_str();
        for (resource, retained) in resources(&aws, stack).await? {
            if retained {
                destruction.retained.push(resource);
            } else if resource.resource_type == "AWS::S3::Bucket" && holds_objects(&aws, &resource, reporter).await? {
                in_the_way.push((stack.to_owned(), resource.physical_id));
            }
        }
    }
    if !in_the_way.is_empty() {
        return Err(DeployError::BucketsNotEmpty(in_the_way));
    }
    if present.is_empty() {
        return Ok(destruction);
    }
    if !approver.approve_destruction(&destruction) {
        return Err(DeployError::NotConfirmed);
    }
    let mut stage = None;
    for (planned, existing) in &present {
        if stage != Some(planned.stage) {
            reporter.report(&News::StageBegins(planned.stage));
            stage = Some(planned.stage);
        }
        watch::delete(&aws, (&planned.name, planned.stage), existing, patience, reporter).await?;
        reporter.report(&News::StackDone { stack: planned.name.clone(), status: "DELETE_COMPLETE".to_owned() });
    }
    Ok(destruction)
}

/// The resources of a stack that exist, each with whether it outlives the stack, as the deployed template says.
async fn resources(aws: &Aws, stack: &str) -> Result<Vec<(Retained, bool)>, CallError> {
    let template = aws.template(stack).await?;
    let policies: BTreeMap<&str, &str> = template["Resources"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(id, resource)| Some((id.as_str(), resource["DeletionPolicy"].as_str()?)))
        .collect();
    let mut found = Vec::new();
    for resource in aws.resources(stack).await? {
        let (Some(logical_id), Some(physical_id)) = (resource.logical_resource_id(), resource.physical_resource_id())
        else {
            continue;
        };
        if resource.resource_status().is_some_and(|status| status.as_str() == "DELETE_COMPLETE") {
            continue;
        }
        let retained = policies.get(logical_id).is_some_and(|policy| policy.starts_with("Retain"));
        let resource = Retained {
            stack: stack.to_owned(),
            logical_id: logical_id.to_owned(),
            resource_type: resource.resource_type().unwrap_or_default().to_owned(),
            physical_id: physical_id.to_owned(),
        };
        found.push((resource, retained));
    }
    Ok(found)
}

/// Whether a bucket holds an object, a version or a delete marker. Where that cannot be told, CloudFormation will.
async fn holds_objects(aws: &Aws, bucket: &Retained, reporter: &mut dyn Reporter) -> Result<bool, DeployError> {
    let name = bucket.physical_id.as_str();
    match aws.s3.list_object_versions().bucket(name).max_keys(1).send().await {
        Ok(answer) => Ok(!answer.versions().is_empty() || !answer.delete_markers().is_empty()),
        Err(error) if super::artifact::is_missing(&error) => Ok(false),
        Err(error) => {
            let error = CallError::of(format!("looking whether the bucket {name} is empty"), &error);
            match error.kind {
                CallErrorKind::Denied | CallErrorKind::Other => {
                    reporter.report(&News::NotChecked(error.to_string()));
                    Ok(false)
                }
                _ => Err(error.into()),
            }
        }
    }
}
