//! The story for people.

use std::fmt;

use super::{Line, Story, Touch};

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.invariant.as_deref().map_or_else(String::new, |invariant| format!(" {invariant}"));
        writeln!(f, "{} seed {}: {}{first}", self.scenario, self.seed, self.verdict)?;
        writeln!(f, "  {}", self.message.replace('\n', " "))?;
        for other in &self.others {
            writeln!(f, "  then {}", other.replace('\n', " "))?;
        }
        if let Some(reading) = &self.reading {
            writeln!(f, "\nthe way of {reading}")?;
            lines(f, &self.hops)?;
            if self.hops.is_empty() {
                writeln!(f, "  nothing carried it")?;
            }
            faults(f, "faults that struck it", self.faults.iter().filter(|touch| touch.struck))?;
            faults(f, "faults that were there at the time", self.faults.iter().filter(|touch| !touch.struck))?;
        }
        if !self.around.is_empty() {
            writeln!(f, "\naround it")?;
            lines(f, &self.around)?;
        }
        writeln!(f, "\nwhere the trail ends\n  {}", self.end)
    }
}

fn lines(f: &mut fmt::Formatter<'_>, lines: &[Line]) -> fmt::Result {
    let place = lines.iter().map(|line| line.place.chars().count()).max().unwrap_or(0);
    for line in lines {
        writeln!(f, "  +{:>11.6} s  {:<place$}  {} {}", line.after_s, line.place, line.subject, line.text)?;
    }
    Ok(())
}

fn faults<'a>(f: &mut fmt::Formatter<'_>, title: &str, touches: impl Iterator<Item = &'a Touch>) -> fmt::Result {
    let mut touches = touches.peekable();
    if touches.peek().is_none() {
        return writeln!(f, "\n{title}: none");
    }
    writeln!(f, "\n{title}")?;
    for touch in touches {
        let times = if touch.times == 1 { String::new() } else { format!(", {} times", touch.times) };
        let name =
            if touch.fault == touch.kind { touch.kind.clone() } else { format!("{} ({})", touch.fault, touch.kind) };
        writeln!(f, "  +{:>11.6} s  {name} {}{times}", touch.after_s, touch.text)?;
    }
    Ok(())
}
