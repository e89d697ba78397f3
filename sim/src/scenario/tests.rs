//! Scenario files: what is accepted, what each key changes, and what is said about everything else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml_edit::{DocumentMut, Item};

use super::schema::{self, Absent, KEYS, Takes};
use super::*;
use crate::fault::{Contract, KINDS};
use crate::fleet::spec::{ModelSpec, Network, Pace, Power, TwinKind, TwinSpec};

const SYNTHETIC: &str = r#"title = "t"
why = "w"

[[fleet]]
kind = "synthetic"
tenant = "acme"
devices = 4
publish_every = "10s"

[phase]
hardship = "10min"
peace = "3min"
"#;

const PUMP: &str = r#"title = "t"
why = "w"

[[fleet]]
kind = "pump"
tenant = "acme"
devices = 4

[phase]
hardship = "10min"
peace = "3min"
"#;

const REPLAY: &str = r#"title = "t"
why = "w"

[[fleet]]
kind = "replay"
tenant = "acme"
series = "series"

[phase]
hardship = "10min"
peace = "3min"
"#;

/// A folder with two series below `series` and one below `other`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, rows) in [("series/b.csv", 3), ("series/a/x.csv", 700), ("other/one.csv", 2)] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let rows: String = (0..rows).map(|i| format!("2014-02-{:02} 14:30:00,{i}\n", 1 + i / 60)).collect();
        fs::write(path, format!("timestamp,value\n{rows}")).unwrap();
    }
    fs::create_dir(folder.path().join("empty")).unwrap();
    folder
}

fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(text, Path::new("demo/some.toml"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn a_short_file_has_the_defaults() {
    let scenario = parse(SYNTHETIC).unwrap();
    assert_eq!(scenario.source.name, "some");
    assert_eq!(scenario.source.path, "demo/some.toml");
    assert_eq!(scenario.source.text, SYNTHETIC);
    assert_eq!((scenario.seeds.as_slice(), scenario.start.rfc3339().as_str()), (&[1][..], "2026-03-01T00:00:00.000Z"));
    assert_eq!(scenario.duration(), Duration::from_secs(13 * 60));
    assert_eq!(scenario.expect.verdict, Verdict::Held);
    let all: Vec<&str> = crate::invariant::ALL.iter().map(|i| i.id).collect();
    assert_eq!(scenario.expect.invariants, all);
    assert_eq!((scenario.expect.budget, scenario.platform.as_ref()), (Budget::default(), None));
    let [fleet] = scenario.fleets.as_slice() else { panic!("one fleet") };
    assert_eq!((fleet.name.as_str(), fleet.devices, fleet.network), ("synthetic", 4, Network::Ethernet));
    assert_eq!(fleet.tenants, ["acme"]);
    let ModelSpec::Synthetic(model) = &fleet.model else { panic!("a synthetic fleet") };
    assert_eq!((model.publish_every, &model.metrics), (Duration::from_secs(10), &default_metrics()));
    assert_eq!(scenario.readings_max(), 4 * 61);
}

#[test]
fn four_lines_make_a_fleet_of_twins_with_the_defaults_of_their_kind() {
    for (kind, network, every_s, power, value) in [
        (TwinKind::Pump, Network::Ethernet, 10, Power::Mains, 120.0),
        (TwinKind::Hvac, Network::Wifi, 30, Power::Mains, 21.0),
        (TwinKind::Meter, Network::NbIot, 60, Power::Mains, 0.5),
        (TwinKind::Tracker, Network::Lte, 10, Power::Battery, 50.0),
    ] {
        let scenario = parse(&PUMP.replace("pump", kind.name())).unwrap();
        let [fleet] = scenario.fleets.as_slice() else { panic!("one fleet") };
        assert_eq!(
            (fleet.name.as_str(), fleet.network, fleet.disconnects, fleet.shadow),
            (kind.name(), network, None, true)
        );
        let publish_every = Duration::from_secs(every_s);
        let model = ModelSpec::Twin(TwinSpec { kind, publish_every, power, value, failures: Vec::new() });
        assert_eq!(fleet.model, model);
        assert_eq!(scenario.readings_max(), 4 * (600 / every_s + 1));
    }
    assert!(!parse(SYNTHETIC).unwrap().fleets[0].shadow);
    let off = parse(&PUMP.replace("devices", "shadow = false\ndevices")).unwrap();
    assert!(!off.fleets[0].shadow);
}

/// Changes to [`PUMP`] and what is said about them: (replace, by, line, key, parts of the message).
const TWIN_MISTAKES: &[(&str, &str, usize, &str, [&str; 2])] = &[
    ("devices = 4", "series = \"x\"", 7, "fleet[0].series", ["of kind \"replay\"", "set kind = \"replay\""]),
    ("devices = 4", "devices = 4\nload = 1.0", 8, "fleet[0].load", ["of kind \"meter\"", "flow"]),
    ("devices = 4", "devices = 4\nflow = 0.5", 8, "fleet[0].flow", ["is 0.5", "from 1 to 100000"]),
    ("devices = 4", "devices = 4\nshadow = 1", 8, "fleet[0].shadow", ["is the number 1", "true or false"]),
    ("devices = 4", "devices = 4\npower = \"sun\"", 8, "fleet[0].power", ["is \"sun\"", "\"battery\""]),
    ("devices = 4", "flow = 9.0", 4, "fleet[0].devices", ["is missing", "a whole number"]),
    (
        "devices = 4",
        "devices = 4\nmetric = [{ name = \"a\" }]",
        8,
        "fleet[0].metric",
        ["of kind \"synthetic\"", "this one is \"pump\""],
    ),
];

/// Tables `[[fleet.failure]]` of a pump and what is said about them, with the line in the table.
const FAILURE_MISTAKES: &[(&str, usize, &str, [&str; 2])] = &[
    ("kind = \"worn\"", 1, "kind", ["is \"worn\"", "\"bearing-wear\""]),
    ("kind = \"coverage-loss\"", 1, "kind", ["which only a tracker has", "one of stuck, drift"]),
    ("kind = \"stuck\"", 0, "metric", ["is missing", "The metric that fails"]),
    ("kind = \"stuck\"\nmetric = \"flwo\"", 2, "metric", ["a pump does not measure", "did you mean `flow`?"]),
    ("kind = \"drift\"\nmetric = \"flow\"", 0, "amount", ["is missing", "a finite number"]),
    (
        "kind = \"stuck\"\nmetric = \"flow\"\namount = 2",
        3,
        "amount",
        ["for the kind \"stuck\"", "this kind has: metric"],
    ),
    ("kind = \"bearing-wear\"\namount = -2", 2, "amount", ["is negative", "wear only grows"]),
    ("kind = \"dropout\"\nfrom = \"10min\"", 2, "from", ["is 10min", "less than phase.hardship"]),
    ("kind = \"dropout\"\nmetrc = \"flow\"", 2, "metrc", ["is not a key", "did you mean `metric`?"]),
];

#[test]
fn mistakes_in_fleets_of_twins_are_found() {
    let said = |text: &str, line: usize, key: &str, parts: &[&str]| {
        let error = parse(text).expect_err(key);
        let shown = error.to_string();
        assert_eq!((error.key.as_str(), error.place.as_ref().map(|place| place.line)), (key, Some(line)), "{shown}");
        assert!(parts.iter().all(|part| shown.contains(part)), "{parts:?} in\n{shown}");
        assert!(!error.expected.is_empty() && !error.hint.is_empty(), "{shown}");
    };
    for (replace, by, line, key, parts) in TWIN_MISTAKES {
        said(&PUMP.replace(replace, by), *line, key, parts);
    }
    for (text, line, key, parts) in FAILURE_MISTAKES {
        let text = PUMP.replace("[phase]", &format!("[[fleet.failure]]\n{text}\n[phase]"));
        said(&text, 9 + line, &format!("fleet[0].failure[0].{key}"), parts);
    }
    let synthetic = SYNTHETIC.replace("devices = 4", "devices = 4\npower = \"mains\"");
    said(&synthetic, 8, "fleet[0].power", &["\"pump\", \"hvac\"", "this one is \"synthetic\""]);
    let dropout = |metric: &str| format!("[[fleet.failure]]\nkind = \"dropout\"\nmetric = \"{metric}\"\n");
    let all: String = ["vibration", "motor_temp", "flow", "pressure"].map(dropout).concat();
    said(&PUMP.replace("[phase]", &format!("{all}[phase]")), 9, "fleet[0].failure", &["drops every metric"]);
}

#[test]
fn failures_of_a_run_end_with_its_hardship() {
    let failures = "[[fleet.failure]]\nkind = \"dropout\"\nfrom = \"2min\"\n\
                    [[fleet.failure]]\nkind = \"dropout\"\nfrom = \"8min\"\nlasting = \"1min\"\n";
    let scenario = parse(&PUMP.replace("[phase]", &format!("{failures}[phase]"))).unwrap();
    let lasting = |minutes: u64| {
        let hardship = Some(Duration::from_secs(60 * minutes));
        let scenario = scenario.with_overrides(&Overrides { hardship, ..Overrides::default() })?;
        let fleets = scenario.fleets_in_hardship();
        let ModelSpec::Twin(twin) = &fleets[0].model else { panic!("a twin") };
        Ok::<_, ScenarioError>(twin.failures.iter().map(|f| f.lasting.unwrap().as_secs()).collect::<Vec<_>>())
    };
    assert_eq!((lasting(10).unwrap(), lasting(20).unwrap()), (vec![480, 60], vec![1_080, 60]));
    assert_eq!(lasting(8).unwrap_err().key, "fleet[0].failure[1].from");
}

#[test]
fn a_folder_of_series_is_one_device_for_each_in_the_order_of_their_paths() {
    let folder = folder();
    let scenario = Scenario::parse(REPLAY, &folder.path().join("r.toml")).unwrap();
    let fleet = &scenario.fleets[0];
    let ModelSpec::Replay(model) = &fleet.model else { panic!("a replay fleet") };
    let series: Vec<(&str, usize)> = model.series.iter().map(|s| (s.name.as_str(), s.rows.len())).collect();
    assert_eq!((series, fleet.devices), (vec![("x", 700), ("b", 3)], 2));
    assert_eq!(model.pace, Pace::Every(Duration::from_secs(1)));
    assert_eq!(scenario.readings_max(), 601 + 3);
    assert_eq!(scenario.notes(), ["fleet `replay` plays 604 of 703 recorded rows: the others do not fit into 10min"]);
    let one = REPLAY.replace("\"series\"", "\"other/one.csv\"");
    let scenario = Scenario::parse(&one, &folder.path().join("r.toml")).unwrap();
    assert_eq!((scenario.fleets[0].devices, scenario.notes().len()), (1, 0));
}

#[test]
fn tenants_are_numbered_when_there_are_several() {
    for (count, expected) in [("1", &["acme"][..]), ("3", &["acme-01", "acme-02", "acme-03"][..])] {
        let scenario = parse(&SYNTHETIC.replace("devices", &format!("tenants = {count}\ndevices"))).unwrap();
        assert_eq!(scenario.fleets[0].tenants, expected);
    }
    let many = SYNTHETIC.replace("devices = 4", "tenants = 120\ndevices = 120");
    assert_eq!(parse(&many).unwrap().fleets[0].tenants[7], "acme-008");
}

/// The part of a file that a section's keys belong to, created when it is absent.
fn section<'a>(document: &'a mut DocumentMut, name: &str) -> &'a mut dyn toml_edit::TableLike {
    fn first(item: &mut Item) -> &mut dyn toml_edit::TableLike {
        if item.is_array_of_tables() {
            return item.as_array_of_tables_mut().unwrap().get_mut(0).unwrap();
        }
        item.as_table_like_mut().unwrap()
    }
    let mut table: &mut dyn toml_edit::TableLike = document.as_table_mut();
    for part in name.split('.').filter(|part| !part.is_empty()) {
        let item = table.entry(part).or_insert_with(|| {
            if part == "metric" {
                let mut metrics = toml_edit::ArrayOfTables::new();
                metrics.push(toml_edit::Table::from_iter([("name", "flow")]));
                return Item::ArrayOfTables(metrics);
            }
            if part == "failure" {
                let failure = toml_edit::Table::from_iter([("kind", "stuck"), ("metric", "flow")]);
                return Item::ArrayOfTables(toml_edit::ArrayOfTables::from_iter([failure]));
            }
            if part == "change" {
                let mut change = toml_edit::Table::from_iter([("at", "1min")]);
                change.insert("platform", "{ raw_shards = 3 }".parse::<toml_edit::Value>().unwrap().into());
                let patch = "{ stack = 'enrichment', path = '/Resources/A', value = 'b' }";
                change.insert("patch", patch.parse::<toml_edit::Value>().unwrap().into());
                return Item::ArrayOfTables(toml_edit::ArrayOfTables::from_iter([change]));
            }
            if part == "rollout" {
                let desired = "{ firmware = '1.1.0', setpoint = 21.0 }".parse::<toml_edit::Value>().unwrap();
                let rollout = toml_edit::Table::from_iter([("desired", desired)]);
                return Item::ArrayOfTables(toml_edit::ArrayOfTables::from_iter([rollout]));
            }
            if part == "command" {
                let command = toml_edit::Table::from_iter([("every", "1min")]);
                return Item::ArrayOfTables(toml_edit::ArrayOfTables::from_iter([command]));
            }
            if part == "fault" {
                let fault = toml_edit::Table::from_iter([("kind", "slow-service")]);
                return Item::ArrayOfTables(toml_edit::ArrayOfTables::from_iter([fault]));
            }
            toml_edit::table()
        });
        table = first(item);
    }
    table
}

