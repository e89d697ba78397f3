//! AWS CodePipeline.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Expr, Handle, Resource, Tagging};

/// `AWS::CodePipeline::Pipeline` of the second type.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pipeline {
    name: String,
    pipeline_type: &'static str,
    execution_mode: &'static str,
    role_arn: Expr,
    artifact_store: ArtifactStore,
    stages: Vec<Stage>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ArtifactStore {
    r#type: &'static str,
    location: Expr,
    encryption_key: EncryptionKey,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EncryptionKey {
    r#type: &'static str,
    id: Expr,
}

/// A stage: actions that run one after the other or, where their order does not matter, at the same time.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Stage {
    name: String,
    actions: Vec<Action>,
}

/// An action of a stage.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Action {
    name: String,
    action_type_id: ActionType,
    run_order: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    configuration: BTreeMap<&'static str, Expr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    input_artifacts: Vec<Artifact>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    output_artifacts: Vec<Artifact>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ActionType {
    category: &'static str,
    owner: &'static str,
    provider: &'static str,
    version: &'static str,
}

/// What an action leaves for later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Artifact {
    name: &'static str,
}

impl Artifact {
    /// The artifact of this name.
    pub const fn named(name: &'static str) -> Self {
        Artifact { name }
    }

    /// A file in the artifact, as CloudFormation's actions name it.
    pub fn file(self, path: &str) -> String {
        format!("{}::{path}", self.name)
    }
}

impl Action {
    fn new<const C: usize>(
        name: impl Into<String>,
        category: &'static str,
        provider: &'static str,
        configuration: [(&'static str, Expr); C],
    ) -> Self {
        Action {
            name: name.into(),
            action_type_id: ActionType { category, owner: "AWS", provider, version: "1" },
            run_order: 1,
            configuration: configuration.into(),
            input_artifacts: Vec::new(),
            output_artifacts: Vec::new(),
        }
    }

    /// Takes a branch of a repository by way of a connection, at each change.
    pub fn source(connection_arn: &str, repository: &str, branch: &str, output: Artifact) -> Self {
        let configuration = [
            ("ConnectionArn", connection_arn.into()),
            ("FullRepositoryId", repository.into()),
            ("BranchName", branch.into()),
            ("DetectChanges", "true".into()),
        ];
        let action = Action::new("Source", "Source", "CodeStarSourceConnection", configuration);
        Action { output_artifacts: vec![output], ..action }
    }

    /// Runs a build.
    pub fn build(project: Expr, input: Artifact, output: Artifact) -> Self {
        let action = Action::new("Build", "Build", "CodeBuild", [("ProjectName", project)]);
        Action { input_artifacts: vec![input], output_artifacts: vec![output], ..action }
    }

    /// Runs a build that leaves nothing.
    pub fn run(name: &str, project: Expr, input: Artifact) -> Self {
        let action = Action::new(name, "Build", "CodeBuild", [("ProjectName", project)]);
        Action { input_artifacts: vec![input], ..action }
    }

    /// Waits until somebody approves.
    pub fn approval(name: impl Into<String>, question: String) -> Self {
        Action::new(name, "Approval", "Manual", [("CustomData", question.into())])
    }

    /// Makes a change set of a stack from a template, in place of one of the same name.
    pub fn create_change_set(change_set: &ChangeSet<'_>, role_arn: Expr, artifact: Artifact, template: &str) -> Self {
        let configuration = [
            ("ActionMode", "CHANGE_SET_REPLACE".into()),
            ("StackName", change_set.stack.into()),
            ("ChangeSetName", change_set.name.into()),
            ("TemplatePath", artifact.file(template).into()),
            ("Capabilities", "CAPABILITY_NAMED_IAM".into()),
            ("RoleArn", role_arn),
        ];
        let action =
            Action::new(format!("{}-change-set", change_set.action), "Deploy", "CloudFormation", configuration);
        Action { input_artifacts: vec![artifact], ..action }
    }

    /// Executes a change set.
    pub fn execute_change_set(change_set: &ChangeSet<'_>) -> Self {
        let configuration = [
            ("ActionMode", "CHANGE_SET_EXECUTE".into()),
            ("StackName", change_set.stack.into()),
            ("ChangeSetName", change_set.name.into()),
        ];
        Action::new(format!("{}-deploy", change_set.action), "Deploy", "CloudFormation", configuration)
    }
}

/// A change set that one action makes and another executes.
#[derive(Clone, Copy, Debug)]
pub struct ChangeSet<'a> {
    /// Stack.
    pub stack: &'a str,
    /// Name.
    pub name: &'a str,
    /// First part of the names of both actions.
    pub action: &'a str,
}

impl Stage {
    /// A stage whose actions run in this order.
    pub fn in_order(name: impl Into<String>, actions: impl IntoIterator<Item = Action>) -> Self {
        Stage::in_steps(name, actions.into_iter().map(|action| vec![action]))
    }

    /// A stage of steps that run in this order; the actions of a step run at the same time.
    pub fn in_steps(name: impl Into<String>, steps: impl IntoIterator<Item = Vec<Action>>) -> Self {
        let steps = steps.into_iter().enumerate();
        let numbered =
            |(n, step): (usize, Vec<Action>)| step.into_iter().map(move |action| Action { run_order: n + 1, ..action });
        Stage { name: name.into(), actions: steps.flat_map(numbered).collect() }
    }
}

impl Pipeline {
    /// A pipeline that keeps its artifacts in a bucket, encrypted by a key. Executions wait for one another.
    pub fn new(name: String, role_arn: Expr, bucket_name: Expr, key_arn: Expr, stages: Vec<Stage>) -> Self {
        Pipeline {
            name,
            pipeline_type: "V2",
            execution_mode: "QUEUED",
            role_arn,
            artifact_store: ArtifactStore {
                r#type: "S3",
                location: bucket_name,
                encryption_key: EncryptionKey { r#type: "KMS", id: key_arn },
            },
            stages,
        }
    }
}

impl Resource for Pipeline {
    const TYPE: &'static str = "AWS::CodePipeline::Pipeline";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<Pipeline> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }
}
