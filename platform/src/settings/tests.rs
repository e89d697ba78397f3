use super::*;

fn error(toml: &str) -> String {
    let settings = Settings::parse(toml, "test.toml");
    settings.and_then(|s| s.validate().map(|()| s)).expect_err(toml).to_string()
}

#[test]
fn the_defaults_are_valid_and_survive_toml() {
    let defaults = Settings::default();
    defaults.validate().unwrap();
    let text = toml::to_string(&defaults).unwrap();
    assert_eq!(Settings::parse(&text, "defaults").unwrap(), defaults);
    assert_eq!(Settings::parse("", "empty").unwrap(), defaults);
}

#[test]
fn data_is_retained_in_production_and_where_it_is_asked_for() {
    for (toml, expected) in [
        ("env = 'prod'", Retention::Retain),
        ("env = 'dev'", Retention::Delete),
        ("env = 'dev'\nretain_data = true", Retention::Retain),
        ("env = 'prod'\nretain_data = false", Retention::Delete),
    ] {
        assert_eq!(Settings::parse(toml, "test").unwrap().retention(), expected, "{toml}");
    }
}

#[test]
fn a_negative_number_is_named_with_its_line() {
    let message = error("env = 'dev'\n[retention]\nraw_days = -1\n");
    assert!(message.contains("raw_days = -1") && message.contains("line 3"), "{message}");
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let message = error("env = 'dev'\nraw_shard = 3\n");
    assert!(message.contains("raw_shard") && message.contains("line 2") && message.contains("raw_shards"), "{message}");
}

