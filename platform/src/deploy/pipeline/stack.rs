//! What the stack Pipeline owns: the pipeline, its build, its artifacts, its roles.

use super::super::synth::file_name;
use super::{build, roles};
use crate::cross_cutting::{logging, security};
use crate::deploy::stages::{Stack, Stage};
use crate::naming::Naming;
use crate::settings::{self, Settings};
use crate::template::codepipeline::{self, Action, Artifact, ChangeSet, Pipeline};
use crate::template::logs::LogGroup;
use crate::template::s3::{Bucket, BucketPolicy, LifecycleRule};
use crate::template::{Expr, Handle, Template};

/// Name of the stack inside an environment.
pub const STACK: &str = "pipeline";

/// The repository at one commit.
const SOURCE: Artifact = Artifact::named("Source");
/// The templates of that commit.
const TEMPLATES: Artifact = Artifact::named("Templates");
/// Name of the change sets that the pipeline makes.
const CHANGE_SET: &str = "pipeline";
/// How long artifacts are kept: long enough to approve a stage.
const ARTIFACT_DAYS: u32 = 30;

/// The stack's template. The pipeline deploys `stacks`, which are in the order of deployment.
pub fn stack(settings: &Settings, pipeline: &settings::Pipeline, stacks: &[Stack]) -> Template {
    let naming = Naming::new(settings);
    let security = security::Outputs::new(naming);
    let key = security.data_key_arn.read();
    let description = "The pipeline that deploys the platform, stage by stage.";
    let mut template = Template::of_stack(settings, STACK, description);
    let bucket = add_bucket(&mut template, naming, key.clone());
    let group = LogGroup {
        log_group_name: logging::platform_log_group(naming, "build"),
        retention_in_days: settings.retention.log_days,
        kms_key_id: security.logs_key_arn.read(),
    };
    let group = template.add_data("BuildLogs", group);
    let build_role = template.add("BuildRole", roles::build(settings, &bucket, &group));
    let project = build::project(settings, pipeline, build_role.arn(), key.clone(), group.name());
    let project = template.add("Build", project);
    let deployment = roles::add_deployment(&mut template, settings);
    let role = roles::pipeline(naming, pipeline, &bucket, project.arn(), deployment.arn());
    let role = template.add("PipelineRole", role);
    let source = Action::source(&pipeline.connection_arn, &pipeline.repository, &pipeline.branch, SOURCE);
    let mut all = vec![
        codepipeline::Stage::in_order("source", [source]),
        codepipeline::Stage::in_order("build", [Action::build(project.name(), SOURCE, TEMPLATES)]),
    ];
    all.extend(deployments(naming, stacks, &deployment.arn()));
    template.add("Pipeline", Pipeline::new(naming.name("platform"), role.arn(), bucket.name(), key, all));
    template
}

fn add_bucket(template: &mut Template, naming: Naming<'_>, key: Expr) -> Handle<Bucket> {
    let access_logs = logging::Outputs::new(naming).access_logs_bucket_name.read();
    // Everything in it can be built again, so it goes with its stack in every environment.
    let bucket = Bucket::private(naming.bucket("pipeline"))
        .encrypted_by(key)
        .versioned()
        .logging_to(access_logs, "pipeline/")
        .with_lifecycle([
            LifecycleRule::expire("artifacts", ARTIFACT_DAYS),
            LifecycleRule::expire_noncurrent("replaced", ARTIFACT_DAYS),
            LifecycleRule::abort_uploads("incomplete", 7),
        ]);
    let bucket = template.add_data("ArtifactBucket", bucket);
    template.add("ArtifactPolicy", BucketPolicy::tls_only(&bucket, []));
    bucket
}

/// One stage of the pipeline for each stage of the platform: an approval, then the change set of each stack.
fn deployments(naming: Naming<'_>, stacks: &[Stack], role_arn: &Expr) -> Vec<codepipeline::Stage> {
    let mut stages: Vec<(Stage, Vec<&Stack>)> = Vec::new();
    for stack in stacks {
        match stages.last_mut() {
            Some((stage, members)) if *stage == stack.stage => members.push(stack),
            _ => stages.push((stack.stage, vec![stack])),
        }
    }
    let prefix = naming.name("");
    let deployment = |(stage, members): (Stage, Vec<&Stack>)| {
        let names: Vec<&str> = members.iter().map(|stack| stack.name.as_str()).collect();
        let question = format!("Deploy the stage {stage}: {}?", names.join(", "));
        let mut actions = vec![Action::approval("approve", question)];
        for stack in members {
            let action = stack.name.strip_prefix(&prefix).unwrap_or(&stack.name);
            let change_set = ChangeSet { stack: &stack.name, name: CHANGE_SET, action };
            let template = file_name(&stack.name);
            actions.push(Action::create_change_set(&change_set, role_arn.clone(), TEMPLATES, &template));
            actions.push(Action::execute_change_set(&change_set));
        }
        codepipeline::Stage::in_order(stage.to_string(), actions)
    };
    stages.into_iter().map(deployment).collect()
}
