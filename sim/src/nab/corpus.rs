//! The corpus from its folder: `data/**/*.csv`, `labels/combined_windows.json`, `config/profiles.json`, laid out as in the
//! benchmark's own repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::PerProfile;
use super::score::{Weights, Window, probation};
use super::split::{Part, part};
use crate::fleet::spec::Series;
use crate::scenario::{Place, ScenarioError, parse_timestamp, read_series};

const LABELS: &str = "labels/combined_windows.json";
const PROFILES: &str = "config/profiles.json";

/// A series of the corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its file below `data/`, with `/` between folders: `realTweets/Twitter_volume_FB.csv`.
    pub path: String,
    /// Its rows.
    pub series: Series,
    /// What there is to find in it.
    pub windows: Vec<Window>,
    /// Whether a detector may be made with it.
    pub part: Part,
}

impl Recorded {
    /// Its folder: what kind of series it is.
    pub fn category(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

/// All series, and the profiles by which they are judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Corpus {
    /// The series that the labels name, sorted by their paths.
    pub series: Vec<Recorded>,
    /// The costs of each profile.
    pub profiles: PerProfile<Weights>,
}

/// A profile as the file has it.
#[derive(Deserialize)]
struct Profile {
    #[serde(rename = "CostMatrix")]
    costs: Costs,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Costs {
    tp_weight: f64,
    fp_weight: f64,
    fn_weight: f64,
}

#[derive(Deserialize)]
struct Profiles {
    standard: Profile,
    #[serde(rename = "reward_low_FP_rate")]
    low_fp: Profile,
    #[serde(rename = "reward_low_FN_rate")]
    low_fn: Profile,
}

impl Corpus {
    /// Reads a corpus.
    ///
    /// # Errors
    /// With file and line, when a file is missing or malformed, or a label does not fit its series.
    pub fn load(folder: &Path) -> Result<Self, ScenarioError> {
        let Profiles { standard, low_fp, low_fn } = Json::read(folder.join(PROFILES), "the benchmark's profiles")?.1;
        let profiles = PerProfile { standard, low_fp, low_fn }.map(|profile| Weights {
            found: profile.costs.tp_weight,
            false_alarm: profile.costs.fp_weight,
            missed: profile.costs.fn_weight,
        });
        let expected = "an object: path of a series to a list of [first timestamp, last timestamp]";
        let (labels, windows): (Json, BTreeMap<String, Vec<(String, String)>>) =
            Json::read(folder.join(LABELS), expected)?;
        if windows.is_empty() {
            return Err(labels.error("", "", "names no series", expected));
        }
        let series = windows.iter().enumerate().map(|(index, (path, limits))| {
            let series = read_series(&folder.join("data").join(path))?;
            let windows = labels.windows(path, limits, &series)?;
            Ok(Recorded { path: path.clone(), series, windows, part: part(index) })
        });
        Ok(Corpus { series: series.collect::<Result<_, ScenarioError>>()?, profiles })
    }

    /// The corpus without the series that are held out.
    #[must_use]
    pub fn training(mut self) -> Self {
        self.series.retain(|recorded| recorded.part == Part::Training);
        self
    }

    /// Rows of all series.
    pub fn readings(&self) -> usize {
        self.series.iter().map(|recorded| recorded.series.rows.len()).sum()
    }
}

/// A file of JSON, and its text for errors.
struct Json {
    file: String,
    text: String,
}

impl Json {
    fn read<T: DeserializeOwned>(path: PathBuf, expected: &str) -> Result<(Self, T), ScenarioError> {
        let file = path.display().to_string();
        let error = |place, problem: String, hint: &str| ScenarioError {
            file: Some(file.clone()),
            place,
            key: String::new(),
            problem,
            expected: expected.to_owned(),
            hint: hint.to_owned(),
        };
        let text = fs::read_to_string(&path).map_err(|e| {
            error(None, format!("cannot be read: {e}"), "name the folder that holds data/, labels/ and config/")
        })?;
        match serde_json::from_str(&text) {
            Ok(value) => Ok((Json { file, text }, value)),
            Err(e) => {
                let before: usize = text.split_inclusive('\n').take(e.line().saturating_sub(1)).map(str::len).sum();
                let at = before + e.column().saturating_sub(1);
                let problem = format!("is not understood: {e}");
                Err(error(Some(Place::of(&text, at..at + 1)), problem, "take the file from the benchmark's repository"))
            }
        }
    }

    /// An error at the first mention of `text` after that of the series `path`.
    fn error(&self, path: &str, text: &str, problem: &str, expected: &str) -> ScenarioError {
        let series = self.text.find(&format!("\"{path}\"")).unwrap_or(0);
        let at = self.text[series..].find(&format!("\"{text}\"")).map_or(series, |offset| series + offset);
        ScenarioError {
            file: Some(self.file.clone()),
            place: Some(Place::of(&self.text, at..at + text.len() + 2)),
            key: path.to_owned(),
            problem: problem.to_owned(),
            expected: expected.to_owned(),
            hint: "labels and series are those of one version of the benchmark".to_owned(),
        }
    }