/// A file with a key set, or taken out when there is no value.
fn with(text: &str, key: &schema::Key, value: Option<&str>) -> String {
    let mut document: DocumentMut = text.parse().unwrap();
    let table = section(&mut document, key.section);
    match value {
        Some(value) => drop(table.insert(key.name, Item::Value(value.parse().unwrap()))),
        None => drop(table.remove(key.name)),
    }
    document.to_string()
}

#[test]
fn every_key_changes_something_and_has_the_default_that_it_says() {
    let folder = folder();
    let parse = |text: &str| {
        let mut scenario =
            Scenario::parse(text, &folder.path().join("k.toml")).unwrap_or_else(|e| panic!("{text}\n{e}"));
        scenario.source.text.clear();
        scenario
    };
    for key in KEYS {
        if matches!(key.takes, Takes::Table(_) | Takes::Tables(_)) {
            assert!(
                schema::keys_of(key.name).count() + schema::keys_of(&format!("{}.{}", key.section, key.name)).count()
                    > 0
            );
            continue;
        }
        if key.name == "kind" {
            // That each kind of fault is another is a test of the kinds.
            assert_ne!(parse(SYNTHETIC), parse(REPLAY));
            assert_ne!(parse(PUMP), parse(&PUMP.replace("pump", "meter")));
            continue;
        }
        let base = match key.only {
            _ if key.section == "fleet.failure" => PUMP.to_owned(),
            [] => SYNTHETIC.to_owned(),
            many if many.contains(&"pump") => PUMP.to_owned(),
            [schema::REPLAY, ..] => REPLAY.to_owned(),
            [schema::SYNTHETIC, ..] => SYNTHETIC.to_owned(),
            [twin, ..] => PUMP.replace("pump", twin),
        };
        let mut base: DocumentMut = base.parse().unwrap();
        if key.section.starts_with("rollout") || key.section == "command" {
            section(&mut base, "fleet").insert("shadow", Item::Value(true.into()));
        }
        section(&mut base, key.section);
        if key.section == "fleet.failure" {
            let failure = match key.name {
                "metric" => "{ kind = 'dropout' }",
                "amount" => "{ kind = 'bearing-wear' }",
                "probability" => "{ kind = 'spike', metric = 'flow', amount = 90.0 }",
                _ => "{ kind = 'stuck', metric = 'flow' }",
            };
            let failure = failure.parse::<toml_edit::Value>().unwrap().as_inline_table().unwrap().clone().into_table();
            let fleet = base["fleet"].as_array_of_tables_mut().unwrap().get_mut(0).unwrap();
            fleet.insert("failure", Item::ArrayOfTables(toml_edit::ArrayOfTables::from_iter([failure])));
        }
        if key.section == "fault" {
            let has = |contract: &&Contract| contract.keys.iter().any(|has| has.as_str() == key.name);
            let kind = KINDS.iter().find(has).map_or("throttle", |contract| contract.id);
            section(&mut base, "fault").insert("kind", Item::Value(kind.into()));
        }
        let base = base.to_string();
        assert_ne!(parse(&base), parse(&with(&base, key, Some(key.example))), "`{}` has no effect", key.name);
        let absent = Scenario::parse(&with(&base, key, None), &folder.path().join("k.toml"));
        match key.absent {
            Absent::Required => {
                let error = absent.expect_err(key.name);
                assert!(error.key.ends_with(key.name) && error.problem == "is missing", "{error}");
            }
            Absent::Toml(value) => {
                assert_eq!(parse(&with(&base, key, None)), parse(&with(&base, key, Some(value))), "`{}`", key.name);
            }
            Absent::Words(_) => assert!(absent.is_ok(), "`{}` is optional", key.name),
        }
    }
}

