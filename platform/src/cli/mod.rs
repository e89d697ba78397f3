//! The commands: what they take, and what their results are as text and exit codes. Results go to the standard output,
//! progress, questions and errors to the standard error.

mod commands;
mod connection;
mod console;
mod enrolment;
mod package;
mod quarantine;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use platform::Settings;
use platform::deploy::{Plan, PlanError};

use console::tell;

/// The IoT data platform: its stacks and its functions.
#[derive(Debug, Parser)]
#[command(
    name = "platform",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage or settings, 3 `diff` found differences.\n\n\
                  A first deployment:\n  platform doctor --settings dev.toml\n  \
                  platform package --settings dev.toml --upload\n  platform deploy --settings dev.toml"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the files of an environment: templates, dashboards, a manifest with their order, a diagram
    #[command(after_help = "Examples:\n  platform synth --settings prod.toml --out build/prod\n  \
                            platform synth --settings eu.toml --env trial --out build/trial")]
    Synth {
        #[command(flatten)]
        source: Source,
        /// Folder to write to; it is made when it is absent
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Print the stacks of an environment: stage, stack, resources, references
    #[command(after_help = "Example:\n  platform stacks --settings prod.toml --format markdown")]
    Stacks {
        #[command(flatten)]
        source: Source,
        /// How to print them
        #[arg(long, value_enum, default_value_t = TableFormat::Markdown)]
        format: TableFormat,
    },
    /// Show what a deployment would change, by resource and property; exit code 3 when there is something
    #[command(after_help = "Examples:\n  platform diff --settings prod.toml\n  \
                            platform diff --settings prod.toml --against build/prod")]
    Diff {
        #[command(flatten)]
        target: Target,
        /// Folder of another synthesis to compare with, instead of what is deployed
        #[arg(long, value_name = "DIR")]
        against: Option<PathBuf>,
    },
    /// Create and change the stacks, stage by stage, each stage after its changes are approved
    #[command(
        after_help = "Examples:\n  platform deploy --settings dev.toml\n  platform deploy --settings prod.toml --approve\n  \
                      platform deploy --templates build/prod --approve\n\n\
                      A deployment that failed or was interrupted goes on where it stopped when it is run again."
    )]
    Deploy {
        #[command(flatten)]
        target: Target,
        /// Approve every stage without a question
        #[arg(long)]
        approve: bool,
        /// Delete what failed creations left behind, and create it again
        #[arg(long)]
        recreate: bool,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Delete the stacks in reverse order; resources that the templates retain stay and are listed
    #[command(after_help = "Examples:\n  platform destroy --settings dev.toml\n  \
                            platform destroy --settings dev.toml --approve")]
    Destroy {
        #[command(flatten)]
        target: Target,
        /// Do not ask for the environment's name
        #[arg(long)]
        approve: bool,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Show how the stacks are, and whether they were deployed with the templates of these settings
    #[command(after_help = "Example:\n  platform status --settings prod.toml --format json")]
    Status {
        #[command(flatten)]
        target: Target,
        /// How to print it
        #[arg(long, value_enum, default_value_t = StatusFormat::Table)]
        format: StatusFormat,
    },
    /// Check what a deployment needs: credentials, Region, account, the functions' package, quotas; exit code 1 when one
    /// is missing
    #[command(after_help = "Example:\n  platform doctor --settings prod.toml")]
    Doctor {
        #[command(flatten)]
        target: Target,
    },
    /// Make the functions' deployment package from this program, built for Lambda
    #[command(
        after_help = "Examples:\n  platform package --out bootstrap.zip\n  platform package --settings prod.toml --upload\n  \
                      platform package --binary target/release/platform --out bootstrap.zip\n\n\
                      Without --binary it builds with cargo-zigbuild, in the repository's folder."
    )]
    Package(package::Request),
    /// Tenants: those who own devices
    Tenants {
        #[command(subcommand)]
        command: enrolment::Tenants,
    },
    /// Devices: their things and certificates in the registry of AWS IoT
    Devices {
        #[command(subcommand)]
        command: enrolment::Devices,
    },
    /// What the platform refused: count it, look at it, and send it through again
    Quarantine {
        #[command(subcommand)]
        command: quarantine::Quarantine,
    },
    /// Serve invocations of the function that the variable _HANDLER names, as Lambda's custom runtime
    Lambda,
}