/// A value that is impossible, and what its error says.
const IMPOSSIBLE: &[(&str, [&str; 3])] = &[
    ("raw_shards = 0", ["`raw_shards` is 0", "1 to 10000", "hint: a shard takes"]),
    (
        "raw_stream_mode = 'on-demand'\nraw_shards = 3",
        ["`raw_shards` is \"3\"", "nothing for a stream on demand", "hint: AWS scales"],
    ),
    (
        "enriched_stream_mode = 'on-demand'\nenriched_shards = 1",
        ["`enriched_shards` is \"1\"", "nothing for a stream on demand", "hint: AWS scales"],
    ),
    ("env = 'Dev'", ["`env` is \"Dev\"", "beginning with a letter", "hint: "]),
    ("env = 'a-very-long-name'", ["`env` is", "1 to 12", "hint: "]),
    ("region = 'europe'", ["`region` is \"europe\"", "the name of a Region", "eu-west-1"]),
    ("account = '123'", ["`account` is \"123\"", "twelve digits", "hint: "]),
    ("lake_start = '2026-01-01'", ["`lake_start` is", "yyyy/MM/dd/HH", "hint: "]),
    ("lake_start = '2026/02/29/00'", ["`lake_start` is", "yyyy/MM/dd/HH", "hint: "]),
    ("region = 'eu-west-9'", ["`region` is \"eu-west-9\"", "the name of a Region", "hint: "]),
    ("region = 'eu-west-+1'", ["`region` is \"eu-west-+1\"", "the name of a Region", "hint: "]),
    ("artifact_bucket = 'Builds'", ["`artifact_bucket` is \"Builds\"", "3 to 63", "hint: "]),
    ("artifact_key = ''", ["`artifact_key` is \"\"", "1 to 1,024 bytes", "hint: "]),
    ("enrichment.batch_window_s = 0", ["`enrichment.batch_window_s` is 0", "1 to 300", "API reference says"]),
    ("[enrichment]\nbatch_size = 20000", ["`enrichment.batch_size` is 20000", "1 to 10000", "hint: "]),
    (
        "[processed_delivery]\nbuffer_size_mib = 5",
        ["`processed_delivery.buffer_size_mib` is 5", "64 to 128", "Parquet"],
    ),
    ("retention.raw_days = 0", ["`retention.raw_days` is 0", "1 to 3650", "hint: "]),
    ("retention.curated_days = 30", ["`retention.curated_days` is 30", "90 to 3650", "at least as long"]),
    ("retention.log_days = 31", ["`retention.log_days` is 31", "14, 30, 60", "CloudWatch Logs"]),
    ("anomaly_detection.batch_window_s = 0", ["`anomaly_detection.batch_window_s` is 0", "1 to 300", "batch_size"]),
    ("enrichment.retry_attempts = 10001", ["`enrichment.retry_attempts` is 10001", "10 to 10000", "hint: "]),
    ("enrichment.retry_attempts = 9", ["`enrichment.retry_attempts` is 9", "10 to 10000", "four minutes"]),
    ("anomaly_detection.retry_attempts = 10001", ["`anomaly_detection.retry_attempts` is", "0 to 10000", "hint: "]),
    ("anomaly_detection.alert_every_s = 90000", ["`anomaly_detection.alert_every_s` is 90000", "0 to 86400", "hint: "]),
    ("anomaly_detection.alert_email = 'me'", ["`anomaly_detection.alert_email` is", "team@example.com", "hint: "]),
    (
        "anomaly_detection.attention.quiet_s = 5",
        ["`anomaly_detection.attention.quiet_s` is 5", "10 to 86400", "hint: "],
    ),
    (
        "anomaly_detection.attention = { interval_min_ms = 1 }",
        ["`anomaly_detection.attention.interval_min_ms` is 1", "10 to 3600000", "hint: "],
    ),
    ("curation.schedule = '20 * * * *'", ["`curation.schedule` is", "cron(minutes", "hint: for example"]),
    (
        "curation.schedule = 'rate(1 day)'",
        ["`curation.schedule` is \"rate(1 day)\"", "at most once an hour, and every 3 h", "leaves hours out"],
    ),
    ("curation.schedule = 'rate(30 minutes)'", ["`curation.schedule` is", "at most once an hour", "nothing new"]),
    ("curation.schedule = 'cron(0 6 * * ? *)'", ["`curation.schedule` is", "every 3 h", "hint: "]),
    ("anomaly_detection.memory_mib = 255", ["`anomaly_detection.memory_mib` is 255", "256 to 10240", "hint: "]),
    ("anomaly_detection.timeout_s = 19", ["`anomaly_detection.timeout_s` is 19", "20 to 900", "devices are asked"]),
    ("enrichment.timeout_s = 9", ["`enrichment.timeout_s` is 9", "10 to 900", "hint: "]),
    ("alarms.delivery_age_s = 299", ["`alarms.delivery_age_s` is 299", "300 to 86400", "buffer interval"]),
    (
        "processed_delivery.buffer_interval_s = 900\nalarms.delivery_age_s = 899",
        ["`alarms.delivery_age_s` is 899", "900 to 86400", "buffer interval"],
    ),
    (
        "[iot.domain]\nname = 'a.example.com'\ncertificate_arn = 'arn:aws:acm:us-east-1:123456789012:certificate/a'",
        ["`iot.domain.certificate_arn` is", "a certificate of eu-west-1", "its own Region"],
    ),
    ("enrichment.reserved_concurrency = 0", ["`enrichment.reserved_concurrency` is 0", "1 to 1000", "hint: "]),
    ("cost.monthly_budget_usd = 0", ["`cost.monthly_budget_usd` is 0", "1 to 1000000", "hint: "]),
    ("identity.password_length_min = 6", ["`identity.password_length_min` is 6", "8 to 99", "hint: "]),
    (
        "[iot.domain]\nname = 'iot.example.com'\ncertificate_arn = 'arn'",
        ["`iot.domain.certificate_arn` is \"arn\"", "the ARN of a certificate", "hint: "],
    ),
    (
        "[pipeline]\nconnection_arn = 'x'\nrepository = 'a/b'",
        ["`pipeline.connection_arn` is \"x\"", "the ARN of a connection", "hint: "],
    ),
    ("athena_scan_limit_bytes = 1", ["`athena_scan_limit_bytes` is 1", "10000000 to", "hint: "]),
];

