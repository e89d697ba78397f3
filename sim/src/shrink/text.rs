//! Changes of a scenario's text that keep its comments.

use std::path::Path;
use std::time::Duration;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

use super::series;
use crate::scenario::{Scenario, ScenarioError, duration};

/// The document of a scenario's text.
pub(super) fn document(scenario: &Scenario) -> DocumentMut {
    let text = &scenario.source.text;
    text.parse().expect("the text of a scenario was parsed before, and is TOML")
}

/// The scenario with a text that says all of it: flags that changed it are written into the text.
pub(super) fn written(scenario: &Scenario) -> Result<Scenario, ScenarioError> {
    let path = Path::new(&scenario.source.path);
    let mut doc = document(scenario);
    for name in ["fleet", "change", "fault", "rollout", "command"] {
        normalise(&mut doc, name);
    }
    write_values(&mut doc, scenario);
    let written = Scenario::parse(&doc.to_string(), path)?;
    let comparable = |s: &Scenario| {
        let mut same = s.clone();
        same.source.text.clear();
        same.faults.retain(|fault| fault.from < same.phase.hardship);
        same.faults.iter_mut().for_each(|fault| fault.until = fault.until.min(same.phase.hardship));
        same.rollouts.retain(|rollout| rollout.from < same.phase.hardship);
        same.commands.retain(|command| command.from < same.phase.hardship);
        same.commands.iter_mut().for_each(|command| command.until = command.until.min(same.phase.hardship));
        same
    };
    if comparable(&written) == comparable(scenario) {
        return Ok(written);
    }
    Err(scenario.located_error(
        "",
        "was changed in a way that its text cannot say",
        "a scenario as its file says, or with the flags --devices, --hardship and --peace",
        "write the change into the file",
    ))
}

/// Writes what flags can change into the text.
fn write_values(doc: &mut DocumentMut, scenario: &Scenario) {
    let phase = doc.get_mut("phase").and_then(Item::as_table_like_mut).expect("a scenario has phases");
    set(phase, "hardship", text_of(scenario.phase.hardship));
    set(phase, "peace", text_of(scenario.phase.peace));
    clamp(doc, scenario.phase.hardship);
    keep_first(tables(doc, "change"), scenario.changes.len());
    keep_first(tables(doc, "fleet"), scenario.fleets.len());
    for (table, fleet) in tables(doc, "fleet").into_iter().flat_map(ArrayOfTables::iter_mut).zip(&scenario.fleets) {
        let Some(publish_every) = fleet.model.publish_every() else { continue };
        set(table, "devices", i64::from(fleet.devices));
        set(table, "publish_every", text_of(publish_every));
        // One tenant is called after its stem alone: where several became one, the one keeps its number.
        match fleet.tenants.as_slice() {
            [only] => {
                table.remove("tenants");
                set(table, "tenant", only.as_str());
            }
            several => set(table, "tenants", several.len() as i64),
        }
    }
    if !scenario.expect.invariants.is_empty() && doc.contains_key("expect") {
        let expect = doc.get_mut("expect").and_then(Item::as_table_like_mut).expect("`expect` is a table");
        if expect.contains_key("invariants") {
            set(expect, "invariants", Value::Array(scenario.expect.invariants.iter().collect()));
        }
        if scenario.expect.marks.is_empty() {
            expect.remove("marks");
        }
    }
}

fn keep_first(tables: Option<&mut ArrayOfTables>, count: usize) {
    let Some(tables) = tables else { return };
    while tables.len() > count {
        tables.remove(tables.len() - 1);
    }
}

/// Ends windows with hardship, and drops faults, failures and changes that would come after it.
pub(super) fn clamp(doc: &mut DocumentMut, hardship: Duration) {
    let after = |table: &Table, key: &str| duration_of(table, key).is_some_and(|at| at >= hardship);
    for list in ["fault", "rollout", "command"] {
        let Some(windows) = tables(doc, list) else { continue };
        windows.retain(|window| !after(window, "from"));
        for window in windows.iter_mut().filter(|window| after(window, "until")) {
            window.remove("until");
        }
    }
    for fleet in tables(doc, "fleet").into_iter().flat_map(ArrayOfTables::iter_mut) {
        if let Some(failures) = fleet.get_mut("failure").and_then(Item::as_array_of_tables_mut) {
            failures.retain(|failure| !after(failure, "from"));
        }
    }
    if let Some(changes) = tables(doc, "change") {
        changes.retain(|change| !after(change, "at"));
    }
    drop_empty(doc);
}

