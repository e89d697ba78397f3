//! Deployment: the stages and their stacks, the files that a deployment tool takes, and the deployment itself.
//!
//! Everything that talks to AWS is a function of one `SdkConfig`. Clock and sleep come with it, so nothing here waits by
//! itself; what happens is told to a [`Reporter`], what must be decided is asked of an [`Approver`].
//!
//! Not here: terminals and files (the command line), and the SDK configuration itself.

mod apply;
mod artifact;
mod aws;
mod bucket;
mod change_set;
mod destroy;
mod diagram;
mod diff;
mod doctor;
mod error;
pub mod package;
mod pipeline;
mod plan;
mod quotas;
mod references;
mod registry_events;
mod report;
mod stages;
mod status;
pub mod synth;
mod watch;

#[cfg(test)]
mod deploy_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod statement_tests;
#[cfg(test)]
mod tests;

pub use apply::{Options, deploy};
pub use artifact::{Artifact, architecture, artifacts};
pub use aws::Identity;
pub use destroy::destroy;
pub use diagram::{listing, markdown, mermaid};
pub use diff::{Kind, PropertyDiff, ResourceDiff, StackDiff, compare};
pub use doctor::{Finding, Level, doctor};
pub use error::{CallError, CallErrorKind, DeployError, StackFailure};
pub use plan::{Plan, PlanError, Planned};
pub use report::{
    ApproveAll, Approver, Change, ChangeSet, Deployed, Destruction, Event, FailedResource, News, Replacement, Reporter,
    Retained, Silent, Step,
};
pub use stages::{Stack, Stage, stacks};
pub use status::{Match, StackStatus, diff_deployed, diff_plans, status};
