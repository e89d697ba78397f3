use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::*;
use crate::core::{AccountInfo, Limits, Provisioned};
use crate::ssm::Ssm;

fn parse(template: &Value) -> Result<Template, AwsError> {
    let limits = Limits::for_region("eu-west-1");
    Template::parse(&template.to_string(), &limits, limits.get("cloudformation", "template_body"))
}

fn refused(template: &Value) -> String {
    parse(template).expect_err("the template is wrong").message
}

fn order(template: &Value) -> Result<Vec<String>, String> {
    let template = parse(template).map_err(|e| e.message)?;
    let conditions = template.conditions.keys().map(|name| (name.clone(), name == "Yes")).collect();
    let order = creation_order(&template, &conditions).map_err(|e| e.message)?;
    Ok(order.into_iter().map(|(id, _)| id).collect())
}

const TOPIC: &str = "AWS::SNS::Topic";

#[test]
fn resources_come_after_what_they_refer_to() {
    let template = r#"{"Resources": {
        "A": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Fn::GetAtt": ["B", "TopicArn"]}}},
        "B": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Fn::Sub": "arn:${C}:${AWS::Region}:${!Literal}"}}},
        "C": {"Type": "AWS::SNS::Topic", "DependsOn": "D"},
        "D": {"Type": "AWS::SNS::Topic"}}}"#;
    assert_eq!(order(&serde_json::from_str(template).unwrap()).unwrap(), ["D", "C", "B", "A"]);
}

#[test]
fn branches_that_are_not_taken_need_nothing() {
    let choice = |condition: &str| {
        json!({"Conditions": {"Yes": {"Fn::Equals": [1, 1]}, "No": {"Fn::Equals": [1, 2]}}, "Resources": {
            "A": {"Type": TOPIC, "DependsOn": "B", "Properties": {
                "TopicName": {"Fn::If": [condition, {"Ref": "B"}, {"Ref": "AWS::NoValue"}]}}},
            "B": {"Type": TOPIC, "Condition": "No"},
        }})
    };
    assert_eq!(order(&choice("No")).unwrap(), ["A"]);
    assert!(order(&choice("Yes")).unwrap_err().contains("Unresolved resource dependencies [B]"));
}

#[test]
fn what_is_wrong_with_a_template_is_named() {
    let one = || json!({"Type": TOPIC});
    for (template, expected) in [
        (json!({"Resources": {"A": {"Type": TOPIC, "DependsOn": "Gone"}}}), "Unresolved resource dependencies [Gone]"),
        (json!({"Resources": {"A": {"Type": TOPIC, "Properties": {"TopicName": {"Ref": "Gone"}}}}}), "[Gone]"),
        (json!({"Resources": {"A": one()}, "Outputs": {"O": {"Value": {"Ref": "Gone"}}}}), "in the Outputs block"),
        (json!({"Resources": {}}), "At least one Resources member must be defined."),
        (json!({"Resources": {"A": {}}}), "[/Resources/A] Every Resources object must contain a Type member."),
        (json!({"Resources": {"A-B": one()}}), "Resource name A-B is non alphanumeric"),
        (json!({"Resources": {"A": {"Type": "AWS::No::Such"}}}), "Unrecognized resource types: [AWS::No::Such]"),
        (
            json!({"Resources": {"A": one()}, "Outputs": {"X": {"Value": null}}}),
            "[/Outputs/X/Value] 'null' values are not",
        ),
        (json!({"Resources": {"A": one()}, "Outputs": {"X": {"Description": "d"}}}), "missing field `Value`"),
        (json!({"Resources": {"A": one()}, "Outputs": {"X": {"Vaule": "v"}}}), "unknown field `Vaule`"),
        (json!({"Resources": {"A": one()}, "Rules": {}}), "the section Rules"),
        (json!({"Resources": {"A": one()}, "Transform": "AWS::LanguageExtensions"}), "the section Transform"),
        (json!({"Resources": {"A": {"Type": TOPIC, "UpdatePolicy": {}}}}), "UpdatePolicy of the resource A"),
        (json!({"Resources": {"A": {"Type": TOPIC, "DeletionPolicy": "Snapshot"}}}), "unknown variant `Snapshot`"),
        (json!({"Resources": {"A": {"Type": TOPIC, "Condition": "C"}}}), "Condition C of A is not defined"),
        (json!({"AWSTemplateFormatVersion": "2011-01-01", "Resources": {"A": one()}}), "AWSTemplateFormatVersion"),
    ] {
        let error = refused(&template);
        assert!(error.contains(expected), "{error}");
    }
    let limits = Limits::for_region("eu-west-1");
    for (body, expected) in [("{\"Resources\": ", "not well-formed. (line 1"), ("Resources:\n", "YAML")] {
        let error = Template::parse(body, &limits, 51_200).unwrap_err().message;
        assert!(error.contains(expected), "{error}");
    }
    let circle =
        json!({"Resources": {"A": {"Type": TOPIC, "DependsOn": "B"}, "B": {"Type": TOPIC, "DependsOn": ["A"]}}});
    assert_eq!(order(&circle).unwrap_err(), "Circular dependency between resources: [A, B]");
}

