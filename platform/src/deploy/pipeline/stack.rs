//! What the stack Pipeline owns: the pipeline, its build, its artifacts, its roles.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::references;
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
    let build_logs = add_logs(&mut template, settings, "BuildLogs", "build");
    let build_role = template.add("BuildRole", roles::build(settings, &bucket, &build_logs));
    let project = build::project(settings, pipeline, build_role.arn(), key.clone(), build_logs.name());
    let project = template.add("Build", project);
    let events_logs = add_logs(&mut template, settings, "RegistryEventsLogs", "registry-events");
    let events_role = roles::add_registry_events(&mut template, naming, &bucket, &events_logs);
    let events = build::registry_events(naming, events_role.arn(), key.clone(), events_logs.name());
    let events = template.add("RegistryEvents", events);
    let deployment = roles::add_deployment(&mut template, settings);
    let projects = [project.arn(), events.arn()];
    let role = template.add("PipelineRole", roles::pipeline(naming, pipeline, &bucket, projects, deployment.arn()));
    let source = Action::source(&pipeline.connection_arn, &pipeline.repository, &pipeline.branch, SOURCE);
    let mut all = vec![
        codepipeline::Stage::in_order("source", [source]),
        codepipeline::Stage::in_order("build", [Action::build(project.name(), SOURCE, TEMPLATES)]),
    ];
    all.extend(deployments(naming, stacks, &deployment.arn(), &events.name()));
    template.add("Pipeline", Pipeline::new(naming.name("platform"), role.arn(), bucket.name(), key, all));
    template
}

fn add_logs(template: &mut Template, settings: &Settings, id: &str, what: &str) -> Handle<LogGroup> {
    let naming = Naming::new(settings);
    let group = LogGroup {
        log_group_name: logging::platform_log_group(naming, what),
        retention_in_days: settings.retention.log_days,
        kms_key_id: security::Outputs::new(naming).logs_key_arn.read(),
    };
    template.add_data(id, group)
}

fn add_bucket(template: &mut Template, naming: Naming<'_>, key: Expr) -> Handle<Bucket> {
    let access_logs = logging::Outputs::new(naming).access_logs_bucket_name.read();
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
    // A bucket that outlives its stack keeps its policy.
    template.add_data("ArtifactPolicy", BucketPolicy::tls_only(&bucket, []));
    bucket
}

/// One stage of the pipeline for each stage of the platform after the foundation.
fn deployments(naming: Naming<'_>, stacks: &[Stack], role_arn: &Expr, events: &Expr) -> Vec<codepipeline::Stage> {
    let mut stages: Vec<(Stage, Vec<&Stack>)> = Vec::new();
    for stack in stacks.iter().filter(|stack| stack.stage != Stage::Foundation) {
        match stages.last_mut() {
            Some((stage, members)) if *stage == stack.stage => members.push(stack),
            _ => stages.push((stack.stage, vec![stack])),
        }
    }
    let deployment = |(stage, members): (Stage, Vec<&Stack>)| {
        let mut steps = Vec::new();
        for (n, wave) in waves(&members).iter().enumerate() {
            steps.extend(deploy_wave(naming, n + 1, wave, role_arn));
        }
        if stage == Stage::Ingest {
            // The device tagger waits for them.
            steps.push(vec![Action::run("registry-events", events.clone(), TEMPLATES)]);
        }
        codepipeline::Stage::in_steps(stage.to_string(), steps)
    };
    stages.into_iter().map(deployment).collect()
}

/// The stacks of a stage in waves: the change sets of a wave are made before anything of it is executed. A stack that reads
/// what a stack before it creates begins a new wave, because CloudFormation looks the value up when it makes the change set.
fn waves<'s>(members: &[&'s Stack]) -> Vec<Vec<&'s Stack>> {
    let mut waves: Vec<Vec<&Stack>> = Vec::new();
    let mut published: BTreeSet<String> = BTreeSet::new();
    for stack in members {
        let template: Value = serde_json::from_str(&stack.template.to_json()).expect("a template is JSON");
        let begins = waves.is_empty() || !references::read(&template).is_disjoint(&published);
        if begins {
            waves.push(Vec::new());
            published.clear();
        }
        waves.last_mut().expect("a wave has begun").push(stack);
        published.extend(references::published(&template).into_iter().map(str::to_owned));
    }
    waves
}

/// The change sets of a wave, all at the same time; the question whether to execute what they show; their execution, one
/// after the other.
fn deploy_wave(naming: Naming<'_>, n: usize, wave: &[&Stack], role_arn: &Expr) -> Vec<Vec<Action>> {
    let prefix = naming.name("");
    let names: Vec<&str> = wave.iter().map(|stack| stack.name.as_str()).collect();
    let sets = || {
        names.iter().map(|stack| {
            let action = stack.strip_prefix(&prefix).unwrap_or(stack);
            ChangeSet { stack, name: CHANGE_SET, action }
        })
    };
    let make = |set: ChangeSet<'_>| Action::create_change_set(&set, role_arn.clone(), TEMPLATES, &file_name(set.stack));
    let question = format!("Execute the change set \"{CHANGE_SET}\" of {}?", names.join(", "));
    let mut steps = vec![sets().map(make).collect(), vec![Action::approval(format!("approve-{n}"), question)]];
    steps.extend(sets().map(|set| vec![Action::execute_change_set(&set)]));
    steps
}
