//! `scenarios/README.md`, written from the schema.

use std::fmt::Write;

use super::default_metrics;
use super::duration::{self, format};
use super::schema::{Absent, DEVICES_MAX, KEYS, Key, READINGS_MAX, SECTIONS, Takes};
use super::{fault, fleet};
use crate::invariant;

/// A whole scenario file, as the document shows it.
pub(super) const SAMPLE: &str = r#"title = "Pumps of two tenants and gateways of a third for half an hour"
why   = "two networks at once, with a season longer than the run"
seeds = [1, 7]

[[fleet]]
name = "pumps"
kind = "synthetic"
tenant = "acme"
tenants = 2
devices = 200
publish_every = "10s"
network = "lte"

[[fleet.metric]]
name = "flow"
unit = "l/min"
baseline = 120.0
noise = 1.5
season_amplitude = 20.0
season_period = "8h"

[[fleet]]
name = "gateways"
kind = "synthetic"
tenant = "globex"
devices = 10
publish_every = "1min"

[phase]
hardship = "30min"       # devices publish
peace = "5min"           # devices only drain: everything owed must arrive

[platform]
raw_shards = 1

[expect]
verdict = "held"
budget = { latency_p99 = "3min" }
"#;

const HEAD: &str = "\
# Scenarios

<!-- Generated from the schema of scenario files: `cargo sim schema > scenarios/README.md`. Do not edit. -->

A scenario says which devices there are, how long they publish, and what the run must come to. A run is a value of
(scenario, seed, build): the same three give the same digest on every machine.

```sh
cargo sim list
cargo sim run scenarios/smoke.toml
cargo sim run scenarios/smoke.toml --seed 7 --out runs/smoke-7
cargo sim verify scenarios/smoke.toml --seed 7
cargo sim bench scenarios/fleet-10k.toml --devices 1000,3000
```

`--hardship`, `--peace` and `--devices` change a scenario for one run. `--devices` is the total of all fleets but
replayed ones, each of which keeps its share.

Exit codes of a run: 0 held, 1 an invariant was violated or a canary held, 2 usage or scenario file, 3 did not settle,
4 not deterministic, 101 a bug of the simulator. A scenario whose `expect.verdict` is not `held` is a canary: its exit
code is that of its verdict, and the summary says whether it was the expected one. A canary that holds ends with 1: a
check that cannot fail proves nothing.
";

/// The document.
pub fn readme() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("\n## A whole file\n\n```toml\n");
    text.push_str(SAMPLE);
    text.push_str("```\n\n## Keys\n");
    for section in SECTIONS {
        let header = if section.name.is_empty() { section.header.to_owned() } else { format!("`{}`", section.header) };
        let _ = write!(text, "\n### {header}\n\n{}\n\n", section.about);
        text.push_str("| key | takes | default | meaning |\n|---|---|---|---|\n");
        for key in KEYS.iter().filter(|k| k.section == section.name) {
            row(&mut text, key);
        }
    }
    notes(&mut text);
    text
}

fn row(text: &mut String, key: &Key) {
    let default = match key.absent {
        Absent::Required => "required".to_owned(),
        Absent::Toml(value) => format!("`{value}`"),
        Absent::Words(words) => words.to_owned(),
    };
    let kinds: Vec<String> = key.only.iter().map(|kind| format!("`\"{kind}\"`")).collect();
    let only = if kinds.is_empty() { String::new() } else { format!("Only `kind` {}. ", kinds.join(", ")) };
    let example = match key.takes {
        Takes::Choice(_) | Takes::Choices(_) => String::new(),
        _ if key.example.is_empty() => String::new(),
        _ => format!(" Example: `{}`.", key.example),
    };
    let _ =
        writeln!(text, "| `{}` | {} | {default} | {only}{}{example} |", key.name, key.takes.expected(), key.meaning);
}

fn notes(text: &mut String) {
    let _ = write!(
        text,
        "\n## Values\n\n- A duration is {}.\n- All fleets together have at most {DEVICES_MAX} devices, and a run publishes \
         at most {READINGS_MAX} readings.\n- A misspelt key, a wrong unit or an impossible value is refused with file, line, \
         key and a hint.\n",
        duration::EXPECTED
    );
    text.push_str(
        "\n## Recorded series\n\nA CSV file has the columns `timestamp` and `value`, named in its first line. Timestamps \
         are UTC, such as `2014-02-14 14:30:00`, with or without a fraction; rows are played in the order of the file, and \
         a row travels with its timestamp exactly as it is written (`recorded_at`) and its value as the metric `value`. \
         The device of a file is called after its fleet and the file, so that the files of a fleet need names that differ, \
         of letters, digits, `:`, `_` and `-`. \
         With `pace = \"recorded\"` a row that is not later than the one before follows it at once. A malformed row is \
         refused with file, line and column.\n",
    );
    text.push_str("\n## Default metrics\n\n| name | unit | baseline | noise | season_amplitude | season_period | drift_per_day |\n|---|---|---|---|---|---|---|\n");
    for m in default_metrics() {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            m.name,
            m.unit.as_deref().unwrap_or(""),
            m.baseline,
            m.noise,
            m.season_amplitude,
            format(m.season_period),
            m.drift_per_day
        );
    }
    text.push_str(&fleet::document());
    text.push_str(&fault::document());
    text.push_str("\n## Invariants\n\n| id | promise |\n|---|---|\n");
    for invariant in invariant::ALL {
        let _ = writeln!(text, "| `{}` | {} |", invariant.id, invariant.promise);
    }
}