#[test]
fn sections_and_keys_fit_together() {
    let mut seen = BTreeSet::new();
    for key in KEYS {
        assert!(seen.insert((key.section, key.name)), "{}.{} is there twice", key.section, key.name);
        assert!(schema::SECTIONS.iter().any(|s| s.name == key.section), "{} has no section", key.name);
    }
    for section in schema::SECTIONS {
        assert!(schema::keys_of(section.name).count() > 0, "[{}] has no key", section.name);
    }
}

/// Changes to [`SYNTHETIC`] and what is said about them: (replace, by, line, key, parts of the message).
const MISTAKES: &[(&str, &str, usize, &str, &[&str])] = &[
    (
        "publish_every",
        "publsh_every",
        8,
        "fleet[0].publsh_every",
        &["is not a key of fleet", "did you mean `publish_every`?"],
    ),
    ("title", "titel", 1, "titel", &["top of the file", "did you mean `title`?"]),
    ("why = \"w\"", "why = \"w\"\nhardship = \"1h\"", 3, "hardship", &["belongs to the section `phase`"]),
    ("peace =", "seeds = [3]\npeace =", 12, "phase.seeds", &["belongs to the top of the file"]),
    (
        "peace = \"3min\"",
        "",
        10,
        "phase.peace",
        &["is missing", "\"1s\" to \"7d\"", "half a minute more. Add a line such as peace = \"4min\""],
    ),
    ("why = \"w\"", "", 1, "why", &["is missing"]),
    ("title = \"t\"", "title = 7", 1, "title", &["is the number 7", "write it in quotes"]),
    ("title = \"t\"", "title = \"  \"", 1, "title", &["is empty"]),
    (
        "\"10s\"",
        "\"10sec\"",
        8,
        "fleet[0].publish_every",
        &["the unit `sec`", "d, h, min, s, ms", "did you mean \"10s\"?"],
    ),
    ("\"10s\"", "10", 8, "fleet[0].publish_every", &["is 10, without a unit", "\"10s\""]),
    ("\"10s\"", "true", 8, "fleet[0].publish_every", &["is true", "in quotes"]),
    (
        "\"10s\"",
        "\"9ms\"",
        8,
        "fleet[0].publish_every",
        &["is \"9ms\"", "the shortest is \"13ms\": a device sends at most 80"],
    ),
    ("\"10s\"", "\"8d\"", 8, "fleet[0].publish_every", &["the longest is \"7d\""]),
    (
        "\"10s\"",
        "\"11min\"",
        11,
        "phase.hardship",
        &["is 10min, shorter than one interval", "`fleet[0].publish_every`"],
    ),
    ("\"3min\"", "\"0s\"", 12, "phase.peace", &["is \"0s\"", "the shortest is \"1s\""]),
    ("\"10min\"", "\"9000h\"", 11, "phase.hardship", &["is \"9000h\"", "the longest is \"366d\""]),
    ("devices = 4", "devices = 0", 7, "fleet[0].devices", &["is 0", "from 1 to 500000"]),
    ("devices = 4", "devices = -4", 7, "fleet[0].devices", &["is -4"]),
    ("devices = 4", "devices = 500_001", 7, "fleet[0].devices", &["is 500001", "from 1 to 500000"]),
    ("devices = 4", "devices = \"4\"", 7, "fleet[0].devices", &["is the text \"4\"", "without quotes"]),
    ("devices = 4", "devices = 4.5", 7, "fleet[0].devices", &["is the number 4.5", "without a fraction"]),
    ("devices = 4", "devices = 4\ntenants = 5", 8, "fleet[0].tenants", &["is 5, and the fleet has 4 devices"]),
    (
        "devices = 4",
        "devices = 4\npace = \"1s\"",
        8,
        "fleet[0].pace",
        &["belongs to fleets of kind \"replay\"", "`publish_every`"],
    ),
    ("devices = 4", "devices = 4\nseries = \"x\"", 8, "fleet[0].series", &["set kind = \"replay\""]),
    (
        "kind = \"synthetic\"",
        "kind = \"synthetik\"",
        5,
        "fleet[0].kind",
        &["is not known", "did you mean `synthetic`?"],
    ),
    ("\"acme\"", "\"acme/+\"", 6, "fleet[0].tenant", &["is \"acme/+\"", "of a-z, 0-9 and -"]),
    ("\"acme\"", "\"Acme\"", 6, "fleet[0].tenant", &["is \"Acme\""]),
    ("devices = 4", "network = \"5g\"\ndevices = 4", 7, "fleet[0].network", &["\"ethernet\", \"wifi\", \"lte\""]),
    (
        "peace = \"3min\"",
        "peace = \"3min\"\n[[rollout]]\ndesired = { firmware = \"2\" }",
        13,
        "rollout[0]",
        &["no such fleet has shadow = true"],
    ),
    (
        "publish_every = \"10s\"",
        "publish_every = \"10s\"\nshadow = true\n[[rollout]]\nbatch = 1\npause = \"4min\"\ndesired = { firmware = \"2\" }",
        11,
        "rollout[0].batch",
        &["the last batch begins after 12min", "take larger batches"],
    ),
    (
        "publish_every = \"10s\"",
        "publish_every = \"10s\"\nshadow = true\n[[rollout]]\ndesired = {}",
        11,
        "rollout[0].desired",
        &["desires nothing", "name a firmware"],
    ),
    ("devices = 4", "session = \"sticky\"\ndevices = 4", 7, "fleet[0].session", &["\"clean\", \"persistent\""]),
    ("devices = 4", "shadow = \"yes\"\ndevices = 4", 7, "fleet[0].shadow", &["write true or false"]),
    (
        "peace = \"3min\"",
        "peace = \"3min\"\n[[command]]\nevery = \"5s\"",
        13,
        "command[0]",
        &["no such fleet has session = \"persistent\""],
    ),
    (
        "publish_every = \"10s\"",
        "publish_every = \"10s\"\nshadow = true\n[[command]]\nevery = \"5s\"\nuntil = \"11min\"",
        12,
        "command[0].until",
        &["ends after 11min", "within phase.hardship (10min)"],
    ),
    (
        "[phase]",
        "[[fleet.metric]]\nname = \"a\"\nbaseline = nan\n[phase]",
        12,
        "fleet[0].metric[0].baseline",
        &["is the number nan", "finite"],
    ),
    (
        "[phase]",
        "[[fleet.metric]]\nname = \"a\"\ndrift_per_day = -inf\n[phase]",
        12,
        "fleet[0].metric[0].drift_per_day",
        &["finite"],
    ),
    (
        "[phase]",
        "[[fleet.metric]]\nname = \"a\"\nbaseline = 1e306\n[phase]",
        12,
        "fleet[0].metric[0].baseline",
        &["is the number 1e306", "from -1e12 to 1e12", "another unit"],
    ),
    (
        "[phase]",
        "[[fleet.metric]]\nname = \"a\"\ndrift_per_day = -1_000_000_000_001\n[phase]",
        12,
        "fleet[0].metric[0].drift_per_day",
        &["is the number -1000000000001", "from -1e12 to 1e12"],
    ),
    (
        "[phase]",
        "[[fleet.metric]]\nname = \"a\"\nseason_amplitude = 2e12\n[phase]",
        12,
        "fleet[0].metric[0].season_amplitude",
        &["is the number 2e12", "not negative, at most 1e12"],
    ),
    (
        "[phase]",
        "[[fleet.metric]]\nname = \"a\"\nnoise = -1\n[phase]",
        12,
        "fleet[0].metric[0].noise",
        &["is -1", "not negative"],
    ),
    (
        "[phase]",
        "[[fleet.metric]]\nname = \"a\"\nseason_period = \"0s\"\n[phase]",
        12,
        "fleet[0].metric[0].season_period",
        &["shortest is \"1s\""],
    ),
    ("[phase]", "[[fleet.metric]]\nname = \"a b\"\n[phase]", 11, "fleet[0].metric[0].name", &["is \"a b\""]),
    (
        "[phase]",
        "[[fleet.metric]]\nname = \"a\"\n[[fleet.metric]]\nname = \"a\"\n[phase]",
        13,
        "fleet[0].metric[1].name",
        &["a second time"],
    ),
    ("[phase]", "[[fleet.metric]]\nunit = \"bar\"\n[phase]", 10, "fleet[0].metric[0].name", &["is missing"]),
    (
        "[phase]",
        "[[fleet]]\nkind = \"synthetic\"\ntenant = \"b\"\ndevices = 1\npublish_every = \"1s\"\n[phase]",
        10,
        "fleet[1].name",
        &["is \"synthetic\", and another fleet has that name"],
    ),
    (
        "[phase]",
        "[[fleet]]\nname = \"b\"\nkind = \"synthetic\"\ntenant = \"b\"\ndevices = 499_999\npublish_every = \"5min\"\n[phase]",
        14,
        "fleet[1].devices",
        &["makes 500003 devices in all fleets"],
    ),
    ("[[fleet]]", "[fleet]", 4, "fleet", &["is a table", "[[fleet]]"]),
    ("why = \"w\"", "why = \"w\"\nseeds = []", 3, "seeds", &["is empty"]),
    ("why = \"w\"", "why = \"w\"\nseeds = [1, -2]", 3, "seeds", &["has -2"]),
    ("why = \"w\"", "why = \"w\"\nseeds = [1, 1]", 3, "seeds", &["has 1 twice"]),
    ("why = \"w\"", "why = \"w\"\nseeds = 1", 3, "seeds", &["is the number 1", "write a list"]),
    ("why = \"w\"", "why = \"w\"\nstart = 2026-03-01", 3, "start", &["is 2026-03-01", "Z is UTC"]),
    ("why = \"w\"", "why = \"w\"\nstart = \"soon\"", 3, "start", &["is soon"]),
    ("why = \"w\"", "why = \"w\"\nstart = 2022-12-31T23:59:59Z", 3, "start", &["begins in 2023"]),
    (
        "[phase]",
        "[[change]]\nat = \"1min\"\n[phase]",
        10,
        "change[0]",
        &["changes nothing", "`platform`, `patch` or both"],
    ),
    ("[phase]", "[[change]]\nplatform = {}\n[phase]", 10, "change[0].at", &["is missing", "at = \"5min\""]),
    (
        "[phase]",
        "[[change]]\nat = \"10min\"\nplatform = {}\n[phase]",
        11,
        "change[0].at",
        &["is 10min", "less than phase.hardship", "in the order of time"],
    ),
    (
        "[phase]",
        "[[change]]\nat = \"3min\"\nplatform = {}\n[[change]]\nat = \"2min\"\nplatform = {}\n[phase]",
        14,
        "change[1].at",
        &["is 2min", "from 3min"],
    ),
    (
        "[phase]",
        "[[change]]\nat = \"1min\"\nplatform = {}\noutcome = \"rolledback\"\n[phase]",
        13,
        "change[0].outcome",
        &["did you mean `rolled-back`?"],
    ),
    (
        "[phase]",
        "[[change]]\nat = \"1min\"\npatch = { stack = \"streaming\", path = \"Resources\", value = 1 }\n[phase]",
        12,
        "change[0].patch.path",
        &["is \"Resources\"", "begins with /Resources/"],
    ),
    (
        "[phase]",
        "[[change]]\nat = \"1min\"\npatch = { stack = \"streaming\", path = \"/A\", value = 2026-01-01 }\n[phase]",
        12,
        "change[0].patch.value",
        &["has a date", "any value of TOML but a date"],
    ),
    ("why = \"w\"", "why = \"w\"\nplatform = 3", 3, "platform", &["is the number 3", "platform = { … }"]),
    (
        "why = \"w\"",
        "why = \"w\"\nexpect = { verdict = \"fine\" }",
        3,
        "expect.verdict",
        &["\"held\", \"violated\", \"unsettled\""],
    ),
    (
        "why = \"w\"",
        "why = \"w\"\nexpect = { invariants = [\"conservaton\"] }",
        3,
        "expect.invariants",
        &["\"conservation\", \"order\"", "did you mean `conservation`?"],
    ),
    (
        "why = \"w\"",
        "why = \"w\"\nexpect = { marks = [\"batch-splitt\"] }",
        3,
        "expect.marks",
        &["\"batch-repeated\", \"batch-split\"", "did you mean `batch-split`?"],
    ),
    (
        "why = \"w\"",
        "why = \"w\"\nexpect = { verdict = \"violated\", marks = [\"batch-split\"] }",
        3,
        "expect.marks",
        &["belongs to a canary", "whose verdict is `held`", "cargo sim marks"],
    ),
    (
        "why = \"w\"",
        "why = \"w\"\nexpect = { budget = { latency = \"1s\" } }",
        3,
        "expect.budget.latency",
        &["one of latency_p99"],
    ),
    ("devices = 4", "devices = ", 7, "devices", &["is not TOML"]),
    ("devices = 4", "devices = 4\ndevices = 5", 8, "devices", &["is not TOML", "duplicate"]),
    ("\"10s\"", "10s", 8, "publish_every", &["is not TOML", "need quotes"]),
    ("[phase]", "[phase", 10, "", &["is not TOML"]),
];

