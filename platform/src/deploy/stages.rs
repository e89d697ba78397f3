//! The stages and their stacks, in the order in which they are deployed.

use std::fmt;

use serde::Serialize;

use super::pipeline;
use crate::cross_cutting::{cost_monitoring, identity, logging, security};
use crate::ingest::{device_registry, iot_core};
use crate::insights::{analytics, dashboard};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::store::data_lake;
use crate::template::Template;
use crate::transform::{anomaly_detection, enrichment, streaming};

/// A stage. Stages are deployed in this order; a stack refers to stacks of its own stage and of the stage before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// What must exist before everything else: keys, the permissions boundary, log groups.
    Foundation,
    /// Devices and their messages.
    Ingest,
    /// From messages to trustworthy readings.
    Transform,
    /// The lake.
    Store,
    /// Answers.
    Insights,
    /// Costs and identities.
    CrossCutting,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stage::Foundation => "foundation",
            Stage::Ingest => "ingest",
            Stage::Transform => "transform",
            Stage::Store => "store",
            Stage::Insights => "insights",
            Stage::CrossCutting => "cross-cutting",
        })
    }
}

/// A stack of one environment.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Name, unique in an account and Region.
    pub name: String,
    /// Stage.
    pub stage: Stage,
    /// Template.
    pub template: Template,
}

/// Makes the template of a stack.
type Synthesize = fn(&Settings) -> Template;

/// All stacks of an environment in the order in which they are deployed. Settings that were not validated may give
/// templates that AWS refuses.
pub fn stacks(settings: &Settings) -> Vec<Stack> {
    let naming = Naming::new(settings);
    let all: [(Stage, &str, Synthesize); 12] = [
        (Stage::Foundation, security::STACK, security::stack),
        (Stage::Foundation, logging::STACK, logging::stack),
        (Stage::Ingest, iot_core::STACK, iot_core::stack),
        (Stage::Ingest, device_registry::STACK, device_registry::stack),
        (Stage::Transform, streaming::STACK, streaming::stack),
        (Stage::Transform, enrichment::STACK, enrichment::stack),
        (Stage::Transform, anomaly_detection::STACK, anomaly_detection::stack),
        (Stage::Store, data_lake::STACK, data_lake::stack),
        (Stage::Insights, analytics::STACK, analytics::stack),
        (Stage::Insights, dashboard::STACK, dashboard::stack),
        (Stage::CrossCutting, cost_monitoring::STACK, cost_monitoring::stack),
        (Stage::CrossCutting, identity::STACK, identity::stack),
    ];
    let made = |(stage, name, synthesize): (Stage, &str, Synthesize)| Stack {
        name: naming.name(name),
        stage,
        template: synthesize(settings),
    };
    let mut stacks: Vec<Stack> = all.into_iter().map(made).collect();
    if let Some(wanted) = &settings.pipeline {
        let template = pipeline::stack(settings, wanted, &stacks);
        stacks.push(Stack { name: naming.name(pipeline::STACK), stage: Stage::CrossCutting, template });
    }
    stacks
}
