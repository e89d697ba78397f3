//! Changes and deletions of CloudFormation resources.

use serde_json::Value;

use super::Lambda;
use super::function::FunctionInfo;
use super::rest::function_not_found;
use crate::core::ports::Streams;
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};
use world::time::Time;
use world::trace::Level;

impl Lambda {
    /// Changes a resource in place.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        resource: &Resource,
        physical_id: &str,
        _: &Value,
    ) -> Result<Provisioned, AwsError> {
        let (operation, result) = match resource.kind.as_str() {
            "AWS::Lambda::Function" => ("UpdateFunctionConfiguration", self.update_function(cx, resource, physical_id)),
            "AWS::Lambda::EventSourceMapping" => {
                ("UpdateEventSourceMapping", self.reprovision_mapping(cx, streams, resource, physical_id))
            }
            "AWS::Lambda::EventInvokeConfig" => {
                ("UpdateFunctionEventInvokeConfig", self.put_retention(cx, resource, false))
            }
            "AWS::Lambda::Alias" => ("UpdateAlias", self.declare_alias(cx, resource, false)),
            // Every change of a permission is a replacement.
            kind => return Err(AwsError::not_modelled(format!("changing a resource of type {kind}"))),
        };
        cx.meter.call("lambda", operation, result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        result
    }

    fn update_function(&mut self, cx: &mut Cx<'_>, resource: &Resource, name: &str) -> Result<Provisioned, AwsError> {
        let function = self.functions.get(name).ok_or_else(|| function_not_found(cx, name))?;
        let info = function.changed(cx, resource)?;
        self.check_reservation(cx, name, info.reserved_concurrency)?;
        let ready = self.change_function(cx, info)?;
        let provisioned = self.functions[name].provisioned();
        Ok(if ready > cx.now { provisioned.ready_at(ready) } else { provisioned })
    }

    /// Changes a function that exists, and answers when that is done.
    pub(super) fn change_function(&mut self, cx: &mut Cx<'_>, info: FunctionInfo) -> Result<Time, AwsError> {
        let name = info.name.clone();
        let number = self.revisions + 1;
        let function = self.functions.get_mut(&name).ok_or_else(|| function_not_found(cx, &name))?;
        let role_before = function.info.role_arn.clone();
        let ready = function.change(cx, info, number)?;
        if ready > cx.now {
            self.revisions = number;
            let fields = [("revision", number.into()), ("key", function.info.code.1.as_str().into())];
            cx.trace.event(Level::Run, cx.now, "lambda", "update", &name, &fields);
        }
        if function.info.role_arn != role_before {
            self.follow_roles(cx, &name);
        }
        Ok(ready)
    }

    /// Deletes a resource. Invocations that run end; mappings of a function that is gone stay and fail, as on AWS.
    pub fn delete(
        &mut self,
        cx: &mut Cx<'_>,
        _: &mut dyn Streams,
        resource: &Resource,
        physical_id: &str,
    ) -> Result<(), AwsError> {
        let operation = match resource.kind.as_str() {
            "AWS::Lambda::Function" => {
                self.functions.remove(physical_id);
                "DeleteFunction"
            }
            "AWS::Lambda::Version" => {
                self.delete_qualified(cx, physical_id)?;
                "DeleteFunction"
            }
            "AWS::Lambda::Alias" => {
                self.delete_qualified(cx, physical_id)?;
                "DeleteAlias"
            }
            "AWS::Lambda::EventSourceMapping" => {
                self.delete_mapping(cx, physical_id);
                "DeleteEventSourceMapping"
            }
            "AWS::Lambda::Permission" => {
                self.remove_permission(physical_id);
                "RemovePermission"
            }
            "AWS::Lambda::EventInvokeConfig" => {
                self.reset_retention(physical_id);
                "DeleteFunctionEventInvokeConfig"
            }
            kind => return Err(AwsError::not_modelled(format!("deleting a resource of type {kind}"))),
        };
        cx.meter.call("lambda", operation, Outcome::Ok);
        Ok(())
    }
}
