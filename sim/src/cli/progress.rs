//! Progress on stderr: one line that changes on a terminal, a line now and then elsewhere.
//!
//! The run reports from inside the simulation, where clocks are simulated; a thread outside draws.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use record::thousands;

use super::wall::Stopwatch;
use crate::run::Status;
use crate::scenario::duration;

/// Between two drawings on a terminal.
const REDRAW: Duration = Duration::from_millis(150);
/// Before the first line and between two lines when stderr is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
const TEMPLATE: &str = "{spinner} {percent:>3} % {wide_msg}";

/// Draws progress until it is dropped.
pub(super) struct Progress {
    latest: Arc<Mutex<Option<Status>>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts to draw.
    pub(super) fn start(clock: Stopwatch) -> Self {
        let latest = Arc::new(Mutex::new(None));
        let (stop, stopped) = channel();
        let shared = Arc::clone(&latest);
        // A machine that gives no thread runs without progress.
        let thread = Builder::new().name("progress".to_owned()).spawn(move || draw(&shared, &stopped, clock)).ok();
        Progress { latest, stop: Some(stop), thread }
    }

    /// What the run calls with its status.
    pub(super) fn callback(&self) -> Box<dyn FnMut(&Status) + Send> {
        let latest = Arc::clone(&self.latest);
        Box::new(move |status| *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(status.clone()))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn draw(latest: &Mutex<Option<Status>>, stopped: &Receiver<()>, clock: Stopwatch) {
    let terminal = std::io::stderr().is_terminal();
    let bar = terminal.then(|| {
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is valid");
        ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr()).with_style(style)
    });
    let every = if terminal { REDRAW } else { LINE_EVERY };
    while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        let status = latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(status) = status else { continue };
        let line = line(&status, clock.elapsed());
        match &bar {
            Some(bar) => {
                bar.set_length(millis(status.simulated_max).max(1));
                bar.set_position(millis(status.simulated.min(status.simulated_max)));
                bar.set_message(line);
                bar.tick();
            }
            None => eprintln!("{line}"),
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One line: phase, simulated time of the longest, speed, and acknowledged readings a second of wall time. A run that
/// waits longer, to tell lost readings from late ones, says how far it is past its end.
fn line(status: &Status, wall: Duration) -> String {
    let wall_s = wall.as_secs_f64().max(0.001);
    let whole = |d: Duration| duration::format(Duration::from_secs(d.as_secs()));
    let end = match status.simulated.checked_sub(status.simulated_max) {
        Some(past) if !past.is_zero() => format!("simulated, {} past the end of peace", whole(past)),
        _ => format!("of {} simulated", whole(status.simulated_max)),
    };
    format!(
        "{} {} {end}, {:.0} x real time, {} messages/s",
        status.phase,
        whole(status.simulated),
        status.simulated.as_secs_f64() / wall_s,
        thousands((status.acknowledged as f64 / wall_s) as u64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_how_fast_and_how_much() {
        let status = Status {
            phase: "hardship",
            simulated: Duration::from_millis(90_400),
            simulated_max: Duration::from_secs(780),
            published: 2_500,
            acknowledged: 2_400,
        };
        assert_eq!(
            line(&status, Duration::from_secs(2)),
            "hardship 1min30s of 13min simulated, 45 x real time, 1,200 messages/s"
        );
        let late = Status { phase: "grace", simulated: Duration::from_secs(900), ..status };
        assert_eq!(
            line(&late, Duration::from_secs(2)),
            "grace 15min simulated, 2min past the end of peace, 450 x real time, 1,200 messages/s"
        );
    }

    #[test]
    fn the_latest_status_is_taken_and_the_thread_ends() {
        let progress = Progress::start(Stopwatch::start());
        let mut report = progress.callback();
        let status = Status {
            phase: "boot",
            simulated: Duration::ZERO,
            simulated_max: Duration::from_secs(1),
            published: 0,
            acknowledged: 0,
        };
        report(&status);
        assert_eq!(progress.latest.lock().unwrap().as_ref(), Some(&status));
        drop(progress);
    }
}