#[test]
fn every_mistake_is_one_error_with_file_line_key_expectation_and_hint() {
    let mut wrong = Vec::new();
    for (replace, by, line, key, parts) in MISTAKES {
        let text = SYNTHETIC.replacen(replace, by, 1);
        assert_ne!(text, SYNTHETIC, "{replace}");
        let Err(error) = parse(&text) else {
            wrong.push(format!("{by}: no error"));
            continue;
        };
        let shown = error.to_string();
        let mut check = |ok: bool, what: &str| {
            if !ok {
                wrong.push(format!("{by}: {what}, in\n{shown}"));
            }
        };
        check(error.key == *key, &format!("the key is not {key}"));
        check(shown.starts_with(&format!("demo/some.toml:{line}:")), &format!("the line is not {line}"));
        check(!error.expected.is_empty() && !error.hint.is_empty(), "expectation or hint is empty");
        for part in *parts {
            check(shown.contains(part), &format!("{part:?} is missing"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_misspelt_key_is_named_before_the_missing_key_that_it_causes() {
    for (replace, by, key) in [
        ("peace", "paece", "phase.paece"),
        ("[phase]", "[phsae]", "phsae"),
        ("publish_every", "publish_evry", "fleet[0].publish_evry"),
        ("tenant", "tennant", "fleet[0].tennant"),
    ] {
        let error = parse(&SYNTHETIC.replacen(replace, by, 1)).expect_err(by);
        assert_eq!(
            (error.key.as_str(), error.hint.as_str()),
            (key, format!("did you mean `{}`?", replace.trim_matches(['[', ']'])).as_str())
        );
    }
    let error = parse("title = \"t\"\n[[fleet]]\nkind = \"synthetic\"\npublsh_every = \"10s\"\n").unwrap_err();
    assert_eq!(error.key, "fleet[0].publsh_every");
}

#[test]
fn more_readings_than_a_run_is_made_for_are_refused() {
    let text = SYNTHETIC.replace("devices = 4", "devices = 400_000").replace("10min", "1h");
    let error = parse(&text).unwrap_err();
    assert_eq!(error.key, "phase.hardship");
    assert!(
        error.to_string().contains("publish 144400000 readings") && error.expected.contains("100000000"),
        "{error}"
    );
}

#[test]
fn the_shortest_interval_is_one_that_a_device_can_keep() {
    let shortest = duration::parse(schema::PUBLISH_EVERY_MIN).unwrap();
    let sent_a_second = f64::from(crate::fleet::Settings::default().publishes_per_second);
    assert!(1.0 / shortest.as_secs_f64() <= sent_a_second, "{shortest:?}");
    assert!(1.0 / (shortest - Duration::from_millis(1)).as_secs_f64() > sent_a_second, "it could be shorter");
}

#[test]
fn two_fleets_with_a_device_of_one_name_are_refused() {
    let folder = folder();
    fs::rename(folder.path().join("other/one.csv"), folder.path().join("other/b-00002.csv")).unwrap();
    let replay = |name: &str| {
        format!("[[fleet]]\nname = \"{name}\"\nkind = \"replay\"\ntenant = \"acme\"\nseries = \"other\"\n\n[phase]")
    };
    let with = |from: &str, more: &str| SYNTHETIC.replace("kind", from).replace("[phase]", more);
    let parse = |text: &str| Scenario::parse(text, &folder.path().join("r.toml"));
    // Devices a-b-00001 to a-b-00004, and a-b-00002.
    let text = with("name = \"a-b\"\nkind", &replay("a"));
    let error = parse(&text).unwrap_err();
    assert_eq!((error.key.as_str(), error.place.as_ref().unwrap().line), ("fleet[1].series", 15), "{error}");
    for part in ["\"b-00002\"", "\"a-b-00002\"", "fleet \"a-b\"", "rename the file"] {
        assert!(error.to_string().contains(part), "{part} is missing in {error}");
    }
    assert!(parse(&text.replace("devices = 4", "devices = 1")).is_ok(), "there is no second device then");
    assert!(parse(&with("name = \"a-c\"\nkind", &replay("a"))).is_ok());
}

/// Adds series that no fleet can play.
fn spoil(folder: &std::path::Path) {
    for path in ["twice/x/s.csv", "twice/y/s.csv", "blank/my file.csv"] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "timestamp,value\n2014-02-14 14:30:00,1\n").unwrap();
    }
    let bad = folder.join("other/one.csv");
    fs::write(&bad, "timestamp,value\n2014-02-14 14:30:00,oops\n").unwrap();
}

#[test]
fn mistakes_of_replayed_fleets_are_found() {
    let folder = folder();
    spoil(folder.path());
    for (replace, by, key, parts) in [
        (
            "\"series\"",
            "\"nowhere\"",
            "fleet[0].series",
            ["nowhere, which does not exist", "folder of the scenario file"],
        ),
        (
            "\"series\"",
            "\"twice\"",
            "fleet[0].series",
            ["twice/x/s.csv and ", "twice/y/s.csv, whose devices would both be"],
        ),
        ("\"series\"", "\"blank\"", "fleet[0].series", ["blank/my file.csv, whose device would be", "rename the file"]),
        ("\"series\"", "\"empty\"", "fleet[0].series", ["holds no *.csv file", "at least one series"]),
        ("\"series\"", "\"other\"", "value", ["one.csv:2:21: `value` is \"oops\"", "a finite number"]),
        ("series = \"series\"", "", "fleet[0].series", ["is missing", "a path"]),
        (
            "series = \"series\"",
            "series = \"series\"\ndevices = 3",
            "fleet[0].devices",
            ["belongs to fleets of kind \"synthetic\"", "one device for each series"],
        ),
        (
            "series = \"series\"",
            "series = \"series\"\npublish_every = \"1s\"",
            "fleet[0].publish_every",
            ["belongs to", "`pace`"],
        ),
        (
            "series = \"series\"",
            "series = \"series\"\npace = \"fast\"",
            "fleet[0].pace",
            ["not a duration", "or \"recorded\""],
        ),
        (
            "series = \"series\"",
            "series = \"series\"\npace = \"5ms\"",
            "fleet[0].pace",
            ["the shortest is \"13ms\": a device sends at most 80", "recorded"],
        ),
        (
            "series = \"series\"",
            "series = \"series\"\npace = \"20min\"",
            "phase.hardship",
            ["shorter than one interval", "`fleet[0].pace`"],
        ),
        (
            "series = \"series\"",
            "series = \"series\"\ntenants = 3",
            "fleet[0].tenants",
            ["is 3, and the fleet has 2", "at most"],
        ),
    ] {
        let text = REPLAY.replacen(replace, by, 1);
        let error = Scenario::parse(&text, &folder.path().join("r.toml")).expect_err(by);
        let shown = error.to_string();
        assert_eq!(error.key, key, "{shown}");
        assert!(error.place.is_some(), "{shown}");
        for part in parts {
            assert!(shown.contains(part), "{by}: {part:?} is missing in\n{shown}");
        }
    }
}

#[test]
fn a_missing_file_suggests_a_near_name_and_the_list() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("smoke.toml"), SYNTHETIC).unwrap();
    let error = Scenario::load(&folder.path().join("smok.toml")).unwrap_err().to_string();
    assert!(error.contains("smok.toml: does not exist") && error.contains("smoke.toml`?"), "{error}");
    assert!(error.contains("`cargo sim list`"), "{error}");
    fs::write(folder.path().join("deny.toml"), "[graph]\n").unwrap();
    let error = Scenario::load(&folder.path().join("nope.toml")).unwrap_err();
    assert_eq!(error.hint, "`cargo sim list` shows the scenarios", "files that are no scenarios are not suggested");
    fs::write(folder.path().join("latin.toml"), b"title = \"\xe9t\xe9\"\n").unwrap();
    let error = Scenario::load(&folder.path().join("latin.toml")).unwrap_err().to_string();
    assert!(error.contains("is not text in UTF-8") && error.contains("hint: save it as UTF-8"), "{error}");
    let error = Scenario::load(Path::new("no/such.toml")).unwrap_err().to_string();
    assert!(error.starts_with("no/such.toml: does not exist") && error.contains("hint: `cargo sim list`"), "{error}");
}

#[test]
fn an_error_of_the_platform_is_shown_where_the_key_stands() {
    let text = format!("{SYNTHETIC}\n[platform]\nraw_shards = 3\n\n[platform.enrichment]\nbatch_size = 0\n");
    let scenario = parse(&text).unwrap();
    assert_eq!(scenario.platform.as_ref().unwrap()["raw_shards"].as_integer(), Some(3));
    for (key, line) in [
        ("platform.raw_shards", Some(15)),
        ("platform.enrichment.batch_size", Some(18)),
        ("platform.enrichment.memory_mib", Some(17)),
        ("platform.env", Some(14)),
        ("fleet[0].devices", Some(7)),
        ("fleet[0].name", Some(4)),
        ("phase", Some(10)),
        ("nothing", None),
    ] {
        let error = scenario.located_error(key, "is wrong", "right", "try again");
        assert_eq!(error.place.map(|p| p.line), line, "{key}");
    }
}

#[test]
fn the_platform_table_becomes_a_type_or_a_located_error() {
    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        raw_shards: u32,
        enriched_shards: u32,
    }
    let read = |table: &str| parse(&format!("{SYNTHETIC}{table}")).unwrap().platform_as::<Settings>();
    assert_eq!(read(""), Ok(Settings::default()));
    assert_eq!(read("[platform]\nraw_shards = 4\n"), Ok(Settings { raw_shards: 4, enriched_shards: 0 }));
    let error = read("[platform]\nraw_shards = 4\nraw_shard = 4\n").unwrap_err();
    assert_eq!((error.key.as_str(), error.place.as_ref().unwrap().line), ("platform.raw_shard", 15));
    assert_eq!(error.hint, "did you mean `raw_shards`?", "{error}");
    let error = read("[platform]\nraw_shards = \"4\"\n").unwrap_err();
    assert_eq!((error.key.as_str(), error.place.as_ref().unwrap().line), ("platform.raw_shards", 14), "{error}");
}