    /// The windows of a series, by the rows that have their timestamps: the first ones, where a timestamp comes again.
    fn windows(&self, path: &str, limits: &[(String, String)], series: &Series) -> Result<Vec<Window>, ScenarioError> {
        let row = |text: &String| {
            let expected = "the timestamp of a row of its series";
            let at = parse_timestamp(text)
                .ok_or_else(|| self.error(path, text, &format!("has {text:?}, which is no timestamp"), expected))?;
            series.rows.iter().position(|row| row.recorded_us == at).ok_or_else(|| {
                self.error(path, text, &format!("has {text:?}, which no row of the series has"), expected)
            })
        };
        let mut windows: Vec<Window> = Vec::with_capacity(limits.len());
        let mut free_from = probation(series.rows.len());
        for (first, last) in limits {
            let window = Window { first: row(first)?, last: row(last)? };
            if window.first < free_from {
                let problem = format!("has a window from {first:?}, which lies in the probation or overlaps another");
                return Err(self.error(path, first, &problem, "windows in order, after the first 15 % of the rows"));
            }
            if window.last < window.first {
                let problem = format!("has a window that ends at {last:?}, before it begins");
                return Err(self.error(path, last, &problem, "[first timestamp, last timestamp]"));
            }
            free_from = window.last + 1;
            windows.push(window);
        }
        Ok(windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILES_TEXT: &str = r#"{"standard": {"CostMatrix": {"tpWeight": 1, "fpWeight": 0.11, "fnWeight": 1}},
        "reward_low_FP_rate": {"CostMatrix": {"tpWeight": 1, "fpWeight": 0.22, "fnWeight": 1}},
        "reward_low_FN_rate": {"CostMatrix": {"tpWeight": 1, "fpWeight": 0.11, "fnWeight": 2}}}"#;

    /// A corpus with one series of 20 rows, a minute apart.
    fn written(labels: &str, profiles: &str, value: &str) -> Result<Corpus, ScenarioError> {
        let folder = tempfile::tempdir().unwrap();
        for sub in ["data/real", "labels", "config"] {
            fs::create_dir_all(folder.path().join(sub)).unwrap();
        }
        let rows: String = (0..20).map(|n| format!("2014-02-14 14:{n:02}:00,{value}\n")).collect();
        fs::write(folder.path().join("data/real/a.csv"), format!("timestamp,value\n{rows}")).unwrap();
        fs::write(folder.path().join(LABELS), labels).unwrap();
        fs::write(folder.path().join(PROFILES), profiles).unwrap();
        Corpus::load(folder.path())
    }

    fn labels(windows: &[(&str, &str)]) -> String {
        let window = |(first, last): &(&str, &str)| {
            format!("    [\n      \"2014-02-14 {first}.000000\",\n      \"2014-02-14 {last}.000000\"\n    ]")
        };
        let windows: Vec<String> = windows.iter().map(window).collect();
        format!("{{\n  \"real/a.csv\": [\n{}\n  ]\n}}\n", windows.join(",\n"))
    }

    #[test]
    fn windows_are_rows_and_profiles_are_weights() {
        let windows = [("14:05:00", "14:07:00"), ("14:08:00", "14:08:00")];
        let corpus = written(&labels(&windows), PROFILES_TEXT, "1.5").unwrap();
        assert_eq!(corpus.series[0].windows, [Window { first: 5, last: 7 }, Window { first: 8, last: 8 }]);
        assert_eq!((corpus.series[0].category(), corpus.readings()), ("real", 20));
        assert_eq!(corpus.profiles.low_fp, Weights { found: 1.0, false_alarm: 0.22, missed: 1.0 });
        assert_eq!(corpus.profiles.low_fn.missed, 2.0);
    }

    #[test]
    fn an_error_names_file_and_line() {
        let good = labels(&[("14:05:00", "14:07:00")]);
        for (text, file, line, problem) in [
            (labels(&[("14:05:30", "14:07:00")]), LABELS, 4, "which no row of the series has"),
            (labels(&[("14:05:00", "99:07:00")]), LABELS, 5, "which is no timestamp"),
            (labels(&[("14:05:00", "14:04:00")]), LABELS, 5, "before it begins"),
            (labels(&[("14:02:00", "14:04:00")]), LABELS, 4, "in the probation"),
            (labels(&[("14:05:00", "14:07:00"), ("14:06:00", "14:08:00")]), LABELS, 8, "overlaps another"),
            (good.replace("real/a", "real/b"), "data/real/b.csv", 0, "cannot be read"),
            (good.replace("[\n      \"2014", "[ 7, \"2014"), LABELS, 3, "is not understood"),
            ("{}".to_owned(), LABELS, 1, "names no series"),
        ] {
            let error = written(&text, PROFILES_TEXT, "1.5").expect_err(problem);
            assert!(error.file.as_ref().is_some_and(|name| name.ends_with(file)), "{error}");
            assert_eq!(error.place.as_ref().map_or(0, |place| place.line), line, "{error}");
            assert!(error.problem.contains(problem) && !error.hint.is_empty(), "{error}");
        }
        let error = written(&good, &PROFILES_TEXT.replace("fnWeight", "fnWaight"), "1.5").unwrap_err();
        assert!(error.file.unwrap().ends_with(PROFILES) && error.problem.contains("fnWeight"), "{}", error.problem);
        let error = written(&good, PROFILES_TEXT, "many").unwrap_err();
        assert_eq!((error.key.as_str(), error.place.unwrap().line), ("value", 2));
    }
}
