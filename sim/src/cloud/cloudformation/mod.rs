//! AWS CloudFormation: creates the account's resources from the templates that production deploys.
//!
//! Modelled: creation of a stack; order by `DependsOn`, `Ref`, `Fn::GetAtt` and `Fn::Sub`; `Ref`, `Fn::GetAtt`, `Fn::Sub`
//! (string and list form), `Fn::Join`, the pseudo parameters AccountId, Region, Partition, StackName, StackId, URLSuffix
//! and NoValue; `{{resolve:ssm:name}}`; Outputs (evaluated, with texts as values); the size of a body that is given
//! directly, the number of resources, alphanumeric logical ids. Partly: `DeletionPolicy`, `UpdateReplacePolicy` and
//! `Metadata` are accepted and have no effect before updates and deletion exist.
//! Refused, by name: every other section, resource attribute and intrinsic function; exports; versions in dynamic
//! references; unknown types and properties.

mod create;
mod intrinsics;
mod template;

pub use create::{Stack, create_stack};
pub use intrinsics::Scope;
pub use template::{Template, TemplateOutput, TemplateResource};
