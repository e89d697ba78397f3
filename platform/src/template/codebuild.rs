//! AWS CodeBuild.

use serde::Serialize;

use super::{Expr, Handle, Resource, Tagging};

/// `AWS::CodeBuild::Project` that builds for a pipeline.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Project {
    name: String,
    description: &'static str,
    service_role: Expr,
    encryption_key: Expr,
    timeout_in_minutes: u32,
    environment: Environment,
    source: Source,
    artifacts: Artifacts,
    logs_config: LogsConfig,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    r#type: &'static str,
    compute_type: &'static str,
    image: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Source {
    r#type: &'static str,
    build_spec: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Artifacts {
    r#type: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LogsConfig {
    cloud_watch_logs: CloudWatchLogs,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CloudWatchLogs {
    status: &'static str,
    group_name: Expr,
}

/// A project that builds for a pipeline on Linux.
#[derive(Clone, Debug)]
pub struct PipelineBuild {
    /// Name.
    pub name: String,
    /// For people.
    pub description: &'static str,
    /// Role.
    pub role_arn: Expr,
    /// ARN of the key that encrypts what is built.
    pub key_arn: Expr,
    /// Image of the machine.
    pub image: &'static str,
    /// Size of the machine.
    pub compute_type: &'static str,
    /// Longest run.
    pub timeout_minutes: u32,
    /// What is done, as JSON.
    pub build_spec: String,
    /// Log group.
    pub log_group_name: Expr,
}

impl From<PipelineBuild> for Project {
    fn from(build: PipelineBuild) -> Self {
        Project {
            name: build.name,
            description: build.description,
            service_role: build.role_arn,
            encryption_key: build.key_arn,
            timeout_in_minutes: build.timeout_minutes,
            environment: Environment {
                r#type: "LINUX_CONTAINER",
                compute_type: build.compute_type,
                image: build.image,
            },
            source: Source { r#type: "CODEPIPELINE", build_spec: build.build_spec },
            artifacts: Artifacts { r#type: "CODEPIPELINE" },
            logs_config: LogsConfig {
                cloud_watch_logs: CloudWatchLogs { status: "ENABLED", group_name: build.log_group_name },
            },
        }
    }
}

impl Resource for Project {
    const TYPE: &'static str = "AWS::CodeBuild::Project";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<Project> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }

    /// ARN.
    pub fn arn(&self) -> Expr {
        self.attribute("Arn")
    }
}
