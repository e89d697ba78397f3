use serde_json::{Value, json};

use crate::deploy::stages::stacks;
use crate::deploy::synth;
use crate::deploy::tests::everything;
use crate::settings::Settings;

/// The resource of a type in the pipeline's template.
fn resource(kind: &str) -> Value {
    let stack = stacks(&everything()).pop().expect("stacks");
    assert_eq!(stack.name, "iot-platform-sim-pipeline", "it is the last stack");
    let template: Value = serde_json::from_str(&stack.template.to_json()).unwrap();
    let mut found = template["Resources"].as_object().unwrap().values().filter(|resource| resource["Type"] == kind);
    found.next().unwrap_or_else(|| panic!("no {kind}"))["Properties"].clone()
}

#[test]
fn there_is_no_pipeline_without_its_table() {
    let settings = Settings { pipeline: None, ..everything() };
    assert!(stacks(&settings).iter().all(|stack| !stack.name.ends_with("-pipeline")));
}

#[test]
fn every_stack_is_deployed_once_in_its_stage_behind_an_approval_from_a_template_that_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut written = synth::write(&everything(), folder.path()).unwrap();
    written.pop();
    let pipeline = resource("AWS::CodePipeline::Pipeline");
    let mut deployed = Vec::new();
    for stage in &pipeline["Stages"].as_array().unwrap()[2..] {
        let actions = stage["Actions"].as_array().unwrap();
        let orders: Vec<u64> = actions.iter().map(|action| action["RunOrder"].as_u64().unwrap()).collect();
        assert_eq!(orders, (1..=actions.len() as u64).collect::<Vec<_>>(), "{stage}");
        let (approval, changes) = actions.split_first().unwrap();
        assert_eq!(approval["ActionTypeId"]["Provider"], "Manual");
        assert!(approval["Configuration"]["CustomData"].as_str().unwrap().len() <= 1_000);
        for pair in changes.chunks(2) {
            let [made, executed] = [&pair[0]["Configuration"], &pair[1]["Configuration"]];
            assert_eq!(
                (&made["ActionMode"], &executed["ActionMode"]),
                (&json!("CHANGE_SET_REPLACE"), &json!("CHANGE_SET_EXECUTE"))
            );
            assert_eq!(
                (&made["StackName"], &made["ChangeSetName"]),
                (&executed["StackName"], &executed["ChangeSetName"])
            );
            let file = made["TemplatePath"].as_str().unwrap().strip_prefix("Templates::").unwrap();
            assert!(folder.path().join(file).is_file(), "{file} is not written");
            deployed.push((stage["Name"].as_str().unwrap().to_owned(), made["StackName"].as_str().unwrap().to_owned()));
        }
    }
    let expected: Vec<_> = written.iter().map(|stack| (stack.stage.to_string(), stack.name.clone())).collect();
    assert_eq!(deployed, expected);
}

#[test]
fn the_build_writes_the_templates_of_the_environment_and_its_settings() {
    let project = resource("AWS::CodeBuild::Project");
    let spec: Value = serde_json::from_str(project["Source"]["BuildSpec"].as_str().unwrap()).unwrap();
    let commands = spec["phases"]["build"]["commands"].as_array().unwrap();
    let all: Vec<&str> = commands.iter().map(|command| command.as_str().unwrap()).collect();
    let binary = "target/release/platform";
    let environment = "--env sim --settings pipeline.toml";
    assert!(all[2].ends_with("| cat - settings/sim.toml > pipeline.toml"), "{all:?}");
    assert_eq!(all[3], format!("{binary} synth {environment} --out templates"));
    assert_eq!(all[4], format!("{binary} package {environment} --binary {binary} --upload --replace"));
    // What the build writes before the repository's settings is a setting.
    let written = all[2].split('\'').nth(1).unwrap().replace("%s", "0a1b").replace("\\n", "\n");
    let settings = Settings::parse(&written, "pipeline.toml").unwrap();
    assert_eq!(settings.artifact_key.as_deref(), Some("platform/0a1b/bootstrap.zip"));
    assert_eq!(spec["artifacts"]["base-directory"], "templates");
}

#[test]
fn the_deployment_makes_roles_within_the_boundary_only() {
    let stack = stacks(&everything()).pop().expect("stacks");
    let template: Value = serde_json::from_str(&stack.template.to_json()).unwrap();
    let policy = &template["Resources"]["DeployIdentities"]["Properties"]["PolicyDocument"];
    let boundary = "{{resolve:ssm:/iot-platform/sim/eu-west-1/security/boundary-arn}}";
    for action in ["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"] {
        let allowing: Vec<&Value> = policy["Statement"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|statement| statement["Action"].as_array().unwrap().contains(&json!(action)))
            .collect();
        assert_eq!(allowing.len(), 1, "{action}");
        assert_eq!(
            allowing[0]["Condition"],
            json!({"StringEquals": {"iam:PermissionsBoundary": boundary}}),
            "{action}"
        );
    }
    let text = policy.to_string();
    assert!(!text.contains("DeleteRolePermissionsBoundary") && !text.contains("AttachRolePolicy"), "{text}");
}