#[test]
fn templates_are_bounded() {
    let resources = |count: usize| {
        let resources: serde_json::Map<String, Value> =
            (0..count).map(|n| (format!("R{n}"), json!({"Type": TOPIC}))).collect();
        json!({ "Resources": resources })
    };
    assert_eq!(order(&resources(500)).unwrap().len(), 500);
    assert!(refused(&resources(501)).contains("Number of resources, 501, is greater than maximum allowed, 500"));
    let body = format!("{:<51201}", resources(1).to_string());
    let error = Template::parse(&body, &Limits::for_region("eu-west-1"), 51_200).unwrap_err();
    assert!(error.message.contains("less than or equal to 51200"), "{error}");
}

/// The value of an expression where a bucket, two parameters, a mapping, conditions and an export are there.
fn evaluate(expression: &Value) -> Result<Value, String> {
    let template = parse(&json!({
        "Parameters": {"Env": {"Type": "String", "Default": "dev"}, "Zones": {"Type": "CommaDelimitedList", "Default": "a, b"}},
        "Mappings": {"Sizes": {"dev": {"shards": "1"}, "prod": {"shards": "4"}}},
        "Conditions": {
            "IsProd": {"Fn::Equals": [{"Ref": "Env"}, "prod"]},
            "Not": {"Fn::Not": [{"Condition": "IsProd"}]},
            "Both": {"Fn::And": [{"Condition": "IsProd"}, {"Condition": "Not"}]},
            "Any": {"Fn::Or": [{"Condition": "IsProd"}, {"Condition": "Not"}]},
        },
        "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}},
    }))
    .unwrap();
    let account = AccountInfo { id: "123456789012".to_owned(), region: "eu-west-1".to_owned() };
    let created = BTreeMap::from([("Bucket".to_owned(), Provisioned::new("raw").attribute("Arn", "arn:aws:s3:::raw"))]);
    let ssm = Ssm::default();
    let parameters =
        resolve(&template.parameters, &IndexMap::new(), None, &ssm, &Limits::for_region("eu-west-1")).unwrap();
    let exports = BTreeMap::from([("shared".to_owned(), "value".to_owned())]);
    let none = BTreeMap::new();
    let scope = |conditions| Scope {
        account: &account,
        stack_name: "s",
        stack_id: "id",
        template: &template,
        parameters: &parameters,
        conditions,
        created: &created,
        ssm: &ssm,
        exports: &exports,
        imports: RefCell::new(BTreeSet::new()),
    };
    let conditions = scope(&none).all_conditions().unwrap();
    scope(&conditions).evaluate(expression).map_err(|e| e.message)
}

