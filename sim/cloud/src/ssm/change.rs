//! Changes and deletions of parameters.

use serde_json::Value;

use super::{ParameterProperties, Ssm, check_value};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

impl Ssm {
    /// Changes a parameter's value, description or tags.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        _previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        let properties: ParameterProperties = resource.parse()?;
        if properties.r#type != "String" {
            return Err(resource.refuse(format!("parameter type {} is not modelled", properties.r#type)));
        }
        check_value(cx, &properties.value)?;
        let versions = self.parameters.get_mut(physical_id).ok_or_else(|| {
            AwsError::new("ParameterNotFound", format!("The parameter {physical_id} does not exist."))
        })?;
        versions.push(properties.value.clone());
        cx.meter.call("ssm", "PutParameter", Outcome::Ok);
        Ok(Provisioned::new(physical_id).attribute("Type", "String").attribute("Value", properties.value))
    }

    /// Deletes a parameter.
    pub fn delete(&mut self, cx: &mut Cx<'_>, _resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        self.parameters.remove(physical_id);
        cx.meter.call("ssm", "DeleteParameter", Outcome::Ok);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::Principal;
    use crate::core::cx::CxParts;
    use world::seed::Seed;
    use world::time::Time;
    use world::trace::Trace;

    fn resource(kind: &str, properties: Value) -> Resource {
        Resource { stack: "stack".to_owned(), logical_id: "It".to_owned(), kind: kind.to_owned(), properties }
    }

    fn act<T>(act: impl FnOnce(&mut Cx<'_>) -> T) -> T {
        let caller = Principal::new("arn:aws:iam::123456789012:root");
        let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        act(&mut parts.cx(Time::EPOCH, &caller))
    }

    #[test]
    fn a_changed_value_is_read_and_a_deleted_parameter_is_gone() {
        let parameter =
            |value: &str| resource("AWS::SSM::Parameter", json!({"Name": "/a", "Type": "String", "Value": value}));
        let mut ssm = Ssm::default();
        act(|cx| {
            ssm.provision(cx, &parameter("one")).unwrap();
            let changed = ssm.update(cx, &parameter("two"), "/a", &Value::Null).unwrap();
            assert_eq!((changed.attributes["Value"].as_str(), ssm.get("/a")), ("two", Some("two")));
            assert_eq!([1, 2, 3].map(|version| ssm.get_version("/a", version)), [Some("one"), Some("two"), None]);
            assert!(ssm.update(cx, &parameter("{{a}}"), "/a", &Value::Null).is_err());
            assert_eq!(ssm.get("/a"), Some("two"), "a refused change changes nothing");
            ssm.delete(cx, &parameter("two"), "/a").unwrap();
            assert_eq!(ssm.get("/a"), None);
            ssm.delete(cx, &parameter("two"), "/a").unwrap();
        });
    }
}