/// Takes away lists of tables that have none left.
pub(super) fn drop_empty(doc: &mut DocumentMut) {
    for name in ["change", "fault", "rollout", "command"] {
        if tables(doc, name).is_some_and(|tables| tables.is_empty()) {
            doc.remove(name);
        }
    }
    for fleet in tables(doc, "fleet").into_iter().flat_map(ArrayOfTables::iter_mut) {
        if fleet.get("failure").and_then(Item::as_array_of_tables).is_some_and(ArrayOfTables::is_empty) {
            fleet.remove("failure");
        }
    }
}

/// The tables of a list, such as `fault`.
pub(super) fn tables<'a>(doc: &'a mut DocumentMut, name: &str) -> Option<&'a mut ArrayOfTables> {
    doc.get_mut(name)?.as_array_of_tables_mut()
}

/// Writes a list of inline tables as tables with headers.
fn normalise(doc: &mut DocumentMut, name: &str) {
    if doc.get(name).is_some_and(Item::is_value)
        && let Some(item) = doc.remove(name)
    {
        match item.into_array_of_tables() {
            Ok(tables) => drop(doc.insert(name, Item::ArrayOfTables(tables))),
            Err(item) => drop(doc.insert(name, item)),
        }
    }
}

/// Sets a key, and keeps the comment behind its value.
pub(super) fn set(table: &mut dyn TableLike, key: &str, value: impl Into<Value>) {
    let mut value: Value = value.into();
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => drop(table.insert(key, Item::Value(value))),
    }
}

/// A duration as a value.
pub(super) fn text_of(length: Duration) -> String {
    duration::format(length)
}

/// The duration that a key of a table says.
pub(super) fn duration_of(table: &Table, key: &str) -> Option<Duration> {
    duration::parse(table.get(key)?.as_str()?).ok()
}

/// Paths of all keys of a table that hold no table, such as `enrichment.batch_size`.
pub(super) fn leaves(table: &dyn TableLike) -> Vec<Vec<String>> {
    let mut leaves = Vec::new();
    for (key, item) in table.iter() {
        match item.as_table_like() {
            Some(inner) => leaves.extend(leaves_below(key, inner)),
            None => leaves.push(vec![key.to_owned()]),
        }
    }
    leaves
}

fn leaves_below(key: &str, inner: &dyn TableLike) -> Vec<Vec<String>> {
    let below = leaves(inner).into_iter();
    below.map(|path| std::iter::once(key.to_owned()).chain(path).collect()).collect()
}

/// Removes the key at a path, and the tables that are empty without it.
pub(super) fn remove_leaf(table: &mut dyn TableLike, path: &[String]) {
    let [first, rest @ ..] = path else { return };
    if rest.is_empty() {
        table.remove(first);
        return;
    }
    let Some(inner) = table.get_mut(first).and_then(Item::as_table_like_mut) else { return };
    remove_leaf(inner, rest);
    if inner.is_empty() {
        table.remove(first);
    }
}

/// The text of a scenario with its own title, reason and seed, as it will lie in `file`.
pub(super) fn titled(
    scenario: &Scenario,
    title: &str,
    why: &str,
    seed: u64,
    file: &Path,
) -> Result<String, ScenarioError> {
    let mut doc = document(scenario);
    series::as_seen_from(&mut doc, scenario, file)?;
    let root = doc.as_table_mut();
    set(root, "title", title);
    set(root, "why", why);
    // Seeds are whole numbers up to 2^63 in TOML.
    let seed = i64::try_from(seed).map_err(|_| {
        scenario.located_error(
            "seeds",
            format!("would have to hold {seed}"),
            "a seed that TOML can write, up to 9223372036854775807",
            "give the seed with --seed, and keep the command",
        )
    })?;
    set(root, "seeds", Value::Array(std::iter::once(seed).collect()));
    let text = doc.to_string();
    Scenario::parse(&text, file)?;
    Ok(text)
}