#[test]
fn settings_after_changes_lie_one_over_the_other() {
    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        raw_shards: u32,
        delivery: Delivery,
    }
    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Delivery {
        size: u32,
        interval: u32,
    }
    let read = |changes: &str| {
        let base = "[platform]\nraw_shards = 2\ndelivery = { size = 1, interval = 60 }\n";
        parse(&format!("{SYNTHETIC}{base}{changes}")).unwrap().platform_after_changes::<Settings>()
    };
    assert_eq!(read(""), Ok(Vec::new()));
    let changes = "[[change]]\nat = \"1min\"\nplatform = { raw_shards = 4 }\n\
                   [[change]]\nat = \"2min\"\npatch = { stack = \"s\", path = \"/A\", value = 1 }\n\
                   [[change]]\nat = \"3min\"\nplatform = { delivery.size = 5 }\n";
    let settings = |raw_shards, size| Settings { raw_shards, delivery: Delivery { size, interval: 60 } };
    assert_eq!(read(changes), Ok(vec![settings(4, 1), settings(4, 1), settings(4, 5)]));
    let error = read(&changes.replace("delivery.size", "delivery.sise")).unwrap_err();
    assert_eq!((error.key.as_str(), error.place.as_ref().unwrap().line), ("change[2].platform.delivery.sise", 24));
    assert_eq!(error.hint, "did you mean `size`?", "{error}");
}

