//! Stages, stacks and references as pictures and tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::plan::{Plan, Planned};

/// The plan as a Mermaid flow chart: a subgraph a stage, a node a stack, an edge from each stack to those that read its
/// parameters.
pub fn mermaid(plan: &Plan) -> String {
    let mut out = String::from("flowchart LR\n");
    for (stage, stacks) in plan.stages() {
        line(&mut out, format_args!("  subgraph {}[\"{stage}\"]", node(&stage.to_string())));
        for stack in stacks {
            let count = stack.resources().count();
            line(&mut out, format_args!("    {}[\"{}<br/>{count} resources\"]", node(&stack.name), short(plan, stack)));
        }
        line(&mut out, format_args!("  end"));
    }
    for stack in &plan.stacks {
        for read in &stack.reads {
            line(&mut out, format_args!("  {} --> {}", node(read), node(&stack.name)));
        }
    }
    out
}

/// The plan as a Markdown table: stage, stack, resources, references.
pub fn markdown(plan: &Plan) -> String {
    let mut out = String::from("| stage | stack | resources | reads from |\n|---|---|---|---|\n");
    for stack in &plan.stacks {
        let types: Vec<String> = main_types(stack).into_iter().map(|(kind, count)| counted(&kind, count)).collect();
        let reads = stack.reads.iter().map(|name| name_in(plan, name)).collect::<Vec<_>>().join(", ");
        let (name, count) = (short(plan, stack), stack.resources().count());
        line(&mut out, format_args!("| {} | {name} | {count}: {} | {reads} |", stack.stage, types.join(", ")));
    }
    out
}

/// The plan as JSON: a list with stage, stack, resources by type, references.
pub fn listing(plan: &Plan) -> Value {
    let entry = |stack: &Planned| {
        let mut types: BTreeMap<&str, usize> = BTreeMap::new();
        stack.resources().for_each(|(_, kind, _)| *types.entry(kind).or_default() += 1);
        json!({"stage": stack.stage.to_string(), "stack": stack.name, "resources": types, "reads": stack.reads})
    };
    plan.stacks.iter().map(entry).collect()
}

/// Types that only connect others.
const PLUMBING: [&str; 7] = [
    "AWS::IAM::Policy",
    "AWS::KMS::Alias",
    "AWS::Lambda::Permission",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SSM::Parameter",
];

/// Most types that a row of the table names.
const MAIN_TYPES_MAX: usize = 8;

/// The types of a stack's resources with their counts without those that only connect. The most frequent
/// come first, at most four.
fn main_types(stack: &Planned) -> Vec<(String, usize)> {
    let mut types: BTreeMap<String, usize> = BTreeMap::new();
    for (_, kind, _) in stack.resources() {
        if !PLUMBING.contains(&kind) {
            *types.entry(kind.trim_start_matches("AWS::").replace("::", " ")).or_default() += 1;
        }
    }
    let mut types: Vec<_> = types.into_iter().collect();
    types.sort_by(|(a_kind, a), (b_kind, b)| b.cmp(a).then_with(|| a_kind.cmp(b_kind)));
    types.truncate(MAIN_TYPES_MAX);
    types
}

fn counted(kind: &str, count: usize) -> String {
    if count == 1 { kind.to_owned() } else { format!("{count} {kind}") }
}

/// The stack's name inside its environment.
fn short<'p>(plan: &Plan, stack: &'p Planned) -> &'p str {
    name_in(plan, &stack.name)
}

fn name_in<'n>(plan: &Plan, name: &'n str) -> &'n str {
    name.split_once(&format!("-{}-", plan.env)).map_or(name, |(_, name)| name)
}

/// A name as Mermaid takes it for a node.
fn node(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes all text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn the_diagram_has_every_stack_in_its_stage_and_an_edge_a_reference() {
        let plan = Plan::of(&Settings::default());
        let text = mermaid(&plan);
        let mut stage = String::new();
        let mut seen = Vec::new();
        let mut edges = Vec::new();
        for line in text.lines().skip(1).map(str::trim) {
            if let Some(rest) = line.strip_prefix("subgraph ") {
                stage = rest.split('"').nth(1).unwrap().to_owned();
            } else if let Some((from, to)) = line.split_once(" --> ") {
                edges.push((from.to_owned(), to.to_owned()));
            } else if line != "end" {
                seen.push((stage.clone(), line.split('[').next().unwrap().to_owned()));
            }
        }
        let stacks: Vec<_> = plan.stacks.iter().map(|s| (s.stage.to_string(), node(&s.name))).collect();
        assert_eq!(seen, stacks);
        let references = plan.stacks.iter().flat_map(|s| s.reads.iter().map(|read| (node(read), node(&s.name))));
        assert_eq!(edges, references.collect::<Vec<_>>());
        assert!(!edges.is_empty());
    }

    #[test]
    fn the_table_has_a_row_a_stack_with_the_names_of_what_it_reads() {
        let plan = Plan::of(&Settings::default());
        let table = markdown(&plan);
        assert_eq!(table.lines().count(), 2 + plan.stacks.len());
        for (row, stack) in table.lines().skip(2).zip(&plan.stacks) {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells[0], stack.stage.to_string());
            assert_eq!(format!("iot-platform-dev-{}", cells[1]), stack.name);
            assert_eq!(cells[2].split(':').next().unwrap().parse::<usize>().unwrap(), stack.resources().count());
            assert_eq!(cells[3].split(", ").filter(|cell| !cell.is_empty()).count(), stack.reads.len());
        }
    }
}
