use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::deploy::stages::{Stage, stacks};
use crate::deploy::synth;
use crate::deploy::tests::everything;
use crate::settings::Settings;

/// The resources of the pipeline's template.
fn declarations() -> Value {
    let stack = stacks(&everything()).pop().expect("stacks");
    assert_eq!(stack.name, "iot-platform-sim-pipeline", "it is the last stack");
    let mut template: Value = serde_json::from_str(&stack.template.to_json()).unwrap();
    template["Resources"].take()
}

/// The properties of the resource of a type that comes once.
fn resource(kind: &str) -> Value {
    let all = declarations();
    let found: Vec<&Value> = all.as_object().unwrap().values().filter(|resource| resource["Type"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0]["Properties"].clone()
}

/// The properties of a resource.
fn declared(logical_id: &str) -> Value {
    declarations()[logical_id]["Properties"].clone()
}

#[test]
fn there_is_no_pipeline_without_its_table() {
    let settings = Settings { pipeline: None, ..everything() };
    assert!(stacks(&settings).iter().all(|stack| !stack.name.ends_with("-pipeline")));
}

/// (stage, action) in the order of a run; actions that run at the same time have one number.
fn actions(pipeline: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for stage in &pipeline["Stages"].as_array().unwrap()[2..] {
        let actions = stage["Actions"].as_array().unwrap();
        assert!(actions.is_sorted_by_key(|action| action["RunOrder"].as_u64()), "{stage}");
        let names: BTreeSet<&str> = actions.iter().map(|action| action["Name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), actions.len(), "{stage}");
        all.extend(actions.iter().map(|action| (stage["Name"].as_str().unwrap().to_owned(), action.clone())));
    }
    all
}

#[test]
fn every_stack_after_the_foundation_is_deployed_once_from_a_template_that_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut written = synth::write(&everything(), folder.path()).unwrap();
    written.pop();
    written.retain(|stack| stack.stage != Stage::Foundation);
    let mut made = BTreeSet::new();
    let mut deployed = Vec::new();
    for (stage, action) in actions(&resource("AWS::CodePipeline::Pipeline")) {
        let configuration = &action["Configuration"];
        let set = (configuration["StackName"].to_string(), configuration["ChangeSetName"].to_string());
        match configuration["ActionMode"].as_str() {
            Some("CHANGE_SET_REPLACE") => {
                let file = configuration["TemplatePath"].as_str().unwrap().strip_prefix("Templates::").unwrap();
                assert!(folder.path().join(file).is_file(), "{file} is not written");
                assert!(made.insert(set));
            }
            Some(mode) => {
                assert_eq!(mode, "CHANGE_SET_EXECUTE");
                assert!(made.contains(&set), "{set:?} is executed before it is made");
                deployed.push((stage, configuration["StackName"].as_str().unwrap().to_owned()));
            }
            None => {}
        }
    }
    let expected: Vec<_> = written.iter().map(|stack| (stack.stage.to_string(), stack.name.clone())).collect();
    assert_eq!(deployed, expected);
}

#[test]
fn a_change_set_is_made_before_the_question_and_after_what_it_reads_and_nothing_is_executed_between() {
    let shown: Vec<String> = actions(&resource("AWS::CodePipeline::Pipeline"))
        .iter()
        .filter(|(stage, _)| ["ingest", "transform", "insights"].contains(&stage.as_str()))
        .map(|(stage, action)| format!("{stage} {} {}", action["RunOrder"], action["Name"].as_str().unwrap()))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    ingest 1 iot-core-change-set
    ingest 1 device-registry-change-set
    ingest 2 approve-1
    ingest 3 iot-core-deploy
    ingest 4 device-registry-deploy
    ingest 5 registry-events
    transform 1 streaming-change-set
    transform 2 approve-1
    transform 3 streaming-deploy
    transform 4 enrichment-change-set
    transform 4 anomaly-detection-change-set
    transform 5 approve-2
    transform 6 enrichment-deploy
    transform 7 anomaly-detection-deploy
    insights 1 analytics-change-set
    insights 1 dashboard-change-set
    insights 2 approve-1
    insights 3 analytics-deploy
    insights 4 dashboard-deploy
    ");
}

#[test]
fn registry_events_are_switched_on_after_the_stage_whose_function_waits_for_them() {
    let all = actions(&resource("AWS::CodePipeline::Pipeline"));
    let (stage, last) = all.iter().rfind(|(stage, _)| stage == "ingest").unwrap();
    assert_eq!((stage.as_str(), &last["ActionTypeId"]["Provider"]), ("ingest", &json!("CodeBuild")));
    let events = declared("RegistryEvents");
    assert_eq!(last["Configuration"]["ProjectName"], json!({"Ref": "RegistryEvents"}));
    let spec: Value = serde_json::from_str(events["Source"]["BuildSpec"].as_str().unwrap()).unwrap();
    let command = "aws iot update-event-configurations --event-configurations 'THING={Enabled=true}'";
    assert_eq!(spec["phases"]["build"]["commands"], json!([command]));
    assert_eq!(events["ServiceRole"], json!({"Fn::GetAtt": ["RegistryEventsRole", "Arn"]}));
}

#[test]
fn the_build_writes_the_templates_of_the_environment_and_its_settings() {
    let project = declared("Build");
    let spec: Value = serde_json::from_str(project["Source"]["BuildSpec"].as_str().unwrap()).unwrap();
    let commands = spec["phases"]["build"]["commands"].as_array().unwrap();
    let all: Vec<&str> = commands.iter().map(|command| command.as_str().unwrap()).collect();
    let binary = "target/release/platform";
    let environment = "--env sim --settings pipeline.toml";
    let at = |begin: &str| all.iter().position(|command| command.starts_with(begin)).expect(begin);
    assert!(at("export RUSTFLAGS=\"\"") < at("cargo build"));
    assert!(at("cargo build") < at(&format!("! {binary} lambda")), "what was built is looked at");
    assert!(at(&format!("! {binary} lambda")) < at(&format!("{binary} package")), "before it is uploaded");
    let settings = all[at("printf")];
    assert!(settings.ends_with("| cat - settings/sim.toml > pipeline.toml"), "{all:?}");
    assert!(all.contains(&format!("{binary} synth {environment} --out templates").as_str()), "{all:?}");
    let package = format!("{binary} package {environment} --binary {binary} --upload --replace");
    assert_eq!(*all.last().unwrap(), package);
    // What the build writes before the repository's settings is a setting.
    let written = settings.split('\'').nth(1).unwrap().replace("%s", "0a1b").replace("\\n", "\n");
    let settings = Settings::parse(&written, "pipeline.toml").unwrap();
    assert_eq!(settings.artifact_key.as_deref(), Some("platform/0a1b/bootstrap.zip"));
    assert_eq!(spec["artifacts"]["base-directory"], "templates");
}

#[test]
fn the_deployment_makes_roles_within_the_boundary_only() {
    let policy = &declared("DeployIdentities")["PolicyDocument"];
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
    // The boundary itself, and who deploys, are changed by hand.
    assert!(!text.contains("iam:CreatePolicyVersion"), "{text}");
    let operations = &declared("DeployOperations")["PolicyDocument"]["Statement"];
    let denied: Vec<&Value> =
        operations.as_array().unwrap().iter().filter(|statement| statement["Effect"] == "Deny").collect();
    assert_eq!(denied[0]["Action"], json!(["iam:*"]));
    for role in ["build", "deployment", "pipeline", "registry-events", "trail"] {
        let name = format!("role/iot-platform-sim-{role}-eu-west-1");
        assert!(denied[0]["Resource"].to_string().contains(&name), "{name}: {}", denied[0]);
    }
}

#[test]
fn what_has_no_resource_yet_is_granted_by_the_tag_that_it_is_given_or_by_the_function_that_it_is_for() {
    let find = |policy: &str, action: &str| -> Vec<Value> {
        let mut statements = declared(policy)["PolicyDocument"]["Statement"].as_array().unwrap().clone();
        statements.retain(|statement| statement["Action"].as_array().unwrap().contains(&json!(action)));
        statements
    };
    for action in ["cognito-idp:TagResource", "cognito-identity:TagResource"] {
        let conditions: Vec<Value> = find("DeployIdentities", action).iter().map(|s| s["Condition"].clone()).collect();
        let first = json!({
            "StringEquals": {"aws:RequestTag/environment": "sim"},
            "StringEqualsIfExists": {"aws:ResourceTag/environment": "sim"},
        });
        assert_eq!(conditions, [json!({"StringEquals": {"aws:ResourceTag/environment": "sim"}}), first], "{action}");
    }
    let mapping = find("DeployData", "lambda:CreateEventSourceMapping");
    assert_eq!((mapping.len(), &mapping[0]["Resource"]), (1, &json!(["*"])));
    let functions = mapping[0]["Condition"]["ArnLike"]["lambda:FunctionArn"].to_string();
    assert!(functions.contains(":function:iot-platform-sim-*"), "{functions}");
}