#[test]
fn expressions_evaluate_as_cloudformation_does() {
    for (expression, expected) in [
        (json!({"Ref": "Bucket"}), json!("raw")),
        (json!({"Fn::GetAtt": ["Bucket", "Arn"]}), json!("arn:aws:s3:::raw")),
        (json!({"Fn::GetAtt": "Bucket.Arn"}), json!("arn:aws:s3:::raw")),
        (json!({"Fn::Sub": "${Bucket.Arn}/*"}), json!("arn:aws:s3:::raw/*")),
        (json!({"Fn::Sub": "${!topic(4)} ${AWS::Region} ${Env}"}), json!("${topic(4)} eu-west-1 dev")),
        (json!({"Fn::Sub": ["${A}-${Bucket}", {"A": {"Ref": "AWS::AccountId"}}]}), json!("123456789012-raw")),
        (json!({"Fn::Join": ["/", ["a", {"Ref": "Bucket"}]]}), json!("a/raw")),
        (json!({"Fn::Join": ["+", {"Ref": "Zones"}]}), json!("a+b")),
        (json!({"A": {"Ref": "AWS::NoValue"}, "B": [1, {"Ref": "AWS::NoValue"}]}), json!({"B": [1]})),
        (json!({"Fn::If": ["IsProd", "yes", {"Ref": "Env"}]}), json!("dev")),
        (json!([{"Fn::If": ["Both", 1, {"Ref": "AWS::NoValue"}]}, {"Fn::If": ["Any", 1, 2]}]), json!([1])),
        (json!({"Fn::Select": ["1", {"Ref": "Zones"}]}), json!("b")),
        (json!({"Fn::Select": [2, {"Fn::Split": [":", {"Fn::GetAtt": "Bucket.Arn"}]}]}), json!("s3")),
        (json!({"Fn::FindInMap": ["Sizes", {"Ref": "Env"}, "shards"]}), json!("1")),
        (json!({"Fn::ImportValue": {"Fn::Sub": "shared"}}), json!("value")),
        (json!({"Fn::Base64": "abc"}), json!("YWJj")),
        (json!({"Condition": {"StringEquals": {"a": "b"}}}), json!({"Condition": {"StringEquals": {"a": "b"}}})),
    ] {
        assert_eq!(evaluate(&expression).unwrap(), expected, "{expression}");
    }
}