#[test]
fn an_impossible_value_names_its_key_what_was_expected_and_a_hint() {
    for (toml, parts) in IMPOSSIBLE {
        let message = error(toml);
        for part in parts {
            assert!(message.contains(part), "{toml}: {part:?} is missing in {message}");
        }
    }
}

#[test]
fn a_small_batch_needs_no_window() {
    let text = "[enrichment]\nbatch_size = 10\nbatch_window_s = 0";
    Settings::parse(text, "test").unwrap().validate().unwrap();
}

#[test]
fn the_curation_may_run_every_third_hour_and_where_that_cannot_be_told() {
    for schedule in ["rate(3 hours)", "rate(60 minutes)", "cron(20 0/3 * * ? *)", "cron(20 * * * ? 2026-2030)"] {
        Settings::parse(&format!("curation.schedule = '{schedule}'"), "test").unwrap().validate().unwrap();
    }
}

#[test]
fn an_impossible_value_of_a_file_is_named_with_its_line_and_that_of_the_flag_with_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    for (text, env, origin) in [
        ("env = 'dev'\n\nraw_shards = 0\n", None, "mine.toml:3: "),
        ("env = 'dev'\n[enrichment]\n# Records.\nbatch_size = 20000\n", None, "mine.toml:4: "),
        ("enrichment.timeout_s = 1", None, "mine.toml:1: "),
        ("raw_delivery = { buffer_size_mib = 64,\nbuffer_interval_s = 901 }", None, "mine.toml:2: "),
        ("\nenv = 'Bad'", None, "mine.toml:2: "),
        ("\nenv = 'dev'", Some("Bad"), "--env: "),
        ("\nenv = 'Bad'\nraw_shards = 0", Some("good"), "mine.toml:3: "),
    ] {
        std::fs::write(&path, text).unwrap();
        let message = Settings::load(Some(&path), env).expect_err(text).to_string();
        let before = message.split("settings: `").next().unwrap();
        assert!(before.ends_with(origin) && message.contains("hint: "), "{text}: {message}");
    }
    let message = Settings::load(None, Some("Bad")).unwrap_err().to_string();
    assert!(message.starts_with("--env: settings: `env` is \"Bad\""), "{message}");
    assert_eq!(Settings::load(None, Some("good")).unwrap().env, "good");
}

#[test]
fn a_missing_file_is_named() {
    let message = Settings::load(Some(Path::new("no/such.toml")), None).unwrap_err().to_string();
    assert!(message.contains("no/such.toml") && message.contains("hint: "), "{message}");
}

/// A file of `platform/settings`, by its name.
fn file(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("settings").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    (path, text)
}

#[test]
fn the_file_of_dev_lists_every_key_with_its_default() {
    let (_, text) = file("dev.toml");
    let listed: toml::Table = text.parse().unwrap();
    let defaults = toml::Table::try_from(Settings::default()).unwrap();
    assert_eq!(listed, defaults);
    // Keys without a default are there as comments, and taken when the comment is.
    let without_marks: String = text.lines().map(|line| format!("{}\n", uncommented(line))).collect();
    let everything = Settings::parse(&without_marks, "dev.toml").unwrap_or_else(|e| panic!("{e}"));
    everything.validate().unwrap();
    let known = |value: &Settings| toml::Table::try_from(value).unwrap().len();
    assert!(everything.account.is_some() && everything.retain_data.is_some() && everything.pipeline.is_some());
    assert!(known(&everything) > known(&Settings::default()));
}

/// A line that sets a key behind a comment's mark, without the mark.
fn uncommented(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("# ") else { return line };
    let key = rest.split(['=', ' ']).next().unwrap_or_default();
    let sets = rest.contains(" = ") && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if sets || rest.starts_with('[') { rest } else { line }
}

#[test]
fn the_files_are_valid_and_named_after_their_environment() {
    for name in ["dev", "prod"] {
        let (path, _) = file(&format!("{name}.toml"));
        let settings = Settings::load(Some(&path), None).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(settings.env, name);
    }
}
