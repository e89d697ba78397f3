//! The sections of a scenario file.

/// A table of keys, in the order of the document.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Name, as in [`super::Key::section`].
    pub name: &'static str,
    /// How its header is written.
    pub header: &'static str,
    /// What it is about.
    pub about: &'static str,
}

/// All sections.
pub const SECTIONS: &[Section] = &[
    Section { name: "", header: "Top of the file", about: "What the scenario is, and what decides its runs." },
    Section {
        name: "fleet",
        header: "[[fleet]]",
        about: "Devices of one model. The table may be repeated. Devices are named `{name}-00001` and so on, and are dealt to the tenants in turn.",
    },
    Section {
        name: "fleet.metric",
        header: "[[fleet.metric]]",
        about: "One metric of every device of the synthetic fleet above it: `baseline + season_amplitude * sin(2 pi t / season_period + phase) + drift_per_day * days + noise`, where the phase is drawn for each device.",
    },
    Section {
        name: "fleet.failure",
        header: "[[fleet.failure]]",
        about: "One way in which twins of the fleet above it fail. What fails how and when is written into the run folder, as `labels.parquet`: the truth that detection is judged by. See the table of failures below.",
    },
    Section { name: "phase", header: "[phase]", about: "How long the run is." },
    Section {
        name: "change",
        header: "[[change]]",
        about: "A deployment in mid-traffic, by the platform's own deployment of all stacks through CloudFormation. The table may be repeated, in the order of time; each waits for the one before.",
    },
    Section {
        name: "change.patch",
        header: "[change.patch]",
        about: "One value of one template that is changed in the deployment of the `[[change]]` above it, and in no later one.",
    },
    Section {
        name: "rollout",
        header: "[[rollout]]",
        about: "An operator sets the desired state of the shadows of a fleet, one batch of devices after another. The table may be repeated.",
    },
    Section {
        name: "rollout.desired",
        header: "[rollout.desired]",
        about: "What is desired of each device by the `[[rollout]]` above it: at least one key.",
    },
    Section {
        name: "command",
        header: "[[command]]",
        about: "An operator publishes commands to the devices of a fleet, with QoS 1, on `tenant/{tenant}/device/{device}/command`. The table may be repeated.",
    },
    Section {
        name: "fault",
        header: "[[fault]]",
        about: "Something that goes wrong during hardship. The table may be repeated. Which of the keys from `service` to `amount` a kind has is said in the table of kinds below; another one is refused.",
    },
    Section {
        name: "swarm",
        header: "[swarm]",
        about: "Bounds within which each run draws its own scenario from its seed: swarm testing. Devices, configuration, length and faults are drawn; first whole families and kinds of faults are switched off, because a mixture of everything hides what only shows in the absence of something. What the file itself says is not drawn: its fleets, its `[phase]`, its keys of `[platform]` and its faults are in every run. `cargo sim draw FILE --seed N` prints what a run draws, as a scenario of its own.",
    },
    Section { name: "expect", header: "[expect]", about: "What the run must come to." },
    Section { name: "expect.budget", header: "[expect.budget]", about: "What a run that holds may need." },
];
