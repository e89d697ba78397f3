//! `sim explain`: the story of the first violation of a run.

use record::Verdict;

use super::args::{ExplainArgs, Format};
use super::origin::Origin;
use super::{Failure, NOT_DETERMINISTIC, print, replay};
use crate::story;

/// Tells the story.
pub(super) fn explain(args: &ExplainArgs) -> Result<u8, Failure> {
    let origin = Origin::of(&args.run, args.seed)?;
    let harness = origin.harness()?;
    let repeat = origin.command("explain");
    let known = origin.known.clone();
    let story = story::tell(&origin.scenario, origin.seed, &|| harness.clone(), known, args.reading.clone());
    let story = story.map_err(|error| replay::failed(error, &repeat))?;
    if story.verdict == Verdict::Held && args.reading.is_none() {
        return Err(Failure::usage(format_args!(
            "{} held: there is no failure to explain\n  expected: a run that is violated or unsettled\n  \
             hint: `--reading tenant/device/seq` tells the way of one reading",
            origin.in_words()
        )));
    }
    print(&match args.format {
        Format::Text => story.to_string(),
        Format::Json => serde_json::to_string_pretty(&story).expect("a story is JSON") + "\n",
    })?;
    if let Some(difference) = replay::difference(&origin, story.digest) {
        eprintln!("{difference}\nrepeat it with:\n{repeat}");
        return Ok(NOT_DETERMINISTIC);
    }
    Ok(0)
}