#[test]
fn what_is_not_modelled_or_missing_is_named() {
    for (expression, expected) in [
        (json!({"Fn::Cidr": ["a", 1, 2]}), "Fn::Cidr"),
        (json!({"Fn::GetAtt": ["Bucket", "Nope"]}), "does not support attribute type Nope"),
        (json!({"Fn::GetAtt": ["Bucket"]}), "every Fn::GetAtt object requires two non-empty parameters"),
        (json!({"Fn::If": ["Nope", 1, 2]}), "unresolved condition dependency Nope in Fn::If"),
        (json!({"Fn::Select": [2, ["a"]]}), "nonexistent value at index 2"),
        (json!({"Fn::FindInMap": ["Sizes", "dev", "x"]}), "Unable to get mapping for Sizes::dev::x"),
        (json!({"Fn::ImportValue": "other"}), "No export named other found."),
        (json!("{{resolve:ssm:/iot-platform/x}}"), "/iot-platform/x"),
        (json!("{{resolve:ssm:/iot-platform/x:3}}"), "/iot-platform/x:3"),
        (json!("{{resolve:ssm:/iot-platform/x:y}}"), "no number"),
        (json!("{{resolve:secretsmanager:x}}"), "secretsmanager"),
    ] {
        let error = evaluate(&expression).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn conditions_see_no_resources_and_do_not_go_in_circles() {
    for (conditions, expected) in [
        (json!({"A": {"Condition": "B"}, "B": {"Fn::Not": [{"Condition": "A"}]}}), "circular dependency"),
        (json!({"A": {"Fn::Equals": [{"Ref": "R"}, 1]}}), "Unresolved resource dependencies [R]"),
        (json!({"A": {"Fn::Equals": [1]}}), "every Fn::Equals object requires a list of 2 string parameters."),
        (json!({"A": {"Fn::And": [{"Condition": "A"}]}}), "at least 2"),
        (json!({"A": {"Condition": "Gone"}}), "Gone"),
    ] {
        let template = parse(&json!({"Conditions": conditions, "Resources": {"R": {"Type": TOPIC}}})).unwrap();
        let error = conditions_of(&template).unwrap_err().message;
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn conditions_that_build_on_conditions_are_evaluated_once() {
    let levels = (1..200).map(|n| {
        let one = json!({"Condition": format!("C{}", n - 1)});
        (format!("C{n}"), json!({"Fn::And": [one, one]}))
    });
    let mut conditions: serde_json::Map<String, Value> = levels.collect();
    conditions.insert("C0".to_owned(), json!({"Fn::Equals": ["a", "a"]}));
    let template = parse(&json!({"Conditions": conditions, "Resources": {"R": {"Type": TOPIC}}})).unwrap();
    let holding = conditions_of(&template).unwrap();
    assert!(holding.len() == 200 && holding.values().all(|holds| *holds), "{holding:?}");
}

/// The conditions of a template in an empty account.
fn conditions_of(template: &Template) -> Result<BTreeMap<String, bool>, AwsError> {
    let account = AccountInfo { id: "1".to_owned(), region: "eu-west-1".to_owned() };
    let scope = Scope {
        account: &account,
        stack_name: "s",
        stack_id: "id",
        template,
        parameters: &IndexMap::new(),
        conditions: &BTreeMap::new(),
        created: &BTreeMap::new(),
        ssm: &Ssm::default(),
        exports: &BTreeMap::new(),
        imports: RefCell::new(BTreeSet::new()),
    };
    scope.all_conditions()
}

#[test]
fn parameters_are_checked_against_their_declaration() {
    let check = |declaration: Value, given: Option<&str>| {
        let template = parse(&json!({"Parameters": {"P": declaration}, "Resources": {"R": {"Type": TOPIC}}})).unwrap();
        let given = given.map(|text| ("P".to_owned(), Given::Value(text.to_owned()))).into_iter().collect();
        resolve(&template.parameters, &given, None, &Ssm::default(), &Limits::for_region("eu-west-1"))
            .map(|parameters| parameters["P"].value.clone())
            .map_err(|error| error.message)
    };
    assert_eq!(check(json!({"Type": "Number", "Default": 3}), None), Ok(json!("3")));
    assert_eq!(check(json!({"Type": "String", "AllowedPattern": "[a-z]+"}), Some("abc")), Ok(json!("abc")));
    assert_eq!(check(json!({"Type": "List<Number>"}), Some("1,2")), Ok(json!(["1", "2"])));
    for (declaration, given, expected) in [
        (json!({"Type": "String"}), None, "Parameters: [P] must have values"),
        (json!({"Type": "Number"}), Some("x"), "Parameter 'P' must be a number."),
        (json!({"Type": "Number", "MaxValue": 5}), Some("6"), "must be a number not greater than 5"),
        (json!({"Type": "String", "AllowedValues": ["a"]}), Some("b"), "must be one of AllowedValues"),
        (json!({"Type": "String", "AllowedPattern": "[a-z]+"}), Some("abc1"), "must match pattern [a-z]+"),
        (json!({"Type": "String", "MinLength": 2}), Some("a"), "must contain at least 2 characters"),
        (json!({"Type": "AWS::EC2::Image::Id"}), Some("a"), "the type AWS::EC2::Image::Id of the parameter P"),
        (json!({"Type": "AWS::SSM::Parameter::Value<String>"}), Some("/a"), "Unable to fetch parameters [/a]"),
    ] {
        let error = check(declaration, given).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let template = parse(&json!({"Resources": {"R": {"Type": TOPIC}}})).unwrap();
    let given = [("Q".to_owned(), Given::Previous)].into();
    let error = resolve(&template.parameters, &given, None, &Ssm::default(), &Limits::for_region("eu-west-1"));
    assert_eq!(error.unwrap_err().message, "Parameters: [Q] do not exist in the template");
}
