//! How stacks refer to one another: SSM parameters that one template declares and others read.

use std::collections::BTreeSet;

use serde_json::Value;

/// What begins a dynamic reference to a parameter.
const DYNAMIC: &str = "{{resolve:ssm:";

/// Paths of the parameters that a template declares, in its order.
pub(super) fn published(template: &Value) -> Vec<&str> {
    let resources = template["Resources"].as_object().into_iter().flat_map(|resources| resources.values());
    let parameters = resources.filter(|resource| resource["Type"] == "AWS::SSM::Parameter");
    parameters.filter_map(|parameter| parameter["Properties"]["Name"].as_str()).collect()
}

/// Paths of the parameters that a template reads: by dynamic references, and as defaults of template parameters that
/// take their value from Systems Manager.
pub(super) fn read(template: &Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    visit(template, &mut |text| {
        for rest in text.split(DYNAMIC).skip(1) {
            if let Some((reference, _)) = rest.split_once("}}") {
                let path = reference.split(':').next().unwrap_or(reference);
                paths.insert(path.to_owned());
            }
        }
    });
    let parameters = template["Parameters"].as_object().into_iter().flat_map(|parameters| parameters.values());
    for parameter in parameters {
        let kind = parameter["Type"].as_str().unwrap_or_default();
        if let (true, Some(path)) = (kind.starts_with("AWS::SSM::Parameter::"), parameter["Default"].as_str()) {
            paths.insert(path.to_owned());
        }
    }
    paths
}

/// Every text inside a value.
fn visit(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(items) => items.iter().for_each(|item| visit(item, see)),
        Value::Object(members) => members.values().for_each(|member| visit(member, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_found_in_texts_functions_and_parameters() {
        let template = json!({
            "Parameters": {
                "Given": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/p/given"},
                "Other": {"Type": "String", "Default": "/p/other"},
            },
            "Resources": {
                "Out": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/p/out", "Value": "x"}},
                "In": {"Type": "AWS::S3::Bucket", "Properties": {
                    "A": "{{resolve:ssm:/p/a}}/{{resolve:ssm:/p/b:3}}",
                    "B": [{"Fn::Sub": "${AWS::Region}:{{resolve:ssm:/p/c}}"}],
                }},
            },
        });
        assert_eq!(published(&template), ["/p/out"]);
        assert_eq!(read(&template).into_iter().collect::<Vec<_>>(), ["/p/a", "/p/b", "/p/c", "/p/given"]);
    }
}