/// Which environment.
#[derive(Clone, Debug, Default, Args)]
struct Source {
    /// Environment, part of every name; replaces that of the settings file [default: dev]
    #[arg(long)]
    env: Option<String>,
    /// Settings file in TOML; missing keys have their defaults. Without it, --env E reads settings/E.toml or
    /// platform/settings/E.toml where the current folder has one
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

/// Which stacks.
#[derive(Clone, Debug, Default, Args)]
struct Target {
    #[command(flatten)]
    source: Source,
    /// Folder that `synth` has written: take its templates as they are
    #[arg(long, value_name = "DIR", conflicts_with_all = ["env", "settings"])]
    templates: Option<PathBuf>,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, Args)]
struct Waiting {
    /// Longest time of one operation on one stack, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1440))]
    timeout_min: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TableFormat {
    Markdown,
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatusFormat {
    Table,
    Json,
}

/// An exit code and what to tell.
#[derive(Debug)]
struct Failed(u8, String);

impl Failed {
    /// The command could not do its work.
    fn work(error: impl ToString) -> Self {
        Failed(1, error.to_string())
    }

    /// The command was called wrongly.
    fn usage(error: impl ToString) -> Self {
        Failed(2, error.to_string())
    }
}

impl From<PlanError> for Failed {
    fn from(error: PlanError) -> Self {
        Failed::usage(error)
    }
}

impl Source {
    fn settings(&self) -> Result<Settings, Failed> {
        let (file, note) = self.file(Path::new(""));
        if let Some(note) = note {
            tell(format_args!("{note}"));
        }
        Settings::load(file.as_deref(), self.env.as_deref()).map_err(Failed::usage)
    }

    /// The settings file, and what to say about it: without the flag, the one in `folder` that is named after the
    /// environment.
    fn file(&self, folder: &Path) -> (Option<PathBuf>, Option<String>) {
        let env = match (&self.settings, &self.env) {
            (Some(file), _) => return (Some(file.clone()), None),
            (None, None) => return (None, None),
            (None, Some(env)) => env,
        };
        let is_name = env.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let files = ["settings", "platform/settings"].map(|within| folder.join(within).join(format!("{env}.toml")));
        match files.into_iter().find(|file| is_name && file.is_file()) {
            Some(file) => {
                let note = format!("settings: {}, because of --env {env}", file.display());
                (Some(file), Some(note))
            }
            None if env == "prod" => {
                let note = "settings: the defaults, for --env prod without a settings file; --settings FILE reads one";
                (None, Some(note.to_owned()))
            }
            None => (None, None),
        }
    }

    fn plan(&self) -> Result<Plan, Failed> {
        Ok(Plan::of(&self.settings()?))
    }
}

impl Target {
    fn plan(&self) -> Result<Plan, Failed> {
        match &self.templates {
            Some(folder) => Ok(Plan::read(folder)?),
            None => self.source.plan(),
        }
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    platform::deploy::package::mark();
    // Lambda starts `bootstrap` without arguments.
    let in_lambda = std::env::args_os().len() == 1 && std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some();
    let command = if in_lambda { Command::Lambda } else { Cli::parse().command };
    run(command).unwrap_or_else(|Failed(code, message)| {
        tell(format_args!("error: {message}"));
        ExitCode::from(code)
    })
}

fn run(command: Command) -> Result<ExitCode, Failed> {
    match command {
        Command::Synth { source, out } => commands::synth(&source, &out),
        Command::Stacks { source, format } => commands::stacks(&source, format),
        Command::Diff { target, against } => commands::diff(&target, against.as_deref()),
        Command::Deploy { target, approve, recreate, waiting } => commands::deploy(&target, approve, recreate, waiting),
        Command::Destroy { target, approve, waiting } => commands::destroy(&target, approve, waiting),
        Command::Status { target, format } => commands::status(&target, format),
        Command::Doctor { target } => commands::doctor(&target),
        Command::Package(request) => package::run(&request),
        Command::Tenants { command } => enrolment::tenants(command),
        Command::Devices { command } => enrolment::devices(command),
        Command::Quarantine { command } => quarantine::run(command),
        Command::Lambda => connection::lambda(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_example_of_the_help_can_be_parsed() {
        let mut examples = 0;
        let help = Cli::command();
        let commands = help.get_subcommands().flat_map(|command| command.get_subcommands().chain([command]));
        let texts = commands.chain([&help]).filter_map(|command| command.get_after_help());
        for line in texts.flat_map(|text| text.to_string().lines().map(str::to_owned).collect::<Vec<_>>()) {
            if let Some(example) = line.trim().strip_prefix("platform ") {
                let words = example.split_whitespace();
                Cli::try_parse_from(std::iter::once("platform").chain(words))
                    .unwrap_or_else(|error| panic!("{example}: {error}"));
                examples += 1;
            }
        }
        assert!(examples > 20, "{examples}");
    }

    #[test]
    fn an_environment_reads_the_settings_that_are_named_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let within = folder.path().join("platform/settings");
        std::fs::create_dir_all(&within).unwrap();
        for env in ["prod", "eu"] {
            std::fs::write(within.join(format!("{env}.toml")), "raw_shards = 7").unwrap();
        }
        let source = |env: Option<&str>, settings: Option<&str>| Source {
            env: env.map(str::to_owned),
            settings: settings.map(PathBuf::from),
        };
        for (env, settings, expected, said) in [
            (Some("prod"), None, Some(within.join("prod.toml")), Some("prod.toml, because of --env prod")),
            (Some("eu"), None, Some(within.join("eu.toml")), Some("eu.toml")),
            (Some("eu"), Some("own.toml"), Some(PathBuf::from("own.toml")), None),
            (Some("dev"), None, None, None),
            (Some("../settings/eu"), None, None, None),
            (None, None, None, None),
        ] {
            let (file, note) = source(env, settings).file(folder.path());
            assert_eq!(file, expected, "{env:?}");
            let as_said = said.map_or(note.is_none(), |said| note.as_ref().is_some_and(|note| note.contains(said)));
            assert!(as_said, "{env:?}: {note:?}");
        }
        // The file in the folder itself comes first, and `prod` without a file is not silent.
        std::fs::create_dir(folder.path().join("settings")).unwrap();
        std::fs::write(folder.path().join("settings/eu.toml"), "").unwrap();
        assert_eq!(source(Some("eu"), None).file(folder.path()).0, Some(folder.path().join("settings/eu.toml")));
        let (file, note) = source(Some("prod"), None).file(&folder.path().join("settings"));
        assert!(file.is_none() && note.as_ref().is_some_and(|note| note.contains("the defaults")), "{note:?}");
    }

    #[test]
    fn bad_settings_are_a_usage_error_and_write_nothing() {
        let out = PathBuf::from("this/folder/is/never/made");
        let source = Source { env: Some("Not Valid".to_owned()), settings: None };
        let Err(Failed(code, message)) = run(Command::Synth { source, out: out.clone() }) else {
            panic!("the environment is not valid");
        };
        assert_eq!(code, 2);
        assert!(message.starts_with("--env: ") && message.contains("`env`") && message.contains("hint"), "{message}");
        assert!(!out.exists());
    }

    #[test]
    fn without_a_terminal_and_without_the_flag_nothing_is_deployed_or_destroyed() {
        // Tests have no terminal where they run in continuous integration; where they have one, it is not asked.
        if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            return;
        }
        let waiting = Waiting { timeout_min: 1 };
        for command in [
            Command::Deploy { target: Target::default(), approve: false, recreate: false, waiting },
            Command::Destroy { target: Target::default(), approve: false, waiting },
        ] {
            let Err(Failed(code, message)) = run(command) else { panic!("nobody can approve") };
            assert!(code == 2 && message.contains("--approve") && message.contains("hint: "), "{message}");
        }
    }

    #[cfg(not(production))]
    #[test]
    fn a_build_without_a_connection_says_so() {
        let waiting = Waiting { timeout_min: 1 };
        for command in [
            Command::Deploy { target: Target::default(), approve: true, recreate: false, waiting },
            Command::Destroy { target: Target::default(), approve: true, waiting },
            Command::Status { target: Target::default(), format: StatusFormat::Table },
            Command::Doctor { target: Target::default() },
            Command::Diff { target: Target::default(), against: None },
            Command::Lambda,
        ] {
            let Err(Failed(code, message)) = run(command) else { panic!("there is no connection") };
            assert!(code == 2 && message.contains("no connection to AWS") && message.contains("hint: "), "{message}");
        }
    }

    #[test]
    fn a_synthesis_is_the_same_as_itself_and_differs_from_another() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::default();
        run(Command::Synth { source, out: folder.path().to_owned() }).unwrap();
        let against = |target: Target| run(Command::Diff { target, against: Some(folder.path().to_owned()) });
        assert_eq!(against(Target::default()).unwrap(), ExitCode::SUCCESS);
        let other = Target { source: Source { env: Some("other".to_owned()), settings: None }, templates: None };
        assert_eq!(against(other).unwrap(), ExitCode::from(3));
    }
}