#[test]
fn flags_replace_phases_and_rescale_synthetic_fleets_in_proportion() {
    let two = SYNTHETIC.replace(
        "[phase]",
        "[[fleet]]\nname = \"b\"\nkind = \"synthetic\"\ntenant = \"b\"\ntenants = 12\ndevices = 12\npublish_every = \"1s\"\n[phase]",
    );
    let scenario = parse(&two).unwrap();
    let minutes = |n: u64| Some(Duration::from_secs(60 * n));
    let changed =
        scenario.with_overrides(&Overrides { hardship: minutes(2), peace: minutes(1), devices: None }).unwrap();
    assert_eq!((Some(changed.phase.hardship), Some(changed.phase.peace)), (minutes(2), minutes(1)));
    assert_eq!(scenario.with_overrides(&Overrides::default()).unwrap(), scenario);
    for (total, expected) in [(16, [4, 12]), (1600, [400, 1200]), (8, [2, 6]), (2, [1, 1]), (3, [1, 2]), (17, [4, 13])]
    {
        let changed = scenario.with_overrides(&Overrides { devices: Some(total), ..Overrides::default() }).unwrap();
        let devices: Vec<u32> = changed.fleets.iter().map(|f| f.devices).collect();
        assert_eq!(devices, expected, "{total}");
        assert!(changed.fleets.iter().all(|f| f.tenants.len() <= f.devices as usize), "{total}");
    }
    for (overrides, key, part) in [
        (Overrides { devices: Some(1), ..Overrides::default() }, "--devices", "from 2 to 500000"),
        (Overrides { devices: Some(0), ..Overrides::default() }, "--devices", "is 0"),
        (Overrides { peace: Some(Duration::ZERO), ..Overrides::default() }, "--peace", "is 0s"),
        (Overrides { hardship: minutes(999_999), ..Overrides::default() }, "--hardship", "the longest is \"366d\""),
        (
            Overrides { hardship: Some(Duration::from_secs(5)), ..Overrides::default() },
            "phase.hardship",
            "--hardship 5s",
        ),
    ] {
        let error = scenario.with_overrides(&overrides).unwrap_err();
        assert_eq!(error.key, key, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let folder = folder();
    let replay = Scenario::parse(REPLAY, &folder.path().join("r.toml")).unwrap();
    let error = replay.with_overrides(&Overrides { devices: Some(5), ..Overrides::default() }).unwrap_err();
    assert!(error.to_string().contains("no fleet to change"), "{error}");
}

#[test]
fn flags_are_written_as_a_command_line_takes_them() {
    let overrides = Overrides { hardship: Some(Duration::from_secs(90)), peace: None, devices: Some(30) };
    assert_eq!(overrides.flags(), ["--devices", "30", "--hardship", "1min30s"]);
    assert!(Overrides::default().settings().is_empty());
}

#[test]
fn all_scenario_files_of_the_repository_are_valid() {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let scenario = Scenario::load(&path).unwrap_or_else(|e| panic!("{e}"));
            assert!(scenario.notes().is_empty(), "{:?}", scenario.notes());
            names.push(scenario.source.name);
        }
    }
    for kept in [
        "anomalies-once",
        "attention",
        "bad-network",
        "canary-retention-loss",
        "canary-short-peace",
        "crashing-functions",
        "deploy-midflight",
        "fleet-10k",
        "operator-errors",
        "power-loss",
        "provisioning-10k",
        "provisioning-wave",
        "reconnect-storm",
        "region-outage",
        "replay-nab",
        "reshard-storm",
        "bugs-of-gold",
        "firehose-lost-response",
        "hot-partition",
        "lambda-crash-loop",
        "late-data",
        "poison-message",
        "shard-split-under-load",
        "throttled-kinesis",
        "shadow-rollout",
        "smoke",
        "swarm",
        "swarm-gold",
        "twins",
        "hostile-device",
        "unruly-devices",
        "unwell-services",
    ] {
        assert!(names.iter().any(|name| name == kept), "{kept} is not among {names:?}");
    }
}

#[test]
fn the_series_of_the_repository_are_replayed_whole() {
    let scenario = Scenario::load(&root().join("scenarios/replay-nab.toml")).unwrap();
    assert_eq!((scenario.devices(), scenario.readings_max()), (58, 365_558));
}

#[test]
fn the_sample_of_the_document_is_valid() {
    let scenario = parse(super::readme::SAMPLE).unwrap();
    assert_eq!((scenario.fleets.len(), scenario.devices()), (2, 210));
}

#[test]
fn the_document_is_the_schema() {
    let path = root().join("scenarios/README.md");
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == readme(),
        "scenarios/README.md is not what the schema says; write it again with: cargo sim schema > scenarios/README.md"
    );
}
